"""What a change gives through templates is found, for whatever token, and the server confirms it."""

from collections.abc import Iterator, Mapping
from random import Random
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from demo.openbao import Server
from policies.acl.changes import Change, compared
from policies.acl.dialects import NEWEST, VAULT_1_21, VAULT_2_0_3, Dialect
from policies.acl.language import TooManyError
from policies.acl.rules import Rule, Rules
from policies.acl.templates import may_be
from tests.policies import random_policies
from tests.policies.templated_policies import NAME, SELECTORS, SITE, TEAM, Pair, grant, pairs, rules

ROLE = "diff-templates"
LISTING = {"list", "scan", "subscribe"}
DENY = frozenset({"deny"})


def told(old: Rules, new: Rules) -> list[tuple[str, str, str]]:
    return [
        (one.where, " ".join(sorted(one.gained)), " ".join(sorted(one.lost)))
        for one in compared("s", old, new)
    ]


OWN_PATH, TEAM_PATH = f"kv/{{{{{NAME}}}}}", f"kv/{{{{{TEAM}}}}}"
OWN = grant(OWN_PATH, "read")
EVERY = grant("kv/*", "read")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", OWN, [(OWN_PATH, "read", "")]),
        (OWN, "", [(OWN_PATH, "", "read")]),
        (OWN, grant(OWN_PATH, "update"), [(OWN_PATH, "update", "read")]),
        (EVERY, EVERY + OWN, []),
        (OWN, OWN + grant("kv/ceo", "read"), [("kv/ceo", "read", "")]),
        # The plain stanza kept back what a template gives whoever is called so.
        (OWN + grant("kv/ceo", "deny"), OWN, [(f"kv/ceo, where {NAME} is ceo", "read", "")]),
        (OWN + grant("kv/+", "deny"), OWN, []),
        # The template kept back what is granted broadly.
        (EVERY + grant(OWN_PATH, "deny"), EVERY, [
            (OWN_PATH, "read", ""),
            (f"kv/, where {NAME} is x/x", "read", ""),
        ]),
        (EVERY + grant(OWN_PATH, "list"), EVERY + grant(OWN_PATH, "list", "read"), [(OWN_PATH, "read", "")]),
        # Two templates that may be filled alike.
        (OWN + grant(TEAM_PATH, "deny"), OWN + grant(TEAM_PATH, "list"), [
            (TEAM_PATH, "list", ""),
            (f"{OWN_PATH}, where {TEAM} is {{{{{NAME}}}}}", "read", ""),
            (f"{OWN_PATH}, where {TEAM} is {{{{{NAME}}}}}", "list", ""),
        ]),
        # Several templates in one segment.
        (grant(f"kv/{{{{{TEAM}}}}}-{{{{{SITE}}}}}", "read") + grant("kv/web-nl", "deny"), grant(f"kv/{{{{{TEAM}}}}}-{{{{{SITE}}}}}", "read"), [
            (f"kv/web-nl, where {TEAM} is web and {SITE} is nl", "read", ""),
        ]),
        # Each knows one end of the segment.
        (grant(f"kv/a-{{{{{TEAM}}}}}", "read") + grant(f"kv/{{{{{SITE}}}}}-b", "deny"), grant(f"kv/a-{{{{{TEAM}}}}}", "read"), [
            (f"kv/a-{{{{{TEAM}}}}}, where {SITE} is x/x", "read", ""),
            (f"kv/a--b, where {TEAM} is -b and {SITE} is a-", "read", ""),
        ]),
        # Another template in the place of one.
        (OWN, grant(TEAM_PATH, "read"), [(TEAM_PATH, "read", ""), (OWN_PATH, "", "read")]),
        # What never has a value gives nothing.
        ("", grant("kv/{{identity.entity.nickname}}", "read") + grant("kv/{{request.path}}", "read"), []),
        ("", grant("kv/{{identity.groups.names.ops.name}}", "read"), [
            ("kv/ops, where identity.groups.names.ops.name is ops", "read", ""),
        ]),
    ],
)  # fmt: skip
def test_a_gain_through_a_template_is_told_with_whom_it_is_for(
    old: str, new: str, expected: list[tuple[str, str, str]]
) -> None:
    assert told(rules(old), rules(new)) == expected


def test_a_value_that_may_not_stand_in_a_path_keeps_all_else_back_until_its_template_is_gone() -> None:
    old, new = rules(EVERY + OWN), rules(EVERY)
    assert told(old, new) == [(f"kv/, where {NAME} is x/x", "read", "")]


@pytest.mark.parametrize(
    ("loose", "dialect", "value"),
    [(("slashes",), NEWEST, "x*x"), (("wildcards",), NEWEST, "x/x"), ((), VAULT_2_0_3, "x*x")],
)
def test_where_slashes_may_stand_in_a_path_a_wildcard_keeps_all_else_back(
    loose: tuple[str, ...], dialect: Dialect, value: str
) -> None:
    old, new = (rules(text, *loose, dialect=dialect) for text in (EVERY + OWN, EVERY))
    assert (f"kv/, where {NAME} is {value}", "read", "") in told(old, new)


@pytest.mark.parametrize(
    ("setting", "value", "path"), [("slashes", "x/x", "kv/x/x"), ("wildcards", "*", "kv/")]
)
def test_a_policy_that_lets_templates_hold_more_gives_more(setting: str, value: str, path: str) -> None:
    assert (f"{path}, where {NAME} is {value}", "read", "") in told(rules(OWN), rules(OWN, setting))
    assert told(rules(OWN, setting), rules(OWN, setting)) == []


def test_no_template_hides_behind_a_name_of_the_policy() -> None:
    """A text that stands for any value must stand nowhere, and no template may make the server refuse it."""
    text = "".join(f"v{number:08}v " for number in range(1, 20)) + "{{identity.groups.names.a/b.name}}"
    old, new = (rules(grant(text, "read") + more) for more in ("", OWN))
    assert (OWN_PATH, "read", "") in told(old, new)


def test_more_templates_than_can_be_looked_at_are_refused() -> None:
    many = "".join(grant(f"kv/{name}/{{{{{TEAM}}}}}-{{{{{SITE}}}}}", "read") for name in "abcdef")
    names = "".join(grant(f"kv/+/{name}-{name}", "list") for name in map(str, range(60)))
    with pytest.raises(TooManyError, match="combinations of values that matter, expected at most"):
        told(rules(many), rules(many + names))
    with pytest.raises(TooManyError, match="two paths with 9 templates"):
        told(
            rules(""),
            rules(grant("/".join(f"{{{{identity.entity.metadata.k{n}}}}}" for n in range(9)), "read")),
        )


_VALUES = ("a", "b", "ab", "", "é", "data", "x", "a.b", "mail")
_LOOSE_VALUES = (*_VALUES, "a/b", "/", "b/", "*", "+", "a/*", "+/b", "ab*", "/a")


def gains(
    pair: Pair, random: Random, given: dict[str, str]
) -> Iterator[tuple[str, Rule | None, Rule | None]]:
    """Capability, and what decides in old and in new, on a path near one of the policies'; LIST and SCAN are looked up in their own way."""
    near = random_policies.asked(random, pair.paths)
    for name, value in given.items():
        near = near.replace(f"{{{{{name}}}}}", value)
    for listing in (False, True):
        was, becomes = (
            side.given(given).decider(near.lstrip("/") or "a", listing=listing)
            for side in (pair.old, pair.new)
        )
        more = (becomes.capabilities if becomes else DENY) - (was.capabilities if was else DENY) - DENY
        for capability in more:
            if (capability in LISTING) == listing:
                yield capability, was, becomes


def spelt(rule: Rule | None) -> set[str]:
    return {stanza.path.removeprefix("/") for stanza in rule.stanzas} if rule else set()


@pytest.mark.parametrize(
    ("dialect", "values", "count"), [(NEWEST, _VALUES, 100), (VAULT_1_21, _LOOSE_VALUES, 25)]
)
def test_no_token_gains_where_no_gain_was_told(dialect: Dialect, values: tuple[str, ...], count: int) -> None:
    """Invariant: whatever the values and the path, what is gained was told, and of stanzas that decide there."""
    random, differing, refused = Random(8), 0, 0  # noqa: S311 - repeatable is what is wanted
    for pair in pairs(7, count, dialect):
        try:
            found = [
                (capability, spelt(one.old), spelt(one.new))
                for one in compared("s", pair.old, pair.new)
                for capability in one.gained
            ]
        except TooManyError:
            refused += 1
            continue
        for _ in range(40):
            given = {name: random.choice(values) for name in SELECTORS}
            if (
                not all(may_be(name, value) for name, value in given.items())
                or pair.old.given(given).forbidden
            ):
                continue
            for capability, was, becomes in gains(pair, random, given):
                assert any(
                    capability == told and old <= spelt(was) and new <= spelt(becomes)
                    for told, old, new in found
                ), (pair.texts, given, capability, spelt(was), spelt(becomes))
                differing += 1
    assert differing > 2 * count
    assert refused < count / 2


def test_the_server_confirms_what_is_told_for_tokens_with_such_values(bao: Server, dialect: Dialect) -> None:
    """By tokens of entities that are called so; sys/capabilities shows LIST's way of looking up."""
    bao.call(
        "POST", f"auth/token/roles/{ROLE}", {"allowed_entity_aliases": "*", "allowed_policies_glob": "*"}
    )
    count, least = (140, 50) if dialect.blocked else (25, 5)  # any value takes longer to compare
    confirmed = 0
    for pair in pairs(9, count, dialect):
        names = [f"{side}-{uuid4()}" for side in ("before", "after")]
        for name, text in zip(names, pair.texts, strict=True):
            bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
        for change in _confirmable(pair):
            values = {name: f"any-{number}-{uuid4()}" for number, name in enumerate(SELECTORS)}
            values |= {name: _filled(text, values) for name, text in change.given.items()}
            before, after = _allowed(bao, values, names, _filled(change.witness, values))
            assert change.gained & LISTING <= after - before, (change, pair.texts)
            confirmed += 1
    assert confirmed > least


@pytest.mark.parametrize(
    ("setting", "value", "path"), [("slashes", "x/x", "kv/x/x"), ("wildcards", "*", "kv/y")]
)
def test_the_server_gives_what_its_settings_of_a_policy_let_templates_hold(
    bao: Server, dialect: Dialect, setting: str, value: str, path: str
) -> None:
    """Where the server has no guard that they could lift, they change nothing."""
    bao.call(
        "POST", f"auth/token/roles/{ROLE}", {"allowed_entity_aliases": "*", "allowed_policies_glob": "*"}
    )
    names = [f"{side}-{uuid4()}" for side in ("strict", "loose")]
    text = grant(TEAM_PATH, "read")
    for name, fields in zip(names, ({}, {f"allow_{setting}_in_identity_templates": True}), strict=True):
        bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text, **fields})
    values = {NAME: str(uuid4()), TEAM: value, SITE: "any"}
    assert _allowed(bao, values, names, path) == [set() if dialect.blocked else {"read"}, {"read"}]
    strict, loose = rules(text, dialect=dialect), rules(text, setting, dialect=dialect)
    told_of = [where for where, gained, _ in told(strict, loose) if gained]
    ending = f", where {TEAM} is {value}"
    assert [where.endswith(ending) for where in told_of] == ([True] if dialect.blocked else [])


def _confirmable(pair: Pair) -> list[Change]:
    try:
        found = [one for one in compared("s", pair.old, pair.new) if one.gained & LISTING]
    except TooManyError:
        return []
    spoken = [one for one in found if all(map(str.isprintable, (one.witness, *one.given.values())))]
    return [one for one in spoken if one.given][:2] + [one for one in spoken if "{{" in one.witness][:1]


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _allowed(bao: Server, values: Mapping[str, str], policies: list[str], path: str) -> list[set[str]]:
    """What tokens of one entity with these policies may do."""
    fields = {"name": values[NAME], "metadata": {"team": values[TEAM], "site": values[SITE]}}
    entity = bao.call("POST", "identity/entity", fields)["data"]["id"]
    accessor = bao.call("GET", "sys/auth")["data"]["token/"]["accessor"]
    alias = str(uuid4())
    found = {"name": alias, "canonical_id": entity, "mount_accessor": accessor}
    bao.call("POST", "identity/entity-alias", found)
    answers = []
    for policy in policies:
        body = {"policies": [policy], "no_default_policy": True, "entity_alias": alias}
        token = bao.call("POST", f"auth/token/create/{ROLE}", body)["auth"]["client_token"]
        answers.append(_capabilities(bao, token, path))
    bao.call("DELETE", f"identity/entity/id/{entity}")
    return answers


def _capabilities(bao: Server, token: str, path: str) -> set[str]:
    """None where the server refuses all, as for a token that has a value which may not stand in a path."""
    try:
        answer = bao.call("POST", "sys/capabilities", {"token": token, "paths": [path]})["data"][path]
    except HTTPError:
        return set()
    return set(answer) - DENY
