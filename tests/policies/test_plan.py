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
from policies.apply.protections import Fit, Product, fit, product
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


VAULT = product({"version": "1.21.4", "enterprise": False})


def test_what_holds_less_on_a_server_is_said_and_the_rest_is_planned_as_ever(desired: Desired) -> None:
    assert fit(product({"version": "2.6.2"}), desired) == Fit(desired, {}, ())
    fitted = fit(VAULT, desired)
    said = "\n".join(fitted.weaker)
    for word in ("check-and-set", "not_after_bound", "not_before_bound", "SPIFFE ID"):
        assert "HashiCorp Vault 1.21.4" in said
        assert word in said
    assert fitted.refused == {}
    assert steps(decide(fitted.desired, {})) == steps(decide(desired, {}))


def test_what_a_tree_does_not_ask_for_is_not_said_to_be_weaker(desired: Desired) -> None:
    policies = {path: item for path, item in desired.items.items() if item.kind == "policy"}
    (text,) = fit(VAULT, dataclasses.replace(desired, items=policies)).weaker
    assert "check-and-set" in text


def test_fields_that_a_server_does_not_have_are_not_written_to_it(desired: Desired) -> None:
    """It would drop them with a warning, and what it holds would differ from the tree for ever."""
    fields = fit(VAULT, desired).desired.items[SERVING].fields
    dropped = set(desired.items[SERVING].fields) - set(fields)
    assert fields["serial_number_source"] == "json"
    assert dropped == {
        "allow_globs_in_identity_templates",
        "allowed_ip_sans_cidr",
        "not_after_bound",
        "not_before_bound",
    }


@pytest.mark.parametrize(
    ("server", "fields", "reason"),
    [
        (VAULT, trees.POD_IP, "have no allowed_ip_sans_cidr: this one would sign any IP address"),
        (VAULT, {"not_after_bound": "permit"}, "have no not_after_bound, and the tree asks for 'permit'"),
        (VAULT, {"not_before_bound": "truncate"}, "have no not_before_bound"),
        (product({"version": "2.6.1"}), trees.POD_IP, "GHSA-g892-p242-8g86"),
    ],
)
def test_what_depends_on_a_protection_that_the_server_lacks_is_refused_and_stops_that_role_alone(
    made: trees.Tree, server: Product, fields: dict[str, Any], reason: str
) -> None:
    """Invariant: refused before the first write; a role that exists keeps what it had, also with --prune."""
    made.role("shop", "shop")
    made.edit("payments/payments/pki.serving.json", **fields)
    fitted = fit(server, tree.read(made.top, "east"))
    before = applied(fitted.desired) | {SERVING: Stored({"ttl": 60})}
    gone = "pki-east/roles/podkeys.payments.payments.older"
    for current in ({}, before | {gone: Stored({})}):
        plan = decide(fitted.desired, current, refused=fitted.refused, prune=True)
        (conflict,) = plan.conflicts
        assert (conflict.path, conflict.role) == (SERVING, "payments/payments")
        assert reason in conflict.reason
        assert {path for _, path in steps(plan) if "payments" in path} == set()
        assert len(plan.blocked) == 4
        assert len(plan.steps) == (0 if current else 5)
        assert f"! conflict {SERVING} of service role payments/payments: " in show.plan_text(plan, Notes())


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
