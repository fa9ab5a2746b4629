"""A generated tree whose mounts are not on the server yet, and an API server that tells who signs tokens."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from demo.openbao import Server
from demo.service_accounts import Issuer
from tests.cluster import api_server
from tests.cluster.commands import Done, podkeys

MOUNTS = ("kv", "pki", "spiffe")


@dataclass(frozen=True)
class Place:
    """A folder with clusters, roles and the generated tree of cluster east, whose mounts all end in `tag`."""

    folder: Path
    tag: str
    bao: Server
    kubeconfig: Path
    issuer: Issuer

    def run(self, *words: str, token: str | None = None) -> Done:
        token = self.bao.root_token if token is None else token
        return podkeys(
            self.folder,
            "cluster",
            *words,
            "--cluster",
            "east",
            f"--kubeconfig={self.kubeconfig}",
            token=token,
        )

    def policies(self, word: str) -> Done:
        return podkeys(self.folder, "policies", word, "--cluster", "east", token=self.bao.root_token)


def write(folder: Path, tag: str, address: str, *, method: str = "jwt") -> None:
    """Cluster east with one role, generated."""
    spec = {
        "vault": {"address": address},
        "auth": {"method": method, "mount": f"login-{tag}", "audience": "vault"},
        "pki": {"serving": f"pki-{tag}", "identity": f"spiffe-{tag}"},
        "trustDomain": "east.example.com",
        "dnsDomains": ["svc.cluster.local"],
        "kubernetesVersion": "1.37",
    }
    role = {
        "runsAs": [{"cluster": "east", "namespace": f"shop-{tag}", "serviceAccounts": ["api"]}],
        "secrets": [{"name": "card", "path": f"kv-{tag}/shop/card"}],
        "certificates": [
            {"name": "web", "services": ["shop"], "ttl": "24h", "usages": ["server"], "revoke": True}
        ],
        "identity": {"ttl": "1h"},
    }
    for kind, name, content in (("Cluster", "east", spec), ("ServiceRole", "shop", role)):
        metadata = {"name": name} | ({"owner": "team-shop"} if kind == "ServiceRole" else {})
        path = folder / ("clusters" if kind == "Cluster" else "roles") / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        document = {"apiVersion": "podkeys.dev/v1", "kind": kind, "metadata": metadata, "spec": content}
        path.write_text(yaml.safe_dump(document))
    done = podkeys(folder, "policies", "generate")
    assert done.code == 0, done.out + done.err


@pytest.fixture
def place(tmp_path: Path, bao: Server) -> Iterator[Place]:
    tag, issuer = uuid.uuid4().hex[:8], Issuer()
    write(tmp_path, tag, bao.address)
    with api_server.serving(api_server.documents(issuer), tmp_path) as kubeconfig:
        yield Place(tmp_path, tag, bao, kubeconfig, issuer)
    for mount in MOUNTS:
        bao.call("DELETE", f"sys/mounts/{mount}-{tag}")
    bao.call("DELETE", f"sys/auth/login-{tag}")
