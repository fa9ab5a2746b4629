"""The few documents of an API server that `bootstrap` reads, over HTTP, for service account tokens that a test signs itself.

The real one is asked in test_real_api_server.py; it signs no token that a test could log in with.
"""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from demo.service_accounts import Issuer

Documents = Mapping[str, tuple[int, bytes]]  # status and body by path


def documents(issuer: Issuer) -> dict[str, tuple[int, bytes]]:
    discovery = {"issuer": issuer.url, "id_token_signing_alg_values_supported": ["ES256"]}
    found: dict[str, Any] = {
        "/version": {"gitVersion": "v1.37.2"},
        "/.well-known/openid-configuration": discovery,
        "/openid/v1/jwks": {"keys": [_jwk(issuer.public_pem)]},
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt": {"data": {"ca.crt": "CA"}},
    }
    return {path: (200, json.dumps(value).encode()) for path, value in found.items()}


def _jwk(pem: str) -> dict[str, str]:
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, EllipticCurvePublicKey)
    point = key.public_numbers()
    x, y = (
        base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode() for number in (point.x, point.y)
    )
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


@contextmanager
def serving(found: Documents, folder: Path) -> Iterator[Path]:
    """The kubeconfig that leads to a server of these documents; what is not among them is forbidden."""
    forbidden = 403, json.dumps({"kind": "Status", "message": "is forbidden"}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.get(self.path.partition("?")[0], forbidden)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def kubeconfig(
    folder: Path, address: str, *, token: str = "", ca: str = "", user: Mapping[str, Any] | None = None
) -> Path:
    cluster = {"server": address} | ({"certificate-authority-data": ca} if ca else {})
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or ({"token": token} if token else {})}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return path
