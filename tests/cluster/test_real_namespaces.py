"""What a label selector of an auth role lets in: a real OpenBao with a real API server decides, and we say the same."""

import base64
import json
import re
import urllib.error
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from demo.openbao import Server
from tests.chart import clusters
from tests.cluster import api_server
from tests.cluster.commands import podkeys

DOCUMENT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
ROLE = next(
    text for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL) if "kind: ClusterRole" in text
)
LABELS = {
    "pay": {"team": "pay"},
    "prod": {"team": "pay", "stage": "prod"},
    "shop": {"team": "shop"},
    "bare": {},
}
API = "rbac.authorization.k8s.io"
SELECTORS = (
    '{"matchLabels": {"team": "pay"}}',
    '{"matchLabels": {"team": "pay", "stage": "prod"}}',
    "matchLabels: {team: shop}",
    "# by hand\nmatchLabels:\n  team: shop\n",
    "{}",
    "null",
    "matchLabels:",
    '{"matchLabels": null, "matchExpressions": null}',
    '{"team": "pay"}',
    '{"matchlabels": {"team": "pay"}}',
    "MATCHLABELS: {team: pay}",
    "matchLabels: {team: pay, team: shop}",
    '{"matchLabels": {"team": "no label"}}',
)


@dataclass(frozen=True)
class Real:
    """`tokens` by namespace, of a service account `api` in each; `reader` leads to the API server and may list namespaces, `nobody` may not."""

    bao: Server
    mount: str
    tokens: dict[str, str]
    reader: Path
    nobody: Path


@pytest.fixture
def real(tmp_path: Path, bao: Server) -> Iterator[Real]:
    tag = uuid.uuid4().hex[:8]
    kubectl = clusters.Cluster(clusters.kubeconfig(), "", "")
    spaces = [f"{name}-{tag}" for name in LABELS]
    manifests = yaml.safe_dump_all(list(_objects(tag)))
    view = yaml.safe_load(kubectl.must("config", "view", "--raw", "--minify", "--flatten"))
    server = view["clusters"][0]["cluster"]
    try:
        kubectl.must("apply", "--filename=-", given=manifests)
        reviewer, reader, nobody = (
            kubectl.must("create", "token", name, f"--namespace=bare-{tag}").strip()
            for name in ("reviewer", "reader", "nobody")
        )
        tokens = {
            name: kubectl.must("create", "token", "api", f"--namespace={name}").strip() for name in spaces
        }
        bao.call("POST", f"sys/auth/k8s-{tag}", {"type": "kubernetes"})
        ca = server["certificate-authority-data"]
        config = {"kubernetes_host": server["server"], "kubernetes_ca_cert": base64.b64decode(ca).decode()}
        bao.call("POST", f"auth/k8s-{tag}/config", config | {"token_reviewer_jwt": reviewer})
        leads = []
        for name, token in (("reader", reader), ("nobody", nobody)):
            (tmp_path / name).mkdir()
            leads.append(api_server.kubeconfig(tmp_path / name, server["server"], token=token, ca=ca))
        yield Real(bao, f"k8s-{tag}", tokens, *leads)
    finally:
        kubectl.kubectl("delete", "--filename=-", "--ignore-not-found", "--wait=false", given=manifests)
        bao.call("DELETE", f"sys/auth/k8s-{tag}")


def _objects(tag: str) -> Iterator[dict[str, object]]:
    """The server's own token, `reviewer`, reads a namespace and has tokens reviewed; `reader` has the documented role."""
    for name, labels in LABELS.items():
        place = {"name": f"{name}-{tag}"}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {**place, "labels": labels}}
        yield _account("api", place["name"])
    rules = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    ]
    yield _account("nobody", f"bare-{tag}")
    for name, allowed in (("reviewer", rules), ("reader", yaml.safe_load(ROLE)["rules"])):
        yield _account(name, f"bare-{tag}")
        metadata = {"name": f"{name}-{tag}"}
        yield {"apiVersion": f"{API}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": allowed}
        yield {
            "apiVersion": f"{API}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": f"bare-{tag}"}],
        }


def _account(name: str, namespace: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _bound(selector: str) -> dict[str, object]:
    bound = {"bound_service_account_names": ["api"], "bound_service_account_namespaces": ["elsewhere-*"]}
    return bound | {"bound_service_account_namespace_selector": selector, "token_policies": ["shop"]}


def _may_log_in(real: Real, role: str, token: str) -> bool:
    try:
        real.bao.call("POST", f"auth/{real.mount}/login", {"role": role, "jwt": token}, token="")
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.FORBIDDEN:
            return False
        raise
    return True


def test_the_namespaces_that_a_selector_fits_are_those_whose_accounts_log_in(
    real: Real, tmp_path: Path
) -> None:
    """As `who-can` says over the real list, with a token that may do nothing but list it; names and selector are one or the other."""
    (tmp_path / "shop.hcl").write_text('path "kv/data/x" { capabilities = ["read"] }')
    folder = tmp_path / "auth" / real.mount / "role"
    folder.mkdir(parents=True)
    for number, selector in enumerate(SELECTORS):
        real.bao.call("POST", f"auth/{real.mount}/role/r{number}", _bound(selector))
        stored = real.bao.call("GET", f"auth/{real.mount}/role/r{number}")["data"]
        (folder / f"r{number}.json").write_text(json.dumps({"data": stored}))
    done = podkeys(
        tmp_path,
        "policies",
        "who-can",
        "read",
        "kv/data/x",
        "--policies=.",
        f"--kubeconfig={real.reader}",
        "--json",
    )
    assert done.code == 0, done.err
    said = {answer["subject"].partition("/")[2]: answer["serviceAccounts"][1]["now"] for answer in done.json}
    for number, selector in enumerate(SELECTORS):
        lets_in = [name for name, token in real.tokens.items() if _may_log_in(real, f"r{number}", token)]
        assert sorted(set(said[f"r{number}"]) & set(real.tokens)) == sorted(lets_in), selector


def test_the_server_refuses_what_is_no_selector_and_expressions_to_this_day(real: Real) -> None:
    for selector in ("team=pay", "[", "matchExpressions: [{key: team, operator: Exists}]"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            real.bao.call("POST", f"auth/{real.mount}/role/wrong", _bound(selector))


def test_whoever_may_not_list_namespaces_is_told_so_in_the_servers_words(real: Real, tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text('path "kv/data/x" { capabilities = ["read"] }')
    done = podkeys(
        tmp_path, "policies", "who-can", "read", "kv/data/x", "--policies=.", f"--kubeconfig={real.nobody}"
    )
    assert (done.code, done.out) == (64, "")
    assert 'cannot list resource "namespaces"' in done.err
    assert "the verb list on namespaces" in done.err
