"""What groups give besides a login: what we say, against tokens of a real server."""

import json
from random import Random

import pytest

from tests.policies.identity_bench import Bench, agree


def test_policies_of_groups_and_of_groups_around_them_are_their_members(bench: Bench) -> None:
    inner, outer, other = bench.give(), bench.give(), bench.give()
    role = bench.role(bench.give())
    entity = bench.login(role)["entity_id"]
    group, group_id = bench.group(inner, member_entity_ids=[entity])
    around, _ = bench.group(outer, member_group_ids=[group_id])
    bench.group(other)
    token = bench.login(role)["client_token"]
    assert agree(bench, f"{role}/{role}", token, inner, outer, other) == ["yes", "yes", "no"]
    assert f"from group {group} (internal)" in bench.ask("who-can", "read", f"kv/data/{inner}").stdout
    explained = bench.ask("explain", f"{role}/{role}", "read", f"kv/data/{outer}").stdout
    assert f"from group {around} (internal, around another)" in explained
    assert f"kv/data/{inner} [read], from group {group}" in bench.ask("reach", role).stdout


def test_a_claim_puts_service_accounts_into_an_external_group(bench: Bench) -> None:
    """Also before anybody has logged in; not by a role that asks for no claim."""
    more, own = bench.give(), bench.give()
    claim = {"groups_claim": "/kubernetes.io/namespace", "bound_subject": ""}
    spaces = {"bound_claims": {"/kubernetes.io/namespace": ["shop", "web"]}}
    many, plain = (
        bench.role(own, **claim, **spaces),
        bench.role(own, bound_subject="system:serviceaccount:shop:till"),
    )
    group, _ = bench.external("shop", more)
    assert bench.can("shop/anybody", more) == "yes"
    assert bench.can("web/anybody", more) == "no"
    assert bench.can("shop/till", more) == "yes", "by one of its two roles"
    assert bench.can(plain, more) == "no"
    assert bench.really(bench.login(many, "shop/anybody")["client_token"], own, more) == ["yes", "yes"]
    assert bench.really(bench.login(many, "web/anybody")["client_token"], own, more) == ["yes", "no"]
    assert bench.really(bench.login(plain, "shop/till")["client_token"], own, more) == ["yes", "no"]
    [who] = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)[:1]
    assert who["by"][0]["from"] == f"group {group} (external)"


def test_groups_around_an_external_group_give_to_its_members(bench: Bench) -> None:
    """Of whichever mount its alias is, and of no other."""
    own, inner, outer, outermost = (bench.give() for _ in range(4))
    role = bench.role(own, groups_claim="aud")
    _, group = bench.external("vault", inner)
    _, around = bench.group(outer, member_group_ids=[group])
    bench.group(outermost, member_group_ids=[around])
    assert [bench.can(role, policy) for policy in (inner, outer, outermost)] == ["yes"] * 3, (
        "not logged in yet"
    )
    token = bench.login(role)["client_token"]
    assert agree(bench, role, token, inner, outer, outermost) == ["yes"] * 3

    bench.server.call("POST", "sys/auth/jwt-west", {"type": "jwt"})
    fields = {"role_type": "jwt", "user_claim": "sub", "groups_claim": "aud", "bound_audiences": ["vault"]}
    bench.server.call("POST", "auth/jwt-west/role/other", fields | {"token_policies": [own]})
    assert bench.can("jwt-west/other", inner) == "no"


def test_a_claim_that_fits_all_of_a_roles_accounts_is_no_matter_of_some(bench: Bench) -> None:
    more, own = bench.give(), bench.give()
    role = bench.role(own, groups_claim="sub")
    bench.external(f"system:serviceaccount:{role}:{role}", more)
    found = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)
    ours = f"{bench.names.jwt}/{role}"
    assert [one["subject"] for one in found if one["subject"].startswith(ours)] == [ours]
    assert agree(bench, role, bench.login(role)["client_token"], own, more) == ["yes", "yes"]


def test_what_a_group_denies_is_denied(bench: Bench) -> None:
    own = bench.give()
    denial = bench.give(f'path "kv/data/{own}" {{ capabilities = ["deny"] }}')
    role = bench.role(own)
    bench.group(denial, member_entity_ids=[bench.login(role)["entity_id"]])
    assert agree(bench, f"{role}/{role}", bench.login(role)["client_token"], own) == ["no"]


@pytest.mark.parametrize("seed", range(3))
def test_what_logins_get_is_what_we_say(bench: Bench, seed: int) -> None:
    """Of a random nest of groups."""
    random = Random(seed)  # noqa: S311 - a shape of groups, no key
    roles = [bench.role(bench.give()) for _ in range(4)]
    entities = [bench.login(role)["entity_id"] for role in roles]
    policies: list[str] = []
    groups: list[str] = []
    for _ in range(8):
        policies.append(bench.give())
        members = random.sample(entities, random.choice((0, 1, 2)))
        inner = random.sample(groups, min(len(groups), random.choice((0, 1, 2))))
        groups.append(bench.group(policies[-1], member_entity_ids=members, member_group_ids=inner)[1])
    answers = [agree(bench, f"{role}/{role}", bench.login(role)["client_token"], *policies) for role in roles]
    assert {"yes", "no"} == {one for answer in answers for one in answer}
