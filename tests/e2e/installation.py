"""What the tests run against: OpenBao in the cluster, policies by `podkeys policies`, the webhook by its chart."""

import base64
import ipaddress
import json
import os
import secrets
import shutil
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

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from demo import tls
from tests.e2e import server
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for

HERE = Path(__file__).parent
CHART = HERE.parent.parent / "deploy" / "chart"
PODKEYS = Path(sys.executable).with_name("podkeys")
NAMESPACE = "shop"
WEBHOOK = "podkeys-system"
CLUSTER = "e2e"
DEADLINE_SECONDS, POLL_SECONDS = 15, 5
# little CPU, so that many pods fit on a node of two cores, a Guaranteed one among them
FLAGS = {
    "poll-interval": POLL_SECONDS,
    "drain": 1,
    "deadline": DEADLINE_SECONDS,
    "init-cpu": "20m",
    "init-cpu-limit": "400m",
    "sidecar-cpu-limit": "200m",
}
_INJECTED = {"podkeys.dev/injection": "enabled"}
_RESTRICTED = {**_INJECTED, "pod-security.kubernetes.io/enforce": "restricted"}
# labels and service accounts
NAMESPACES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    WEBHOOK: ({}, ()),
    NAMESPACE: (_RESTRICTED, ("shop", "stranger", "front", "back", "orders", "leaver")),
    "loose": (_INJECTED, ("shapes",)),
    "bounded": (_RESTRICTED, ("shapes",)),
    "tight": (_RESTRICTED, ("shapes",)),
    "books": (_RESTRICTED, ("books",)),
    "without-role": (_RESTRICTED, ()),
    "unlabelled": ({}, ()),
}
SECRETS = {
    path: {key: f"canary-{secrets.token_hex(12)}"}
    for path, key in (("shop/card", "api_key"), ("shop/mail", "password"), ("books/ledger", "key"))
}


@dataclass(frozen=True)
class Installation:
    """`folder` holds clusters, roles and the generated tree; `ca` signed the server's certificate."""

    address: str
    root_token: str
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "clusters" / "vault-ca.pem"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str = "") -> Any:  # noqa: ANN401 - JSON
        """Speak to the server, as root where no token is given."""
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

    def podkeys(self, *words: str) -> str:
        """What `podkeys WORDS` printed, run where the files are, with the root token."""
        env = {**os.environ, "VAULT_TOKEN": self.root_token}
        done = subprocess.run(
            [PODKEYS, *words], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def publish(self) -> None:
        """From role files to the server, and then to the webhook's ConfigMaps."""
        self.podkeys("policies", "generate")
        self.apply_policies()
        self.apply_catalog()

    def apply_policies(self, *words: str) -> None:
        """The generated tree to the server; `words` go to `podkeys policies apply`."""
        self.podkeys("policies", "apply", "--cluster", CLUSTER, "--address", self.address, *words)

    def apply_catalog(self) -> None:
        """The generated catalog to the webhook; its pods are touched, so that their kubelets look at once."""
        catalog = self.folder / "generated" / CLUSTER / "catalog.configmap.yaml"
        kubectl("apply", "-n", WEBHOOK, "--server-side", "-f", str(catalog))
        touch = ("annotate", "pods", "--all", "--overwrite", f"touched={time.time()}")
        kubectl("-n", WEBHOOK, *touch)

    def login_role(self, namespace: str, role: str, account: str) -> Json:
        """The path on the server of a generated login role, as `path`, and what stands there, as `data`."""
        file = self.folder / "generated" / CLUSTER / namespace / role / f"auth.{account}.json"
        found: Json = json.loads(file.read_text())
        return found


def helm(*words: str) -> str:
    done = subprocess.run(["helm", *words, "-n", WEBHOOK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def upgrade(*values: str) -> None:
    """Install the chart or upgrade it, with the tests' values and `NAME=VALUE` of the caller."""
    usual = ("image=localhost/podkeys:e2e", *(f"flags.{name}={value}" for name, value in FLAGS.items()))
    given = [word for value in (*usual, *values) for word in ("--set", value)]
    helm("upgrade", "--install", "podkeys", str(CHART), *given, "--wait", "--timeout", "3m")
    time.sleep(2)  # the API server reads new webhook configurations within a second or so


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """All of it anew, or, where `folder` has been used before, what stands there already."""
    known = folder / "installation.json"
    if known.exists():
        SECRETS.update(json.loads(known.read_text())["secrets"])
        token = json.loads(known.read_text())["token"]
    else:
        _remove_earlier()
        shutil.copytree(HERE / "roles", folder / "roles")
        (folder / "clusters").mkdir()
        token = _start_server(folder)
    with _forwarded("vault", "service/vault", 8200) as port:
        found = Installation(f"https://127.0.0.1:{port}", token, folder)
        if not known.exists():
            _create_namespaces()
            _write_cluster_file(found)
            _prepare(found)
            found.publish()
            upgrade()
            known.write_text(json.dumps({"token": token, "secrets": SECRETS}))
        yield found


def _remove_earlier() -> None:
    """What an earlier run left: its server had another CA, which pods would be told until the catalog arrives."""
    helm("uninstall", "podkeys", "--ignore-not-found", "--wait")
    kubectl("delete", "namespace", "vault", *NAMESPACES, "--ignore-not-found", "--timeout=120s")


def _start_server(folder: Path) -> str:
    """The server's root token."""
    token = secrets.token_hex(16)
    certificate, key = tls.write_pair(folder, names=("vault.vault.svc",))
    (folder / "clusters" / "vault-ca.pem").write_bytes(certificate.read_bytes())
    apply(*server.objects(certificate, key, token))
    kubectl("-n", "vault", "rollout", "status", "deployment/vault", "--timeout=120s")
    return token


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
    """From an empty server, as docs/cluster-file.md says; and the secrets."""
    wait_for("OpenBao", lambda: found.call("GET", "sys/health"))
    found.podkeys("policies", "generate")
    found.podkeys("cluster", "bootstrap", "--cluster", CLUSTER, "--address", found.address, "--apply")
    for path, values in SECRETS.items():
        found.call("POST", f"kv/data/{path}", {"data": values})


def accept_tokens(found: Installation, mount: str, *cluster: str) -> None:
    """Enable a login at `mount` for service accounts of the cluster of these kubectl options."""
    issuer = json.loads(kubectl(*cluster, "get", "--raw", "/.well-known/openid-configuration").stdout)[
        "issuer"
    ]
    keys = json.loads(kubectl(*cluster, "get", "--raw", "/openid/v1/jwks").stdout)["keys"]
    found.call("POST", f"sys/auth/{mount}", {"type": "jwt"})
    config = {
        "jwt_validation_pubkeys": [_pem(key) for key in keys],
        "bound_issuer": issuer,
        "jwt_supported_algs": ["RS256"],
    }
    found.call("POST", f"auth/{mount}/config", config)


def _pem(key: dict[str, str]) -> str:
    n, e = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in ("n", "e"))
    public = RSAPublicNumbers(e, n).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def _write_cluster_file(found: Installation) -> None:
    pod_ip = get("pods", "vault")["items"][0]["status"]["podIP"]
    version = json.loads(kubectl("version", "-o", "json").stdout)["serverVersion"]
    cluster = {
        "apiVersion": "podkeys.dev/v1",
        "kind": "Cluster",
        "metadata": {"name": CLUSTER},
        "spec": {
            "vault": {"address": "https://vault.vault.svc:8200", "caFile": found.ca.name},
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
    (found.folder / "clusters" / f"{CLUSTER}.yaml").write_text(yaml.safe_dump(cluster))


def _create_namespaces() -> None:
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, (labels, _) in NAMESPACES.items()
    ]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": name}}
        for name, (_, names) in NAMESPACES.items()
        for account in names
    ]
    apply(*namespaces, *accounts)
