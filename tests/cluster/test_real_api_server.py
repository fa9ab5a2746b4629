"""What only a real API server can show: its own words, its permissions, its tokens. No pod runs."""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cluster import gather
from cluster.checks.webhook import webhook_called
from cluster.facts import Attempt
from cluster.finding import Unread
from cluster.kube import connect
from demo.openbao import Server
from tests.chart import clusters
from tests.cluster import api_server
from tests.cluster.commands import Done, podkeys
from tests.cluster.conftest import MOUNTS, write
from tests.cluster.trees import tree

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "cluster-check.md").read_text()
LABEL = "podkeys.dev/injection=enabled"


@dataclass(frozen=True)
class Real:
    """Cluster east of `folder` is the real one; `shop` is the namespace of its role, with the label."""

    folder: Path
    kubectl: clusters.Cluster
    shop: str
    tag: str
    bao: Server

    def run(self, *words: str, kubeconfig: Path | None = None) -> Done:
        leads = f"--kubeconfig={kubeconfig or self.kubectl.kubeconfig}"
        return podkeys(self.folder, "cluster", *words, "--cluster=east", leads, token=self.bao.root_token)

    def as_account(self, name: str) -> Path:
        """The kubeconfig of a service account."""
        view = yaml.safe_load(self.kubectl.must("config", "view", "--raw", "--minify"))["clusters"][0][
            "cluster"
        ]
        ca = view.get("certificate-authority-data", "")
        if "certificate-authority" in view:
            ca = base64.b64encode(Path(view["certificate-authority"]).read_bytes()).decode()
        token = self.kubectl.must("create", "token", name, f"--namespace={self.shop}").strip()
        return api_server.kubeconfig(self.folder, view["server"], token=token, ca=ca)


@pytest.fixture
def real(tmp_path: Path, bao: Server) -> Iterator[Real]:
    tag = uuid.uuid4().hex[:8]
    shop = f"shop-{tag}"
    kubectl = clusters.Cluster(clusters.kubeconfig(), shop, "")
    write(tmp_path, tag, bao.address)
    kubectl.must("create", "namespace", shop)
    kubectl.must("label", "namespace", shop, LABEL)
    kubectl.must("create", "serviceaccount", "api", f"--namespace={shop}")
    try:
        yield Real(tmp_path, kubectl, shop, tag, bao)
    finally:
        kubectl.kubectl("delete", "namespace", shop, "--wait=false")
        for mount in MOUNTS:
            bao.call("DELETE", f"sys/mounts/{mount}-{tag}")
        bao.call("DELETE", f"sys/auth/login-{tag}")


def test_a_token_of_the_real_issuer_logs_in_after_bootstrap_and_apply(real: Real) -> None:
    assert real.run("bootstrap", "--apply").code == 0
    applied = podkeys(real.folder, "policies", "apply", "--cluster=east", token=real.bao.root_token)
    assert applied.code == 0
    token = real.kubectl.must(
        "create", "token", "api", "--audience=vault", f"--namespace={real.shop}"
    ).strip()
    login = {"role": f"podkeys.{real.shop}.shop.api", "jwt": token}
    answer = real.bao.call("POST", f"auth/login-{real.tag}/login", login, token="")
    assert f"podkeys.east.{real.shop}.shop" in answer["auth"]["policies"]
    before = real.run("check", "--pre", "--json")
    assert (before.code, set(before.results.values())) == (0, {"ok", "skipped"}), before.out


def test_the_documented_roles_are_enough_and_no_role_is_said_in_the_servers_words(real: Real) -> None:
    for name in ("checker", "nobody"):
        real.kubectl.must("create", "serviceaccount", name, f"--namespace={real.shop}")
    real.kubectl.kubectl("create", "namespace", "podkeys-system")  # another test may have made it
    documented = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    roles = [_confined(item, real) for item in yaml.safe_load_all(documented)]
    manifests = "---\n".join(
        yaml.safe_dump(item) for item in (*roles, *(_binding(item, real) for item in roles))
    )
    real.kubectl.must("apply", "--filename=-", given=manifests)
    try:
        assert real.run("bootstrap", "--apply").code == 0
        done = real.run("check", "--json", kubeconfig=real.as_account("checker"))
        unknown = {item["name"]: item["got"] for item in done.json["checks"] if item["result"] == "unknown"}
        assert unknown == {"serving-certificate": "the webhook is not registered, so there is no caBundle"}
        nothing = real.run("check", "--json", kubeconfig=real.as_account("nobody"))
        refused = {
            item["name"]: item["got"] for item in nothing.json["checks"] if item["result"] == "unknown"
        }
        assert 'cannot list resource "nodes"' in refused["memory-volumes"]
        assert 'cannot list resource "namespaces"' in refused["webhook-called"]
        assert 'cannot get resource "mutatingwebhookconfigurations"' in refused["webhook-registered"]
    finally:
        real.kubectl.kubectl("delete", "--filename=-", "--ignore-not-found", given=manifests)


def _confined(item: dict[str, dict[str, str]], real: Real) -> dict[str, dict[str, str]]:
    """Under a name of this test's own, and for its own namespace."""
    item["metadata"]["name"] += f"-{real.tag}"
    if item["metadata"].get("namespace") == "payments":
        item["metadata"]["namespace"] = real.shop
    return item


def _binding(role: dict[str, dict[str, str]], real: Real) -> dict[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": role["metadata"],
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": role["kind"],
            "name": role["metadata"]["name"],
        },
        "subjects": [{"kind": "ServiceAccount", "name": "checker", "namespace": real.shop}],
    }


@pytest.mark.parametrize(
    ("service", "remedy"),
    [(False, "the Service is gone"), (True, "no replica is ready")],
    ids=["no service", "no pod"],
)
def test_why_a_webhook_cannot_be_called_is_told_from_what_the_api_server_says(
    real: Real,
    service: bool,  # noqa: FBT001 - a table's column
    remedy: str,
) -> None:
    """The webhook is registered for one namespace alone, where nobody serves it."""
    if service:
        real.kubectl.must(
            "create", "service", "clusterip", "podkeys-webhook", "--tcp=443", f"--namespace={real.shop}"
        )
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"podkeys-{real.tag}"},
        "webhooks": [
            {
                "name": "pods.podkeys.dev",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": real.shop, "name": "podkeys-webhook"}},
                "sideEffects": "None",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": real.shop}},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ],
            }
        ],
    }
    real.kubectl.must("apply", "--filename=-", given=json.dumps(configuration))
    try:
        clusters.eventually(lambda: _answer(real))
        found = webhook_called(Attempt(real.shop, _answer(real)))
        assert (found.result, remedy in found.remedy) == ("failed", True), found
    finally:
        real.kubectl.must("delete", "mutatingwebhookconfiguration", f"podkeys-{real.tag}")
    clusters.eventually(lambda: not _answer(real))
    assert webhook_called(Attempt(real.shop, _answer(real))).got.startswith("it would have been created")


def _answer(real: Real) -> str:
    """What the API server says to the pod that is tried out; "" where it would be created."""
    kube = connect(real.kubectl.kubeconfig, None)
    base = tree()
    wanted = type(base)(base.cluster, {real.shop: base.namespaces["shop"]}, {})
    found = gather.read(kube, wanted, installed=True).attempt
    assert not isinstance(found, Unread), found
    return found.answer
