from decimal import Decimal
from typing import Any

import pytest

from tests.webhook.admissions import container, injected, pod
from webhook.resources import amount

FULL = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("1", "1"),
        (2, "2"),
        (0.5, "0.5"),
        ("1Ki", "1024"),
        ("1k", "1000"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("5n", "5e-9"),
        ("", "-1"),
        ("-1", "-1"),
        ("1e999999", "-1"),
        (None, "-1"),
        ([], "-1"),
    ],
)
def test_a_quantity_is_read_as_kubernetes_does(text: object, value: str) -> None:
    assert amount(text) == Decimal(value)


def _with(resources: dict[str, Any], together: dict[str, Any] | None = None) -> dict[str, Any]:
    """A pod whose containers, and which as a whole, sets these resources."""
    value = pod({"secrets": "stripe", "sidecar": "true"})
    for item in value["spec"]["containers"]:
        item["resources"] = resources
    return {**value, "spec": {**value["spec"], "resources": together}}


@pytest.mark.parametrize(
    "resources",
    [{"limits": FULL}, {"limits": FULL, "requests": {"cpu": "1000m", "memory": "1024Mi"}}],
)
def test_a_guaranteed_pod_stays_guaranteed(resources: dict[str, Any]) -> None:
    value = injected(_with(resources))
    for name in ("podkeys-init", "podkeys-sidecar"):
        found = container(value, name)["resources"]
        assert found["requests"] == found["limits"]


@pytest.mark.parametrize(
    "resources", [{}, {"requests": FULL}, {"limits": FULL, "requests": {"cpu": "0.5", "memory": "1Gi"}}]
)
def test_in_other_pods_little_is_reserved_and_more_may_be_used(resources: dict[str, Any]) -> None:
    """Sleeping is nearly all that a sidecar does; to renew and to revoke in time it needs more for a moment."""
    found = container(injected(_with(resources)), "podkeys-sidecar")["resources"]
    assert found == {
        "limits": {"cpu": "500m", "memory": "64Mi"},
        "requests": {"cpu": "10m", "memory": "16Mi"},
    }


def test_what_the_pod_sets_for_all_together_is_left_to_it() -> None:
    found = container(injected(_with({}, {"limits": {"memory": "1Gi"}})), "podkeys-sidecar")
    assert found["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "10m"}}
