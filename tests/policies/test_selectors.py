"""Label selectors and patterns of namespaces, as they stand; tests/cluster/test_real_namespaces.py has the server decide on them too."""

import time

import pytest

from policies.acl.logins import Account
from policies.review.clusters import Cluster, Now
from policies.review.selectors import SelectorError, selector

LABELS = {
    "pay-1": {"team": "pay"},
    "pay-2": {"team": "pay", "stage": "prod"},
    "shop": {"team": "shop"},
    "plain": {},
}
ALL = tuple(sorted(LABELS))


def chosen(text: str) -> Now:
    return Cluster(LABELS, frozenset()).now(Account("", "api", text))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"matchLabels": {"team": "pay", "stage": "prod"}}', ("pay-2",)),
        ('{"matchExpressions": [{"key": "team", "operator": "In", "values": ["shop", "pay"]}]}', ("pay-1", "pay-2", "shop")),
        ('{"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["pay"]}]}', ("plain", "shop")),
        ("matchExpressions: [{key: stage, operator: Exists}]", ("pay-2",)),
        ("matchExpressions: [{key: team, operator: DoesNotExist, values: []}]", ("plain",)),
        ("matchLabels: {team: pay}\nmatchExpressions: [{key: stage, operator: DoesNotExist}]", ("pay-1",)),
    ],
)  # fmt: skip
def test_a_selector_asks_for_all_that_it_says(text: str, names: tuple[str, ...]) -> None:
    assert chosen(text) == Now(names)


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "team=pay",
        "[]",
        "\x00",
        "matchLabels: pay",
        "matchLabels: {team: yes}",
        "matchLabels: {2030-13-45: pay}",
        "matchLabels: {since: 2030-13-45}",
        "matchExpressions: {key: team, operator: Exists}",
        "matchExpressions: [team]",
        "matchExpressions: [{key: team, operator: in, values: [pay]}]",
        "matchExpressions: [{key: team, operator: In}]",
        "matchExpressions: [{key: team, operator: Exists, values: [pay]}]",
        "matchExpressions: [{operator: Exists}]",
        "[" * 100_000,
    ],
)
def test_a_selector_that_cannot_be_read_is_told_and_never_guessed(text: str) -> None:
    with pytest.raises(SelectorError, match=r"^got "):
        selector(text)
    now = chosen(text)
    assert now.namespaces is None
    assert now.why.startswith("the selector can't be read: got ")


def test_a_pattern_and_a_name_fit_what_is_there_now() -> None:
    cluster = Cluster(LABELS, frozenset())
    fitting = {
        name: cluster.now(Account(name, "api")).namespaces for name in ("*", "pay-*", "shop", "gone-*")
    }
    assert fitting == {"*": ALL, "pay-*": ("pay-1", "pay-2"), "shop": ("shop",), "gone-*": ()}


def test_thousands_of_roles_in_thousands_of_namespaces_are_looked_up_at_once() -> None:
    cluster = Cluster({f"team-{number}": {"n": str(number % 7)} for number in range(10_000)}, frozenset())
    start = time.process_time()
    for number in range(1_000):
        assert len(cluster.now(Account("team-*", f"api-{number}")).namespaces or ()) == 10_000
        assert cluster.now(Account("", f"api-{number}", 'matchLabels: {n: "3"}')).namespaces
    assert time.process_time() - start < 2
