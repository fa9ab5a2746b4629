"""What a plan means: the same as comparing the two trees by what their policies allow, and who logs in."""

import dataclasses
from pathlib import Path

import click
import pytest

from demo.mounts import Mounts
from demo.service_accounts import Issuer
from policies.apply import report, show, tree
from policies.apply.meaning import Effect, effects
from policies.apply.outcome import Notes, Outcome
from policies.apply.plan import decide
from policies.apply.state import Current, Desired, Item, Stored
from policies.review.diff import Side, changes
from policies.review.folder import read
from policies.review.subjects import Policies, Reading
from tests.policies import trees

MOUNTS = Mounts("kv", "kv1", "pki-east", "spiffe-east", "jwt-east", Issuer())
POLICY = "sys/policies/acl/podkeys.east.payments.payments"
LOGIN = "auth/jwt-east/role/podkeys.payments.payments.api"
API = "api in payments, by jwt-east/podkeys.payments.payments.api"


@pytest.fixture
def desired(tmp_path: Path) -> Desired:
    made = trees.Tree(tmp_path, trees.cluster(MOUNTS, "https://vault.example.com:8200")).start()
    made.role("payments", "payments")
    return tree.read(made.top, "east")


def applied(desired: Desired) -> dict[str, Stored]:
    """A server on which exactly this stands."""
    return {path: Stored(item.fields) for path, item in desired.items.items()}


def meant(desired: Desired, current: Current, *, prune: bool = False) -> tuple[Effect, ...]:
    return effects(decide(desired, current, prune=prune), current)


def said(found: tuple[Effect, ...]) -> list[tuple[str, str, list[str], list[str]]]:
    return [
        (effect.who, change.witness, sorted(change.gained), sorted(change.lost))
        for effect in found
        for change in effect.changes
    ]


def test_a_new_role_gives_its_service_account_what_the_policies_say(desired: Desired) -> None:
    assert said(meant(desired, {})) == [
        (API, "kv/data/payments/stripe", ["read"], []),
        (API, "spiffe-east/sign/podkeys.payments.payments.api", ["update"], []),
    ]


def test_a_removed_role_takes_it_and_without_prune_nothing_is_taken(desired: Desired) -> None:
    nothing = dataclasses.replace(desired, items={})
    assert meant(nothing, applied(desired)) == ()
    assert [lost for *_, lost in said(meant(nothing, applied(desired), prune=True))] == [["read"], ["update"]]


def test_what_is_only_reformatted_means_nothing(desired: Desired) -> None:
    current = applied(desired)
    text = str(current[POLICY].fields["policy"])
    current[POLICY] = Stored(
        {"policy": text.replace("{\n  capabilities", '{ comment = "x"\n\n capabilities')}
    )
    assert len(decide(desired, current).changes) == 1
    assert meant(desired, current) == ()


def test_another_service_account_in_the_login_gains_what_the_first_loses(desired: Desired) -> None:
    """The policies are the same: who has them is not."""
    current = applied(desired)
    current[LOGIN] = Stored({**current[LOGIN].fields, "bound_subject": "system:serviceaccount:shop:api"})
    found = said(meant(desired, current))
    assert [(who.partition(",")[0], gained, lost) for who, _, gained, lost in found] == [
        ("api in payments", ["read"], []),
        ("api in payments", ["update"], []),
        ("api in shop", [], ["read"]),
        ("api in shop", [], ["update"]),
    ]


def test_who_keeps_a_login_that_is_not_in_the_tree_gains_by_its_policy_too(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text("kv/data/old")})
    other = LOGIN.replace(".api", ".worker")
    current[other] = Stored(
        {
            **current[LOGIN].fields,
            "bound_subject": "system:serviceaccount:payments:worker",
            "token_policies": ["podkeys.east.payments.payments"],
        }
    )
    gaining = {who.partition(",")[0] for who, path, *_ in said(meant(desired, current)) if "stripe" in path}
    assert gaining == {"api in payments", "worker in payments"}


def held(name: str, group: str) -> Stored:
    """A policy that lets one path be read once somebody in this group has agreed."""
    factor = f'factor "{group}" {{ controlled_capabilities = ["read"], identity {{ group_names = ["{group}"], approvals = 1 }} }}'
    text = trees.policy_text("kv/data/payments/stripe", name=name)
    return Stored({"policy": text.replace("]\n}", f"]\n  control_group = {{ {factor} }}\n}}")})


@pytest.mark.parametrize(("changed", "limited"), [("podkeys.east.a.a", True), (trees.PAYMENTS, False)])
def test_of_two_control_groups_the_first_by_name_decides(
    desired: Desired, changed: str, *, limited: bool
) -> None:
    """The server sorts the policies of a token, in whatever order the role names them."""
    login, names = desired.items[LOGIN], [trees.PAYMENTS, "podkeys.east.a.a"]
    current = {f"sys/policies/acl/{name}": held(name, "before") for name in names}
    current[LOGIN] = Stored({**login.fields, "token_policies": names})
    item = Item("policy", f"sys/policies/acl/{changed}", POLICY, held(changed, "after").fields, "policy.hcl")
    wanted = dataclasses.replace(
        desired, items={item.path: item, LOGIN: dataclasses.replace(login, fields=current[LOGIN].fields)}
    )
    assert [change.limits for one in meant(wanted, current) for change in one.changes] == [True] * limited


def test_a_policy_that_is_not_ours_is_told_and_not_guessed_at(desired: Desired) -> None:
    current = applied(desired)
    policies = [*current[LOGIN].fields["token_policies"], "root"]
    current[LOGIN] = Stored({**current[LOGIN].fields, "token_policies": policies})
    (effect,) = meant(desired, current)
    assert (effect.changes, effect.untold) == ((), "what root gives besides, which is no policy of ours")


def test_a_policy_that_cannot_be_parsed_is_told_with_its_place(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text("kv/x", "fly")})
    (effect,) = meant(desired, current)
    assert "podkeys.east.payments.payments" in effect.untold
    assert "fly" in effect.untold


def test_a_policy_that_no_login_gives_stands_for_itself(desired: Desired) -> None:
    """A token or an entity may have it all the same."""
    current = applied(desired)
    del current[LOGIN]
    current["sys/policies/acl/podkeys.east.old.old"] = Stored({"policy": trees.policy_text("kv/data/old")})
    found = said(meant(desired, current, prune=True))
    assert ("sys/policies/acl/podkeys.east.old.old", "kv/data/old", [], ["read"]) in found
    assert {who for who, *_ in found} == {API, "sys/policies/acl/podkeys.east.old.old"}


@pytest.mark.parametrize(
    "change",
    [
        ("stripe", "other"),
        ('["read"]', '["read", "list", "delete"]'),
        ('["read"]', '["deny"]'),
        ("kv/data/payments/stripe", "kv/data/+/stripe"),
        ("kv/data/payments/stripe", "kv/data/payments/*"),
        ('capabilities = ["read"]', 'capabilities = ["read"]\n  required_parameters = ["version"]'),
    ],
)
def test_it_means_what_a_comparison_of_the_two_trees_says(tmp_path: Path, change: tuple[str, str]) -> None:
    """The oracle is `podkeys policies diff`, which is held to the live server."""
    sides = []
    for name in ("old", "new"):
        made = trees.Tree(tmp_path / name, trees.cluster(MOUNTS, "https://vault.example.com:8200")).start()
        made.role("payments", "payments")
        sides.append(made)
    file = sides[1].root / "payments" / "payments" / "policy.hcl"
    file.write_text(file.read_text().replace(*change))
    old, new = (tree.read(made.top, "east") for made in sides)
    read_sides = [read(made.root) for made in sides]
    expected = changes(*(Side(found, Policies(found, Reading())) for found in read_sides))
    found = [
        (one.witness, one.gained, one.lost, one.limits)
        for effect in meant(new, applied(old))
        for one in effect.changes
    ]
    assert found == [(one.witness, one.gained, one.lost, one.limits) for one in expected]
    assert found


def test_it_is_shown_to_people_and_to_programs(desired: Desired) -> None:
    current = applied(desired)
    current[POLICY] = Stored({"policy": trees.policy_text("kv/data/\x1b[2Kold")})
    plan = decide(desired, current)
    notes = Notes(effects=effects(plan, current))
    text = click.unstyle(show.plan_text(plan, notes))
    assert f"What this means:\n  {API}\n" in text
    assert "    + kv/data/payments/stripe: gains read\n" in text
    assert "    - kv/data/\\x1b[2Kold: loses read\n" in text
    outcome = Outcome("east", plan, notes, (), frozenset(), None, 0.1)
    (meaning,) = report.as_json(outcome, applied=False)["meaning"]
    assert meaning["who"] == API
    assert {change["path"]: change["gained"] for change in meaning["changes"]}["kv/data/payments/stripe"] == [
        "read"
    ]
