"""What a cluster's API server does for a pod's projected token: keys and signed tokens of the same claims."""

import base64
import json
import time
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


class Issuer:
    """One cluster's token issuer. `public_pem` goes into the jwt mount's configuration."""

    def __init__(self, url: str = "https://kubernetes.default.svc.example.com") -> None:
        self.url = url
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public_pem = (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def token(
        self,
        namespace: str,
        service_account: str,
        *,
        audience: str = "vault",
        pod: str = "pod-1",
        issued: float | None = None,
        seconds: int = 3600,
    ) -> str:
        """A token as the TokenRequest API issues it to a pod (ES256)."""
        start = int(time.time() if issued is None else issued)
        claims = {
            "aud": [audience],
            "exp": start + seconds,
            "iat": start,
            "nbf": start,
            "iss": self.url,
            "jti": str(uuid.uuid4()),
            "sub": f"system:serviceaccount:{namespace}:{service_account}",
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": service_account, "uid": str(uuid.uuid4())},
                "pod": {"name": pod, "uid": str(uuid.uuid4())},
            },
        }
        signed = f"{_segment({'alg': 'ES256', 'typ': 'JWT'})}.{_segment(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _segment(value: dict[str, object]) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
