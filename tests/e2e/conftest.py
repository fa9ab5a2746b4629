"""One installation for the whole run: OpenBao in the cluster, policies by `podkeys policies`, the webhook by its chart.

Needs KUBECONFIG, kubectl and helm, and the images localhost/podkeys:e2e and localhost/openbao:e2e in the nodes
(`make e2e LOAD=...` builds and loads them).
"""

import base64
import ipaddress
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from demo import tls
from tests.e2e.kubectl import apply, get, kubectl, wait_for

TOP = Path(__file__).parent.parent.parent
PODKEYS = Path(sys.executable).with_name("podkeys")
NAMESPACE = "shop"
CLUSTER = "e2e"
SECRETS = {
    "shop/card": {"api_key": f"canary-{secrets.token_hex(12)}"},
    "shop/mail": {"password": f"canary-{secrets.token_hex(12)}"},
    "other/ledger": {"key": f"canary-{secrets.token_hex(12)}"},
}


@dataclass(frozen=True)
class Installation:
    """`call` speaks to the server as root, through a forwarded port."""

    address: str
    root_token: str
    folder: Path
    ca: Path

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str = "") -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - https on loopback
            f"{self.address}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": token or self.root_token},
        )
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else {}


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("no KUBECONFIG: these tests need a cluster to try things in, never one that is used")
    _remove_earlier()
    folder = tmp_path_factory.mktemp("e2e")
    token = secrets.token_hex(16)
    certificate, key = tls.write_pair(folder, names=("vault.vault.svc",))
    apply(*_vault(certificate, key, token))
    kubectl("-n", "vault", "rollout", "status", "deployment/vault", "--timeout=120s")
    with _forwarded("vault", "service/vault", 8200) as port:
        found = Installation(f"https://127.0.0.1:{port}", token, folder, certificate)
        _prepare(found)
        _apply_policies(found)
        _install_webhook(found)
        yield found


def _remove_earlier() -> None:
    """What an earlier run left: its server had another CA, which pods would be told until the catalog arrives."""
    words = ["helm", "uninstall", "podkeys", "-n", "podkeys-system", "--ignore-not-found", "--wait"]
    subprocess.run(words, check=True, capture_output=True)
    namespaces = (NAMESPACE, "unlabelled", "vault", "podkeys-system")
    kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=120s")


def _vault(certificate: Path, key: Path, token: str) -> list[dict[str, Any]]:
    labels = {"app": "vault"}
    listener = 'listener "tcp" { address = "[::]:8200" tls_cert_file = "/tls/tls.crt" tls_key_file = "/tls/tls.key" }'
    container = {
        "name": "vault",
        "image": "localhost/openbao:e2e",
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "server",
            "-dev",
            "-dev-no-store-token",
            "-dev-listen-address=127.0.0.1:8300",
            "-config=/tls/vault.hcl",
        ],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - in its container
            {"name": "BAO_DEV_ROOT_TOKEN_ID", "value": token},
            {"name": "BAO_DISABLE_MLOCK", "value": "true"},
        ],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "readinessProbe": {"tcpSocket": {"port": 8200}, "periodSeconds": 1},
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "tls", "defaultMode": 0o444}}],
    }
    files = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes(), "vault.hcl": listener.encode()}
    metadata = {"namespace": "vault"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vault"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tls", **metadata},
            "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "vault", **metadata},
            "spec": {"selector": labels, "ports": [{"port": 8200}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "vault", **metadata},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": {"run": token[:6]}}, "spec": spec},
                "strategy": {"type": "Recreate"},
            },
        },
    ]


@contextmanager
def _forwarded(namespace: str, target: str, port: int) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()[1]
    command = ["kubectl", "-n", namespace, "port-forward", target, f"{here}:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the forwarded port", lambda: _listens(here))
        yield here
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _prepare(found: Installation) -> None:
    """As docs/cluster-file.md says: mounts, roots, login by the cluster's own keys; and the secrets."""
    wait_for("OpenBao", lambda: found.call("GET", "sys/health"))
    found.call("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
    for mount in ("pki-e2e", "spiffe-e2e"):
        found.call("POST", f"sys/mounts/{mount}", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
        root = {"common_name": f"{mount} root", "key_type": "ec", "key_bits": 256, "ttl": "87600h"}
        found.call("POST", f"{mount}/root/generate/internal", root)
    issuer = json.loads(kubectl("get", "--raw", "/.well-known/openid-configuration").stdout)["issuer"]
    keys = json.loads(kubectl("get", "--raw", "/openid/v1/jwks").stdout)["keys"]
    found.call("POST", "sys/auth/jwt-e2e", {"type": "jwt"})
    config = {
        "jwt_validation_pubkeys": [_pem(key) for key in keys],
        "bound_issuer": issuer,
        "jwt_supported_algs": ["RS256"],
    }
    found.call("POST", "auth/jwt-e2e/config", config)
    for path, values in SECRETS.items():
        found.call("POST", f"kv/data/{path}", {"data": values})


def _pem(key: dict[str, str]) -> str:
    n, e = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in ("n", "e"))
    public = RSAPublicNumbers(e, n).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def _apply_policies(found: Installation) -> None:
    pod_ip = get("pods", "vault")["items"][0]["status"]["podIP"]
    version = json.loads(kubectl("version", "-o", "json").stdout)["serverVersion"]
    cluster = {
        "apiVersion": "podkeys.dev/v1",
        "kind": "Cluster",
        "metadata": {"name": CLUSTER},
        "spec": {
            "vault": {"address": "https://vault.vault.svc:8200", "caFile": str(found.ca.name)},
            "auth": {"method": "jwt", "mount": "jwt-e2e", "audience": "vault"},
            "pki": {"serving": "pki-e2e", "identity": "spiffe-e2e"},
            "trustDomain": "e2e.example.com",
            "dnsDomains": ["svc.cluster.local"],
            "podCIDRs": [str(ipaddress.ip_network(f"{pod_ip}/16", strict=False))],
            "podIPCertificates": "accepted",
            "minTTL": "30s",
            "kubernetesVersion": f"{version['major']}.{version['minor'].rstrip('+')}",
            "platform": "kubernetes",
        },
    }
    role = (Path(__file__).parent / "role.yaml").read_text()
    for name, text in (("clusters", yaml.safe_dump(cluster)), ("roles", role)):
        (found.folder / name).mkdir()
        (found.folder / name / f"{name}.yaml").write_text(text)
    (found.folder / "clusters" / found.ca.name).write_bytes(found.ca.read_bytes())
    _podkeys(found, "generate")
    _podkeys(found, "apply", "--cluster", CLUSTER, "--address", found.address)


def _podkeys(found: Installation, *words: str) -> None:
    env = {**os.environ, "VAULT_TOKEN": found.root_token}
    done = subprocess.run(
        [PODKEYS, "policies", *words], cwd=found.folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _install_webhook(found: Installation) -> None:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted", "podkeys.dev/injection": "enabled"}
    apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podkeys-system"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "stranger", "namespace": NAMESPACE},
        },
    )
    catalog = found.folder / "generated" / CLUSTER / "catalog.configmap.yaml"
    kubectl("apply", "-n", "podkeys-system", "--server-side", "-f", str(catalog))
    chart = ["helm", "upgrade", "--install", "podkeys", str(TOP / "deploy" / "chart"), "-n", "podkeys-system"]
    values = [
        "--set",
        "image=localhost/podkeys:e2e",
        "--set",
        "flags.poll-interval=5",
        "--set",
        "flags.drain=1",
    ]
    done = subprocess.run(
        [*chart, *values, "--wait", "--timeout", "3m"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    time.sleep(2)  # the API server reads new webhook configurations within a second or so
