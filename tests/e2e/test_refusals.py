"""What is refused: at admission, with a message that reaches the person; and once more by the server."""

import copy
import json
import os
from collections.abc import Iterator

import pytest

from tests.e2e.installation import NAMESPACE, Installation, accept_tokens
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.tokens import ask, log_in, token_of
from tests.e2e.workloads import pod, refusal, template

CARD = {"inject": "true", "secrets": "card"}
SLEEP = "import time; time.sleep(3600)"
ROLE = "podkeys.shop.leaver.leaver"


@pytest.mark.parametrize(
    ("name", "annotations", "spec", "said"),
    [
        ("undeclared", {"inject": "true", "secrets": "ledger"}, {}, "role shop does not declare"),
        ("stranger", CARD, {"serviceAccountName": "stranger"}, "stranger"),
        ("unknown", {**CARD, "sekret": "x"}, {}, "unknown annotation"),
        ("misspelt", {"inject": "True", "secrets": "card"}, {}, 'expected "true" or "false"'),
        ("forged", CARD, {"volumes": [{"name": "podkeys-token", "emptyDir": {}}]}, "podkeys-token"),
        ("shared", CARD, {"shareProcessNamespace": True}, "spec.shareProcessNamespace: got true"),
    ],
)
def test_a_refusal_reaches_the_replicasets_events(
    installation: Installation, name: str, annotations: dict[str, str], spec: Json, said: str
) -> None:
    del installation
    assert said in refusal(f"refused-{name}", template(annotations, **spec))


@pytest.mark.parametrize(
    ("namespace", "said"),
    [
        ("unlabelled", "namespace unlabelled is not labelled podkeys.dev/injection=enabled"),
        ("without-role", 'namespace "without-role" has no role in cluster e2e'),
    ],
)
def test_where_nobody_prepared_a_namespace_its_replicasets_are_told(
    installation: Installation, namespace: str, said: str
) -> None:
    """A pod that asked for injection never runs without it."""
    del installation
    assert said in refusal("unprepared", template(CARD, serviceAccountName="default"), namespace)


def test_a_pod_made_by_hand_in_a_namespace_without_the_label_is_refused(installation: Installation) -> None:
    del installation
    made = pod("by-hand", template(CARD, serviceAccountName="default"), "unlabelled")
    assert "podkeys.dev/injection" in refused(made)


def refused(made: Json) -> str:
    """What kubectl said; fails where the pod was accepted, which a dry run keeps from running."""
    done = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made), check=False)
    assert done.returncode != 0, f"{made['metadata']['name']} was accepted: {done.stdout}"
    return done.stderr


@pytest.fixture(scope="module")
def forged(installation: Installation) -> Json:
    """A pod as the webhook makes it, whose settings then name another namespace's secret."""
    del installation
    asked = json.dumps(pod("forged", template(CARD)))
    made: Json = json.loads(
        kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=asked).stdout
    )
    made["metadata"] = {key: made["metadata"][key] for key in ("name", "namespace", "annotations")}
    text = json.dumps(made)
    assert "kv/data/shop/card" in text
    changed: Json = json.loads(text.replace("kv/data/shop/card", "kv/data/books/ledger"))
    return changed


def test_forged_settings_are_refused_by_the_webhook_and_by_the_backstop(forged: Json) -> None:
    """By the webhook where it is called, and inside the API server where it is not."""
    assert "this pod already has what Podkeys adds itself" in refused(forged)
    elsewhere = copy.deepcopy(forged)
    elsewhere["metadata"]["namespace"] = "unlabelled"
    elsewhere["spec"]["serviceAccountName"] = elsewhere["spec"]["serviceAccount"] = "default"
    assert "is not labelled podkeys.dev/injection=enabled" in refused(elsewhere)
    elsewhere["metadata"].pop("annotations")
    assert "is not labelled podkeys.dev/injection=enabled" in refused(elsewhere)


@pytest.mark.parametrize("namespace", [NAMESPACE, "unlabelled"])
def test_a_pod_may_not_mount_a_token_for_the_server_itself(
    installation: Installation, namespace: str
) -> None:
    """Invariant: a token with Vault's audience is mounted in our containers alone."""
    del installation
    token = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
    volumes = [{"name": "mine", "projected": {"sources": [token]}}]
    made = template({}, serviceAccountName="default", volumes=volumes)
    assert "only the volume podkeys-token may hold a service account token" in refused(
        pod("mine", made, namespace)
    )


def test_nobody_but_a_node_may_request_a_token_for_the_server(installation: Installation) -> None:
    del installation
    done = kubectl("-n", NAMESPACE, "create", "token", "shop", "--audience=vault", check=False)
    assert done.returncode != 0
    assert "only nodes may request tokens with audience vault" in done.stderr


@pytest.fixture(scope="module")
def leaver(installation: Installation) -> Iterator[Json]:
    """A running pod whose role has one secret."""
    del installation
    apply(pod("leaver", template(CARD, SLEEP, serviceAccountName="leaver")))
    wait_for("pod leaver", lambda: get("pod", NAMESPACE, "leaver")["status"]["phase"] == "Running")
    yield get("pod", NAMESPACE, "leaver")
    kubectl("-n", NAMESPACE, "delete", "pod", "leaver")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "kv/data/shop/mail"),  # of its own namespace, declared by another role
        ("GET", "kv/data/books/ledger"),  # of another namespace
        ("GET", "kv/metadata/shop/card"),
        ("POST", "kv/data/shop/card"),
        ("POST", "pki-e2e/sign/podkeys.shop.shop.serving"),
        ("POST", "spiffe-e2e/sign/podkeys.shop.shop.shop"),
        ("GET", "sys/policies/acl/podkeys.e2e.shop.leaver"),
    ],
)
def test_the_server_refuses_a_pods_real_token_what_its_role_does_not_name(
    installation: Installation, leaver: Json, method: str, path: str
) -> None:
    """Invariant: what admission misses is refused again by Vault. That the same token reads its own secret shows it real."""
    login = log_in(installation, token_of(leaver), ROLE)
    token = login.body["auth"]["client_token"]
    assert ask(installation, "GET", "kv/data/shop/card", token=token).status == 200
    body = {"data": {"api_key": "x"}} if method == "POST" else None
    answer = ask(installation, method, path, body, token=token)
    assert (answer.status, "permission denied" in answer.text) == (403, True)


@pytest.mark.parametrize("role", ["podkeys.books.books.books", "podkeys.shop.shop.shop"])
def test_the_server_refuses_a_pods_real_token_the_login_of_another(
    installation: Installation, leaver: Json, role: str
) -> None:
    answer = log_in(installation, token_of(leaver), role)
    assert answer.status == 400
    assert "claim" in answer.text or "subject" in answer.text


def test_the_server_refuses_a_token_that_was_made_for_another_audience(
    installation: Installation, leaver: Json
) -> None:
    del leaver
    jwt = kubectl("-n", NAMESPACE, "create", "token", "leaver").stdout.strip()
    answer = log_in(installation, jwt, ROLE)
    assert answer.status == 400
    assert "audience" in answer.text


def test_the_server_refuses_tokens_of_one_cluster_at_the_mount_of_another(
    installation: Installation, leaver: Json
) -> None:
    """Both ways, for a service account of the same name; each token logs in at its own cluster's mount."""
    config = os.environ.get("E2E_OTHER_KUBECONFIG", "")
    if not config:
        pytest.skip("no E2E_OTHER_KUBECONFIG (of a second cluster), so its tokens can't be tried here")
    other = ("--kubeconfig", config)
    ours, theirs = token_of(leaver), foreign_token(other)
    accept_tokens(installation, "jwt-other", *other)
    try:
        role = installation.login_role(NAMESPACE, "leaver", "leaver")["data"]
        installation.call("POST", f"auth/jwt-other/role/{ROLE}", role)
        answers = [
            log_in(installation, jwt, ROLE, mount).status
            for jwt in (ours, theirs)
            for mount in ("jwt-e2e", "jwt-other")
        ]
    finally:
        installation.call("DELETE", "sys/auth/jwt-other")
    assert answers == [200, 400, 400, 200]


def foreign_token(other: tuple[str, str]) -> str:
    account = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "leaver", "namespace": NAMESPACE},
        },
    ]
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": account})
    kubectl(*other, "apply", "-f", "-", stdin=items)
    return kubectl(*other, "-n", NAMESPACE, "create", "token", "leaver", "--audience=vault").stdout.strip()
