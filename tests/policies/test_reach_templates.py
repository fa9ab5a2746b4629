"""Reach shows what templates give, and leaves nothing out that one of them makes matter."""

from contextlib import suppress

import pytest

from policies.acl.changes import compared
from policies.acl.dialects import NEWEST
from policies.acl.language import TooManyError
from policies.acl.rules import Rules
from policies.acl.stanza import Policy
from policies.acl.templates import meaning
from policies.review.reach import reach
from tests.policies.templated_policies import NAME, NOW, SITE, TEAM, grant, pairs, rules

OWN_PATH = f"kv/{{{{{NAME}}}}}"
OWN = grant(OWN_PATH, "read")
EVERY = grant("kv/*", "read")


def test_reach_shows_templates_with_what_they_are_filled_with() -> None:
    text = (
        OWN
        + grant(f"pki/sign/{{{{{TEAM}}}}}-{{{{ {SITE} }}}}", "update")
        + grant("kv/{{identity.nobody}}", "deny", "read")
    )
    strict, loose = reach(rules(text + EVERY)), reach(rules(OWN, "slashes"))
    assert [(one.meaning, str(one.rule.pattern), dict(one.filled)) for one in strict] == [
        ("but not", "kv/{{identity.nobody}}", {"identity.nobody": "never filled in, so that nobody has this"}),
        ("reads secrets", "kv/*", {}),
        ("reads secrets", OWN_PATH, {NAME: "the entity's name"}),
        ("signs certificates", f"pki/sign/{{{{{TEAM}}}}}-{{{{ {SITE} }}}}", {TEAM: "the entity's metadata team", SITE: "the entity's metadata site"}),
    ]  # fmt: skip
    assert [one.filled for one in loose] == [{NAME: "the entity's name, with slashes in it, too"}]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("identity.entity.id", "the entity's id"),
        (
            "identity.entity.aliases.a_1.name",
            "the name of the entity's alias at the mount with the accessor a_1",
        ),
        (
            "identity.entity.aliases.a_1.custom_metadata.k",
            "the custom metadata k of the entity's alias at the mount with the accessor a_1",
        ),
        ("identity.groups.names.ops.metadata.k", "the metadata k of the group ops, for its members"),
        ("identity.groups.ids.1-2.id", "the id of the group 1-2, for its members"),
        ("time.now.plus.1h", "the time of the request, in seconds since 1970"),
        ("identity.entity.nickname", ""),
    ],
)
def test_each_template_is_told_in_words(selector: str, expected: str) -> None:
    assert meaning(selector) == expected


def test_what_reach_leaves_out_changes_nothing_for_any_token() -> None:
    """A policy of the shown stanzas alone is the same policy."""
    own = rules(
        EVERY
        + grant("kv/shop", "read")
        + grant("pki/ca", "read")
        + grant("pki/*", "read")
        + grant(OWN_PATH, "update")
    )
    for side in (own, *(pair.old for pair in pairs(11, 60, NEWEST))):
        kept = tuple(stanza for one in reach(side) for stanza in one.rule.stanzas)
        with suppress(TooManyError):
            assert list(compared("s", side, Rules([Policy("p", kept)], now=NOW))) == []
    assert [str(one.rule.pattern) for one in reach(own)] == ["kv/*", "kv/shop", "pki/*", OWN_PATH]
