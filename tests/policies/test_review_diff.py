"""A difference is found on every path, and each that is found is real: the live server confirms it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.openbao import Server
from policies.acl.changes import compared
from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PolicyError
from policies.acl.language import TooManyError, representatives, states
from policies.acl.parse import parse_policy
from policies.acl.paths import Pattern, pattern
from policies.acl.rules import Rules
from policies.acl.stanza import Policy
from policies.review.reach import reach
from tests.policies import random_policies
from tests.policies.templated_policies import Pair

LISTING = {"list", "scan", "subscribe"}


def rules(text: str, dialect: Dialect = NEWEST) -> Rules | None:
    try:
        return Rules([parse_policy(text, "p", dialect=dialect)], dialect=dialect, now=datetime.now(UTC))
    except PolicyError:
        return None


def pairs(count: int, dialect: Dialect = NEWEST) -> Iterator[Pair]:
    random, found = Random(5), 0  # noqa: S311 - repeatable is what is wanted
    while found < count:
        shared = [random_policies.path(random) for _ in range(random.randint(0, 4))]
        sides = [
            shared + [random_policies.path(random) for _ in range(random.randint(0, 3))] for _ in range(2)
        ]
        first, second = (random_policies.policy(random, side, dialect) for side in sides)
        old, new = rules(first, dialect), rules(second, dialect)
        if old and new and all(sides):
            found += 1
            yield Pair(old, new, (first, second), [*sides[0], *sides[1]])


def granted(side: Rules, path: str) -> set[str]:
    """With LIST and SCAN looked up in their own way."""
    both = ((side.decider(path, listing=listing), listing) for listing in (False, True))
    found = set()
    for rule, listing in both:
        mine = set(rule.capabilities - {"deny"}) if rule else set()
        found |= mine & LISTING if listing else mine - LISTING
    return found


def test_no_sampled_path_differs_where_no_difference_was_told() -> None:
    random, differing = Random(6), 0  # noqa: S311 - repeatable is what is wanted
    for pair in pairs(300):
        old, new = pair.old, pair.new
        told_gains: set[str] = set()
        told_losses: set[str] = set()
        for change in compared("s", old, new):
            told_gains |= change.gained
            told_losses |= change.lost
            assert change.gained <= granted(new, change.witness) - granted(old, change.witness)
            assert change.lost <= granted(old, change.witness) - granted(new, change.witness)
        for _ in range(100):
            path = random_policies.asked(random, pair.paths).lstrip("/") or "a"
            was, becomes = granted(old, path), granted(new, path)
            assert becomes - was <= told_gains, path
            assert was - becomes <= told_losses, path
            differing += was != becomes
    assert differing > 1000


def test_the_server_confirms_each_witness(bao: Server, dialect: Dialect) -> None:
    """sys/capabilities of LIST's way of looking up is asked, so the witnesses of list and scan are those it can confirm."""
    confirmed = 0
    for pair in pairs(60, dialect):
        tokens = []
        for name, text in zip(("before", "after"), pair.texts, strict=True):
            bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
            body = {"policies": [name], "no_default_policy": True, "type": "batch"}
            tokens.append(bao.call("POST", "auth/token/create", body)["auth"]["client_token"])
        for change in compared("s", pair.old, pair.new):
            if not change.witness.isprintable() or not (change.gained | change.lost) & LISTING:
                continue
            was, becomes = (
                set(
                    bao.call("POST", "sys/capabilities", {"token": token, "paths": [change.witness]})["data"][
                        change.witness
                    ]
                )
                for token in tokens
            )
            assert (becomes - was) & LISTING == change.gained & LISTING, change
            assert (was - becomes) & LISTING == change.lost & LISTING, change
            confirmed += 1
    assert confirmed > 100


def test_reordering_and_reformatting_change_nothing() -> None:
    old = rules(
        'path "a/*" { capabilities = ["read"] }\npath "a/b" { capabilities = ["list", "read"] required_parameters = ["x", "y"] }'
    )
    new = rules(
        '{"path": {"a/b": {"required_parameters": ["y", "x"], "capabilities": ["read", "list"]}, "a/*": {"policy": "read"}}}'
    )
    assert old and new  # noqa: PT018 - both or none
    gained = [change for change in compared("s", old, new) if change.gained]
    assert {tuple(change.gained) for change in gained} == {("list",)}, "policy = read is read and list"
    same = rules(
        'path "a/b" { required_parameters = ["y", "x"] capabilities = ["read", "list"] }\npath "a/*" { capabilities = ["read"] }'
    )
    assert same
    assert list(compared("s", old, same)) == []


def test_other_limits_are_told() -> None:
    old = rules('path "a" { capabilities = ["update"] allowed_parameters = { "x" = ["1"] } }')
    new = rules('path "a" { capabilities = ["update"] }')
    assert old and new  # noqa: PT018 - both or none
    assert [(change.witness, change.limits) for change in compared("s", old, new)] == [("a", True)]


def test_patterns_that_divide_paths_without_end_are_refused_and_not_counted_for_ever() -> None:
    paths = [
        "/".join("+" if bit >> place & 1 else f"{place}{bit}" for place in range(12)) for bit in range(1, 600)
    ]
    text = "".join(f'path "{path}" {{ capabilities = ["read"] }}\n' for path in paths)
    policy = parse_policy(text, "p")
    with pytest.raises(TooManyError):
        list(representatives(rule.pattern for rule in Rules([policy])))


_EXACT = st.text("ab/", max_size=4).map(pattern)
_ANY = st.lists(st.sampled_from(["a", "b", "ab", "+", "", "a*", "*"]), min_size=1, max_size=4).map(
    lambda parts: pattern("/".join(parts))
)


@given(st.one_of(st.lists(_EXACT, max_size=6), st.lists(_ANY, max_size=4)))
def test_each_class_of_paths_has_one_representative(drawn: list[Pattern | None]) -> None:
    """The oracle walks all that can be before and behind each byte of each pattern."""
    patterns = [one for one in drawn if one]

    def matched(raw: bytes) -> tuple[frozenset[Pattern], ...]:
        both = (raw, raw.removesuffix(b"/")) if raw.endswith(b"/") else (raw,)
        return tuple(frozenset(one for one in patterns if one.matches(part)) for part in both)

    classes = [matched(raw) for raw in representatives(patterns)]
    assert len(classes) == len(set(classes))
    assert set(classes) == {matched(raw) for raw in states(patterns)}


def test_what_reach_leaves_out_changes_nothing() -> None:
    """A policy of the kept stanzas alone is the same policy."""
    for pair in pairs(100):
        kept = [stanza for one in reach(pair.old) for stanza in one.rule.stanzas]
        smaller = Rules([Policy("p", tuple(kept))])
        assert not [change for change in compared("s", pair.old, smaller) if change.gained or change.lost]
