"""Checks of versions, nodes, namespaces and accounts, on both outcomes."""

from dataclasses import replace

import pytest

from cluster import facts
from cluster.checks import kubernetes, namespaces
from cluster.facts import Node
from cluster.finding import Unread
from policies.catalog import Secret
from tests.cluster.trees import tree

ENV = Secret("card", "kv2", "kv/data/shop/card", env=True)
NEW = Node("new", (1, 37), (6, 18))
LABELS = {"podkeys.dev/injection": "enabled"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.37.2", (1, 37)), ("v1.33.4+k3s1", (1, 33)), ("6.18.44-fc-v509", (6, 18)), ("weird", (0, 0))],
)
def test_versions_are_read_as_kubernetes_and_kernels_write_them(text: str, version: facts.Version) -> None:
    assert facts.version(text) == version


@pytest.mark.parametrize(
    ("secrets", "got", "result", "why"),
    [
        ((), (1, 33), "ok", "native sidecars"),
        ((), (1, 32), "failed", "native sidecars"),
        ((ENV,), (1, 35), "ok", "env: true"),
        ((ENV,), (1, 34), "failed", "env: true"),
    ],
)
def test_the_api_server_is_as_new_as_what_is_switched_on(
    secrets: tuple[Secret, ...], got: facts.Version, result: str, why: str
) -> None:
    found = kubernetes.kubernetes_version(tree(*secrets), got)
    assert found.result == result
    assert why in found.got + found.expected


def test_what_the_cluster_file_promises_of_its_nodes_is_held() -> None:
    found = kubernetes.kubelet_versions(tree(min_kubelet=(1, 37)), (Node("old", (1, 36), (6, 18)),))
    assert (found.got, "minKubeletVersion" in found.expected) == ("old 1.36", True)


def test_each_kubelet_that_is_too_old_is_named() -> None:
    old = [Node(f"old-{number}", (1, 34), (6, 18)) for number in range(12)]
    found = kubernetes.kubelet_versions(tree(ENV), (NEW, *old))
    assert (found.result, "old-0 1.34" in found.got, "and 2 more" in found.got) == ("failed", True, True)
    assert kubernetes.kubelet_versions(tree(ENV), (NEW,)).result == "ok"


@pytest.mark.parametrize(
    ("node", "keeps"),
    [
        (Node("noswap", (1, 37), (6, 4), swap_bytes=1 << 30), True),
        (Node("old-kernel", (1, 37), (6, 1), swap_bytes=1 << 30), False),
        (Node("old-kubelet", (1, 30), (6, 18), swap_bytes=None), None),
        (Node("says-nothing-as-there-is-none", (1, 34), (5, 15)), True),
        (Node("says-none", (1, 33), (5, 15), swap_bytes=0), True),
        (Node("refuses-to-start-with-swap", (1, 33), (5, 15), fails_on_swap=True), True),
        (Node("may-start-with-swap", (1, 33), (5, 15), fails_on_swap=False), False),
        (Node("unread", (1, 33), (5, 15)), None),
    ],
    ids=lambda value: value.name if isinstance(value, Node) else str(value),
)
def test_nodes_that_may_swap_memory_backed_volumes_are_told_from_those_that_never_do(
    node: Node,
    keeps: bool | None,  # noqa: FBT001 - a table's column
) -> None:
    """Invariant 1: files never touch a disk."""
    assert kubernetes.keeps_memory(node) is keeps
    found = kubernetes.memory_volumes((NEW, node))
    assert found.result == {True: "ok", False: "failed", None: "unknown"}[keeps]
    assert keeps or node.name in found.got


def test_namespaces_that_role_files_name_must_be_there_with_the_label() -> None:
    assert namespaces.role_namespaces(tree(), {"shop": {}}).result == "ok"
    assert namespaces.role_namespaces(tree(), {"other": LABELS}).got == "no namespace shop"
    assert namespaces.injection_label(tree(), {"shop": LABELS}, "podkeys-system").result == "ok"
    for labels in ({}, {"podkeys.dev/injection": "true"}):
        found = namespaces.injection_label(tree(), {"shop": labels}, "podkeys-system")
        assert (found.result, found.remedy) == (
            "failed",
            "kubectl label namespace shop podkeys.dev/injection=enabled",
        )


def test_the_webhooks_own_namespace_needs_no_label() -> None:
    """It may have a role, for the serving certificate, and nothing is injected there."""
    assert namespaces.injection_label(tree(), {"shop": {}}, "shop").result == "ok"


def test_a_missing_namespace_is_reported_once() -> None:
    assert namespaces.injection_label(tree(), {}, "podkeys-system").result == "ok"


def test_service_accounts_that_role_files_name_must_be_there() -> None:
    assert namespaces.service_accounts(tree(), frozenset({("shop", "api")}), "podkeys-system").result == "ok"
    found = namespaces.service_accounts(tree(), frozenset({("other", "api")}), "podkeys-system")
    assert (found.result, found.got) == ("failed", "no service account shop/api (shop.yaml)")


def test_the_charts_own_service_account_is_nobody_elses_to_create() -> None:
    """It may have a role, for the serving certificate, and Helm refuses to take over what exists."""
    found = tree()
    role = found.namespaces["shop"].roles["shop"]
    role = replace(role, service_accounts={"podkeys-webhook": role.service_accounts["api"]})
    found = replace(found, namespaces={"shop": replace(found.namespaces["shop"], roles={"shop": role})})
    assert namespaces.service_accounts(found, frozenset(), "shop").result == "ok"
    assert namespaces.service_accounts(found, frozenset(), "podkeys-system").result == "failed"


def test_what_could_not_be_read_is_unknown_and_says_why() -> None:
    reason = Unread("nodes is forbidden", "allow it")
    for found in (
        kubernetes.kubernetes_version(tree(), reason),
        kubernetes.kubelet_versions(tree(), reason),
        kubernetes.memory_volumes(reason),
        namespaces.role_namespaces(tree(), reason),
        namespaces.injection_label(tree(), reason, "podkeys-system"),
        namespaces.service_accounts(tree(), reason, "podkeys-system"),
    ):
        assert (found.result, found.got, found.remedy) == ("unknown", "nodes is forbidden", "allow it")
