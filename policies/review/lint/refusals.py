"""What should keep somebody out and doesn't: rules about denials, control groups and templates. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from policies.acl.rules import KINDS, Rules
from policies.acl.stanza import Stanza
from policies.acl.templates import may_be, pieces
from policies.review.lint.finding import Hit, at, at_stanza
from policies.review.lint.overlap import Heads, overlap
from policies.review.lint.tree import Grant, Tokens, Tree

_STRICT = (
    "write the policy without allow_slashes_in_identity_templates and allow_wildcards_in_identity_templates"
)
_OWN = "name the path itself, in a policy of the service's own, or let nobody write what is filled in"
_UNBOUNDED = re.compile(r"[^/]\{\{|\}\}[^/]")
_ALIAS_NAME = re.compile(r"\{\{\s*identity\.entity\.aliases\.[^.}]+\.name\s*\}\}")


def mixed_control_groups(tree: Tree) -> Iterator[Hit]:
    """Of stanzas with one pattern only the first one's control group counts, but where the server joins them."""
    if tree.reading.dialect.controls_joined:
        return
    for token in tree.tokens:
        if any(grant.stanza.constraints.control_group for grant in token.grants):
            for rule in token.rules(tree.reading):
                plain = [stanza for stanza in rule.stanzas if not stanza.constraints.control_group]
                if plain and len(plain) < len(rule.stanzas) and "deny" not in rule.capabilities:
                    held = next(stanza for stanza in rule.stanzas if stanza.constraints.control_group)
                    yield _of(
                        token,
                        plain[0],
                        f'got "{plain[0].path}" without the control group of {_place(held)}, which it may undo; expected it in all stanzas of that path or in none',
                    )


def _of(token: Tokens, stanza: Stanza, message: str) -> Hit:
    looked = next(one for one in token.policies if one.file.file == stanza.policy)
    return at_stanza(looked, stanza, message, "give both the control group, or remove this stanza")


def _place(stanza: Stanza) -> str:
    return f"{stanza.policy}:{stanza.line}"


def undone_denials(tree: Tree) -> Iterator[Hit]:
    """A denial doesn't reach what something closer grants."""
    for token in tree.tokens:
        known = [grant for grant in token.grants if not grant.stanza.templated]
        denials = [grant for grant in known if grant.denies]
        if not denials:
            continue
        grants = [grant for grant in known if not grant.denies and grant.stanza.capabilities]
        heads, rules = Heads(grant.aims for grant in grants), token.rules(tree.reading)
        for denial in denials:
            near = (grants[number] for number in heads.near(denial.aims))
            yield from islice(
                (_undone(denial, grant, path) for grant in near if (path := _granted(denial, grant, rules))),
                1,
            )


def _granted(denial: Grant, grant: Grant, rules: Rules) -> str | None:
    """A path that both match, and about which the grant decides."""
    path = overlap(denial.aims, grant.aims)
    found = rules.decider(path, listing=False) if path else None
    return path if found and grant.stanza in found.stanzas and "deny" not in found.capabilities else None


def _undone(denial: Grant, grant: Grant, path: str) -> Hit:
    return at(
        denial,
        f'got deny on "{denial.stanza.path}", but {_place(grant.stanza)} "{grant.stanza.path}" is closer and grants '
        f"{', '.join(sorted(grant.stanza.capabilities))} on {path}; expected that nothing below a denial is granted",
        "deny the granted path itself, or remove the denial: without it what no stanza names is refused as well",
    )


def ending_denials(tree: Tree) -> Iterator[Hit]:
    for grant in tree.grants:
        if grant.denies and grant.stanza.expiration:
            message = (
                f'got deny on "{grant.stanza.path}" until {grant.stanza.expiration.isoformat()}, expected one without an end: '
                "from then on a broader stanza decides"
            )
            yield at(grant, message, "remove expiration, or grant only what may stay")


def templated_denials(tree: Tree) -> Iterator[Hit]:
    for grant in tree.grants:
        if grant.denies and grant.stanza.templated:
            message = f'got deny on "{grant.stanza.path}", expected a path without a template: where it has no value, nothing is denied'
            yield at(grant, message, "grant less, so that nothing needs to be denied")


def open_templates(tree: Tree) -> Iterator[Hit]:
    """`a-{{x}}*` of bob matches what is bobby's."""
    for grant in tree.grants:
        if not grant.denies and grant.stanza.templated and _UNBOUNDED.search(grant.stanza.path):
            message = f'got "{grant.stanza.path}", expected each template between slashes: else one value begins another'
            yield at(grant, message, "make the template a whole segment, as in team/{{…}}/*")


def alias_names(tree: Tree) -> Iterator[Hit]:
    """A service account's name says nothing without its namespace."""
    for token in tree.tokens:
        login = token.role.login if token.role else None
        if login and (login.alias == "serviceaccount_name" or login.alias.endswith("serviceaccount/name")):
            for grant in token.grants:
                if not grant.denies and _ALIAS_NAME.search(grant.stanza.path):
                    message = (
                        f'got "{grant.stanza.path}", where the alias is a service account\'s name, expected what names one account alone: '
                        "whoever may make that service account gets the path"
                    )
                    yield at(grant, message, "name the path itself, in a policy of the service's own")


def loose_templates(tree: Tree) -> Iterator[Hit]:
    """By a setting of the policy, or on a server that refuses wildcards alone; the next rule is for one that refuses nothing."""
    dialect = tree.reading.dialect
    by_server = _free(dialect.blocked, "slashes") and not _free(dialect.blocked, "wildcards")
    for looked in tree.policies.values():
        kinds, by, fix = " and ".join(looked.file.loose), "a policy", _STRICT
        if by_server and not kinds:
            kinds, by, fix = "slashes", dialect.name, _OWN
        for grant in looked.grants if kinds else ():
            if _may_hold(grant, "x/x", "+"):
                message = (
                    f'got "{grant.stanza.path}" in {by} that lets templates put {kinds} into paths, '
                    "expected none: a value with a slash reaches another's path"
                )
                yield at(grant, message, fix)


def unguarded_templates(tree: Tree) -> Iterator[Hit]:
    """`team/{{x}}/*` of an entity whose x is + is every team's."""
    dialect = tree.reading.dialect
    if not _free(dialect.blocked, "wildcards"):
        return
    for grant in tree.grants:
        selectors = _may_hold(grant, "+")
        if selectors and not grant.denies:
            message = (
                f'got "{grant.stanza.path}" on {dialect.name}, expected a server that refuses wildcards in what it fills in: whoever '
                f"sets {selectors[0]} to + or * reaches what is everybody's"
            )
            yield at(grant, message, _OWN)


def _may_hold(grant: Grant, *values: str) -> list[str]:
    """The selectors of its templates that may have one of the values: what the server makes, such as an id, never does."""
    selectors = (selector for selector, _ in pieces(grant.stanza.path)[1])
    return [one for one in selectors if any(may_be(one, value) for value in values)]


def _free(blocked: Sequence[str], kind: str) -> bool:
    return not set(KINDS[kind]) & set(blocked)
