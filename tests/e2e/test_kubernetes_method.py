"""A server inside the cluster that asks the API server whether a token is good: `method: kubernetes`, from an empty server on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.installation import CLUSTER, NAMESPACE, Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.tokens import ask, log_in, token_of
from tests.e2e.workloads import pod, template

ASKING, MOUNT = "asking", "kubernetes-asking"
ROLE = "podkeys.shop.leaver.leaver"


@pytest.fixture
def prepared(installation: Installation, tmp_path: Path) -> Iterator[Installation]:
    """The same server under another cluster's name, with the other method, as docs/cluster-file.md says."""
    asking = Installation(installation.address, installation.root_token, tmp_path)
    document = yaml.safe_load((installation.folder / "clusters" / f"{CLUSTER}.yaml").read_text())
    document["metadata"]["name"] = ASKING
    document["spec"]["auth"] = {"method": "kubernetes", "mount": MOUNT, "audience": "vault"}
    document["spec"]["pki"] = {"serving": "pki-asking", "identity": "spiffe-asking"}
    document["spec"]["trustDomain"] = "asking.example.com"
    for name in ("clusters", "roles"):
        (tmp_path / name).mkdir()
    (tmp_path / "clusters" / f"{ASKING}.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "clusters" / "vault-ca.pem").write_bytes(installation.ca.read_bytes())
    role = (installation.folder / "roles" / "leaver.yaml").read_text()
    (tmp_path / "roles" / "leaver.yaml").write_text(role.replace(f"cluster: {CLUSTER}", f"cluster: {ASKING}"))
    delegator = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "vault-asks"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "vault"}],
    }
    apply(delegator)
    server = ("--cluster", ASKING, "--address", asking.address)
    asking.podkeys("policies", "generate")
    asking.podkeys("cluster", "bootstrap", *server, "--apply")
    asking.podkeys("policies", "apply", *server)
    yield asking
    kubectl("delete", "clusterrolebinding", "vault-asks")
    for path in (f"sys/auth/{MOUNT}", "sys/mounts/pki-asking", "sys/mounts/spiffe-asking"):
        installation.call("DELETE", path)


@pytest.fixture
def running() -> Iterator[Json]:
    """An injected pod of the role's service account: nodes get Vault's audience only for pods that mount it."""
    name = "asking"
    asked = {"inject": "true", "secrets": "card"}
    apply(pod(name, template(asked, "import time; time.sleep(3600)", serviceAccountName="leaver")))
    wait_for("the pod", lambda: get("pod", NAMESPACE, name)["status"]["phase"] == "Running")
    yield get("pod", NAMESPACE, name)
    kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=false", "--ignore-not-found")


def test_a_pods_real_token_logs_in_and_reads_what_its_role_names(
    prepared: Installation, running: Json
) -> None:
    jwt = token_of(running)
    login = log_in(prepared, jwt, ROLE, MOUNT)
    assert login.status == 200, login.text
    token = login.body["auth"]["client_token"]
    assert ask(prepared, "GET", "kv/data/shop/card", token=token).status == 200
    assert ask(prepared, "GET", "kv/data/shop/mail", token=token).status == 403
    other = kubectl("-n", NAMESPACE, "create", "token", "leaver").stdout.strip()
    assert log_in(prepared, other, ROLE, MOUNT).status in (400, 403), "made for another audience"
    kubectl("-n", NAMESPACE, "delete", "pod", running["metadata"]["name"], "--grace-period=1")
    wait_for("the token to end with its pod", lambda: log_in(prepared, jwt, ROLE, MOUNT).status == 403, 60)
