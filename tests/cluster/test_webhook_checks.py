"""Checks of the installed chart, on both outcomes; answers of API servers as they were seen."""

import base64
from typing import Any

import pytest

from cluster import facts
from cluster.checks import backstop, webhook
from cluster.facts import Attempt, Registration, Replica
from cluster.finding import Unread
from policies.catalog import digest
from tests.cluster.trees import NOW, tree

CALL = 'Internal error occurred: failed calling webhook "pods.podkeys.dev": failed to call webhook: '
GOOD = Registration("podkeys-system", "podkeys-webhook", "-----BEGIN CERTIFICATE-----", "Fail")
IN_A_YEAR = NOW.timestamp() + 365 * 86400
LAST_YEAR = NOW.timestamp() - 365 * 86400


def test_a_registered_webhook_fails_closed_and_has_a_ca() -> None:
    assert webhook.webhook_registered(GOOD).result == "ok"
    for found, got in (
        (None, "none"),
        (Registration("podkeys-system", "podkeys-webhook", "", "Fail"), "no caBundle"),
        (Registration("podkeys-system", "podkeys-webhook", "x", "Ignore"), "failurePolicy Ignore"),
    ):
        finding = webhook.webhook_registered(found)
        assert (finding.result, got in finding.got) == ("failed", True)


@pytest.mark.parametrize(
    ("answer", "result", "says"),
    [
        (
            'admission webhook "pods.podkeys.dev" denied the request: podkeys.dev/cluster-check: unknown',
            "ok",
            "shop",
        ),
        (
            'admission webhook "pods.podkeys.dev" denied the request: the catalog is not loaded',
            "failed",
            "catalog",
        ),
        (
            CALL + "Post https://…: tls: failed to verify certificate: x509: unknown authority",
            "failed",
            "caBundle",
        ),
        (
            CALL + 'Post https://…: no endpoints available for service "podkeys-webhook"',
            "failed",
            "no replica is ready",
        ),
        (CALL + 'Post https://…: service "podkeys-webhook" not found', "failed", "the Service is gone"),
        (
            CALL + "Post https://…: dial tcp 10.0.0.1:443: connect: connection refused",
            "failed",
            "no replica listens",
        ),
        (CALL + "Post https://…: context deadline exceeded", "failed", "network policies"),
        (
            "ValidatingAdmissionPolicy 'pods.podkeys.dev' with binding … denied request",
            "failed",
            "backstop refused it",
        ),
        ("", "failed", "neither webhook nor backstop"),
        ("exceeded quota: tight", "unknown", "exceeded quota: tight"),
    ],
)
def test_the_answer_to_a_pod_that_is_tried_out_tells_what_is_wrong(
    answer: str, result: str, says: str
) -> None:
    found = webhook.webhook_called(Attempt("shop", answer))
    assert found.result == result
    assert says in found.got + found.remedy


@pytest.mark.parametrize(
    ("replicas", "result", "says"),
    [
        (
            (Replica("a", "", LAST_YEAR, IN_A_YEAR), Replica("b", "", LAST_YEAR, IN_A_YEAR)),
            "ok",
            "2 replicas",
        ),
        ((), "failed", "no running pod"),
        (
            (Replica("a", "", LAST_YEAR, IN_A_YEAR), Replica("b", "caBundle does not verify …")),
            "failed",
            "b: caBundle",
        ),
        ((Replica("a", "", LAST_YEAR, NOW.timestamp() + 86400),), "failed", "ends 2026-11-26"),
        ((Replica("a", "", NOW.timestamp() - 36000, NOW.timestamp() + 43200),), "ok", "1 replica"),
        ((Replica("a", "", NOW.timestamp() - 66000, NOW.timestamp() + 20400),), "failed", "ends 2026-11-25"),
    ],
)
def test_every_replica_must_serve_what_the_bundle_verifies_for_a_week_or_a_quarter_of_its_life(
    replicas: tuple[Replica, ...], result: str, says: str
) -> None:
    found = webhook.serving_certificate(replicas, NOW.timestamp())
    assert (found.result, says in found.got) == (result, True)


def test_the_catalog_in_the_cluster_is_compared_file_by_file() -> None:
    wanted = tree(
        files={name: digest(name.encode()) for name in ("cluster.json", "manifest.json", "shop.json")}
    )
    same = {
        "podkeys-cluster": {"cluster.json": "cluster.json"},
        "podkeys-catalog": {"manifest.json": "manifest.json"},
    }
    shards = {"podkeys-catalog-0": {"shop.json": "shop.json"}, "podkeys-catalog-1": {}}
    assert webhook.catalog_current(wanted, same | shards).result == "ok"
    for changed, got in (
        ({}, "no shop.json"),
        ({"podkeys-catalog-0": {"shop.json": "old"}}, "shop.json differs"),
        (shards | {"podkeys-catalog-1": {"gone.json": "x"}}, "gone.json is left over"),
        (
            {"podkeys-catalog-5": {"shop.json": "old"}} | shards,
            "shop.json is in podkeys-catalog-0 and podkeys-catalog-5",
        ),
    ):
        found = webhook.catalog_current(wanted, same | changed)
        assert (found.result, found.got) == ("failed", got)
        assert found.remedy.startswith(
            "kubectl apply --server-side -n podkeys-system -f generated/east/catalog"
        )
        assert "kubectl delete -n podkeys-system -f generated/east/catalog.configmap.yaml" in found.remedy


def test_what_the_api_server_has_registered_is_read() -> None:
    service = {"namespace": "podkeys-system", "name": "podkeys-webhook"}
    bundle = base64.b64encode(b"PEM").decode()
    ours = {
        "name": "pods.podkeys.dev",
        "failurePolicy": "Fail",
        "clientConfig": {"service": service, "caBundle": bundle},
    }
    assert facts.registration({"webhooks": [ours]}) == Registration(
        "podkeys-system", "podkeys-webhook", "PEM", "Fail"
    )
    others: tuple[dict[str, Any] | None, ...] = (
        None,
        {"webhooks": []},
        {"webhooks": [{**ours, "clientConfig": {"url": "https://example.com"}}]},
    )
    for other in others:
        assert facts.registration(other) is None


def test_what_could_not_be_read_of_the_installation_is_unknown() -> None:
    reason = Unread("forbidden", "allow it")
    found = (
        webhook.webhook_registered(reason),
        webhook.webhook_called(reason),
        webhook.serving_certificate(reason, NOW.timestamp()),
        webhook.catalog_current(tree(), reason),
        backstop.backstop_bound(reason, reason),
    )
    assert {item.result for item in found} == {"unknown"}
