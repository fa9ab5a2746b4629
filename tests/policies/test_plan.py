"""The decision: what should stand and what stands → changes in order. No server."""

import dataclasses
from pathlib import Path
from typing import Any

import click
import pytest

from demo.mounts import Mounts
from demo.service_accounts import Issuer
from policies import names
from policies.apply import show, tree
from policies.apply.compare import ABSENT, differences
from policies.apply.outcome import Notes
from policies.apply.permissions import applying_policy, needed
from policies.apply.plan import Plan, decide
from policies.apply.protections import lacking, product
from policies.apply.state import Desired, Stored, owner, places
from tests.policies import trees

MOUNTS = Mounts("kv", "kv1", "pki-east", "spiffe-east", "jwt-east", Issuer())
POLICY = "sys/policies/acl/podkeys.east.payments.payments"
LOGIN = "auth/jwt-east/role/podkeys.payments.payments.api"
SERVING = "pki-east/roles/podkeys.payments.payments.serving"
SVID = "spiffe-east/roles/podkeys.payments.payments.api"


@pytest.fixture
def made(tmp_path: Path) -> trees.Tree:
    tree_ = trees.Tree(tmp_path, trees.cluster(MOUNTS, "https://vault.example.com:8200")).start()
    tree_.role("payments", "payments")
    return tree_


@pytest.fixture
def desired(made: trees.Tree) -> Desired:
    return tree.read(made.top, "east")


def applied(desired: Desired) -> dict[str, Stored]:
    """A server on which exactly this stands."""
    return {
        path: Stored(item.fields, 1 if item.kind == "policy" else None)
        for path, item in desired.items.items()
    }


def steps(plan: Plan) -> list[tuple[str, str]]:
    return [(change.action, change.path) for change in plan.changes]


def test_policies_are_written_first_and_login_roles_last(desired: Desired) -> None:
    assert steps(decide(desired, {})) == [
        ("create", POLICY),
        ("create", f"{POLICY}.api"),
        ("create", SERVING),
        ("create", SVID),
        ("create", LOGIN),
    ]


def test_what_stands_as_wanted_is_not_written(desired: Desired) -> None:
    plan = decide(desired, applied(desired))
    assert (plan.changes, plan.unchanged) == ((), 5)


def test_a_changed_policy_is_updated_from_the_version_that_was_read(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text("kv/data/other")}, 7)
    (change,) = decide(desired, current).changes
    assert (change.action, change.path, change.stored) == ("update", POLICY, current[POLICY])


def test_removal_goes_the_other_way_and_only_with_prune(desired: Desired) -> None:
    """Invariant: nothing is deleted without --prune."""
    nothing = dataclasses.replace(desired, items={})
    current = applied(desired)
    plan = decide(nothing, current)
    assert plan.changes == ()
    assert plan.kept == tuple(sorted(current))
    assert steps(decide(nothing, current, prune=True)) == [
        ("delete", LOGIN),
        ("delete", SVID),
        ("delete", SERVING),
        ("delete", f"{POLICY}.api"),
        ("delete", POLICY),
    ]


@pytest.mark.parametrize("prune", [True, False])
def test_a_policy_of_our_name_without_our_mark_stops_its_whole_service_role(
    desired: Desired, *, prune: bool
) -> None:
    """Invariant: apply touches only what is ours."""
    plan = decide(desired, {POLICY: Stored({"policy": "# by hand"}, 1)}, prune=prune)
    assert plan.changes == ()
    assert [found.path for found in plan.conflicts] == [POLICY]
    assert plan.blocked == tuple(sorted(desired.items.keys() - {POLICY}))


@pytest.mark.parametrize("path", [LOGIN, SERVING, SVID])
def test_a_role_of_our_name_whose_policy_is_not_there_is_not_ours(desired: Desired, path: str) -> None:
    """Writing the policy alone would make somebody else's role ours in the next run: so neither is written."""
    plan = decide(desired, {path: Stored({"ttl": 1})}, prune=True)
    assert plan.changes == ()
    assert [found.path for found in plan.conflicts] == [path]


def test_a_conflict_does_not_stop_other_service_roles(made: trees.Tree) -> None:
    made.role("shop", "shop")
    plan = decide(tree.read(made.top, "east"), {POLICY: Stored({"policy": "# by hand"}, 1)})
    assert len(plan.changes) == 5
    assert all("shop" in change.path for change in plan.changes)


def test_nothing_of_a_service_role_in_conflict_is_pruned(desired: Desired) -> None:
    current = applied(desired)
    stale = "auth/jwt-east/role/podkeys.payments.payments.worker"
    current |= {f"{POLICY}.api": Stored({"policy": "# by hand"}, 1), stale: Stored({})}
    plan = decide(desired, current, prune=True)
    assert (plan.changes, plan.kept) == ((), ())


@pytest.mark.parametrize(
    "path",
    [
        "auth/jwt-east/role/podkeys.other.other.api",
        "pki-east/roles/podkeys.payments.payments",
        "pki-east/roles/podkeys.payments.payments.Serving",
        "pki-east/roles/podkeys.payments.payments.a.b",
        "pki-east/roles/podkeys...",
        "sys/policies/acl/podkeys.east.a/b",
        "sys/policies/acl/podkeys.east.a.b",
        "sys/policies/acl/podkeys.east.marked",
    ],
)
def test_what_only_looks_like_ours_is_left_alone(desired: Desired, path: str) -> None:
    """Invariant: apply touches only what is ours; a name with our prefix is not enough."""
    text = f"{names.MARK}, or so it says" if path.endswith("marked") else "# by hand"
    current = {**applied(desired), path: Stored({"policy": text})}
    plan = decide(desired, current, prune=True)
    assert plan.changes == ()
    assert plan.foreign == (path,)


def test_the_mark_must_begin_the_policy(desired: Desired) -> None:
    current = {POLICY: Stored({"policy": f"# by hand\n{names.MARK}"}, 1)}
    assert len(decide(desired, current).conflicts) == 1


@pytest.mark.parametrize(
    ("field", "wanted", "got"),
    [
        ("ttl", "1h", 3600),
        ("token_max_ttl", "1h30m", 5400),
        ("clock_skew_leeway", "10s", 10),
        ("not_before_duration", "60", 60),
        ("key_usage", ["a", "b"], ["b", "a"]),
        ("allowed_domains", [], None),
        ("bound_claims", {}, None),
        ("bound_claims", {"a": "b", "c": "d"}, {"c": "d", "a": "b"}),
    ],
)
def test_the_same_value_in_the_servers_form_is_no_difference(field: str, wanted: object, got: object) -> None:
    assert differences({field: wanted}, {field: got, "added_by_the_server": 1}) == {}


@pytest.mark.parametrize(
    ("field", "wanted", "got"),
    [
        ("ttl", "1h", 3601),
        ("ttl", "forever", 0),
        ("require_cn", False, 0),
        ("key_bits", 1, True),
        ("allowed_domains", ["a"], []),
        ("allowed_domains", ["a"], ["a", "b"]),
        ("allowed_domains", ["a"], "a"),
        ("not_after_bound", "forbid", "permit"),
        ("token_policies", ["1h"], [3600]),
        ("audience", "1h", 3600),
    ],
)
def test_another_value_is_a_difference(field: str, wanted: object, got: object) -> None:
    assert differences({field: wanted}, {field: got}) == {field: (wanted, got)}


@pytest.mark.parametrize("value", [False, 0, "forbid", ["10.0.0.0/8"]])
def test_a_missing_field_is_a_difference_even_where_false_was_wanted(value: object) -> None:
    """A server that does not know a field does what it likes there."""
    assert differences({"allow_localhost": value}, {}) == {"allow_localhost": (value, ABSENT)}


def test_a_field_that_asks_for_nothing_may_be_missing() -> None:
    assert differences({"allowed_ip_sans_cidr": []}, {}) == {}


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({"version": "2.7.2"}, "OpenBao 2.7.2"),
        ({"version": "2.6.0-beta1"}, "OpenBao 2.6.0"),
        ({"version": "1.21.0", "enterprise": False}, "HashiCorp Vault 1.21.0"),
        ({"version": "2.0.1+ent", "enterprise": True}, "HashiCorp Vault 2.0.1"),
        ({"version": "1.14.8"}, "HashiCorp Vault 1.14.8"),
    ],
)
def test_a_server_is_known_by_its_health_report(health: dict[str, Any], expected: str) -> None:
    assert str(product(health)) == expected


def test_plan_names_the_protections_that_a_server_lacks(desired: Desired) -> None:
    assert lacking(product({"version": "2.6.2"}), desired) == ()
    (old,) = lacking(product({"version": "2.6.1"}), desired)
    assert "GHSA-g892-p242-8g86" in old
    vault = "\n".join(lacking(product({"version": "1.21.0", "enterprise": False}), desired))
    for word in ("check-and-set", "allowed_ip_sans_cidr", "not_after_bound", "not_before_bound"):
        assert word in vault


def test_a_protection_that_nothing_asks_for_is_not_lacking(desired: Desired) -> None:
    without = {path: item for path, item in desired.items.items() if path != SERVING}
    found = lacking(product({"version": "1.21.0"}), dataclasses.replace(desired, items=without))
    assert not [text for text in found if "allowed_ip_sans_cidr" in text]


def test_the_applying_policy_covers_each_path_that_is_written_and_listed(desired: Desired) -> None:
    text = applying_policy(desired.cluster)
    for path in [*desired.items, *(place.listing for place in places(desired.cluster))]:
        assert needed(desired.cluster, path) in text
        assert needed(desired.cluster, path)
    assert needed(desired.cluster, "sys/policies/acl/root") == ""
    assert "sudo" not in text


def test_a_plan_reads_as_a_diff(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text("kv/data/payments/old")}, 1)
    current[SERVING] = Stored({**desired.items[SERVING].fields, "max_ttl": 60})
    del current[LOGIN]
    text = click.unstyle(show.plan_text(decide(desired, current), Notes()))
    assert '-path "kv/data/payments/old" {' in text
    assert '+path "kv/data/payments/stripe" {' in text
    assert '    ~ max_ttl: 60 -> "1h"\n' in text
    assert '      bound_subject = "system:serviceaccount:payments:api"\n' in text
    assert text.endswith("Plan for east: 1 to create, 2 to update, 2 unchanged")


@pytest.mark.parametrize("hidden", ["\x1b[2K", "\r", "\u202e", "\x00", "\x9b"])
def test_control_characters_cannot_hide_a_line_of_the_diff(desired: Desired, hidden: str) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text(f"kv/{hidden}")}, 1)
    text = click.unstyle(show.plan_text(decide(desired, current), Notes()))
    assert hidden not in text
    assert hidden.encode("unicode_escape").decode() in text


def test_a_difference_in_line_ends_shows(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": str(desired.items[POLICY].fields["policy"]).rstrip("\n")}, 1)
    assert "(no line feed at the end)" in show.plan_text(decide(desired, current), Notes())


def test_a_name_without_our_prefix_has_no_owner(desired: Desired) -> None:
    for place in places(desired.cluster):
        assert owner(desired.cluster, place, "payments.payments.api") is None
        assert owner(desired.cluster, place, f"{place.prefix}payments.payments.api") == POLICY
