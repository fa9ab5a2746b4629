"""Everything that a subject can do, as few patterns, grouped by what it means. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from policies.acl.language import representatives
from policies.acl.rules import DENY, Rule, Rules
from policies.acl.stanza import FREE

_LISTING = frozenset({"list", "scan"})
_WRITING = frozenset({"create", "update", "patch", "delete"})
# What a path is about, by the usual forms of the engines' APIs; the first that fits.
_MEANINGS = (
    ("renews and ends its own token", r"auth/token/(renew|revoke|lookup)-self|sys/leases/renew"),
    ("administers the server", r"(sys|auth|identity)(/.*)?|"),
    ("makes credentials", r"[^/]+(/.*)?/(creds|static-creds|token|sts)/.*"),
    (
        "signs certificates",
        r"[^/]+(/.*)?/(sign|sign-verbatim|sign-intermediate|issue|root|intermediate)(/.*)?",
    ),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """`rule` is the one that decides; `limited`: by parameters, wrapping, pages or a control group."""

    meaning: str
    rule: Rule
    limited: bool


def reach(rules: Rules) -> list[Reach]:
    """Without the patterns whose absence would change nothing. What takes away from a broader one is among them.

    Raises TooManyError.
    """
    found = [Reach(meaning(rule), rule, rule.constraints != FREE) for rule in _needed(rules)]
    return sorted(found, key=lambda one: (one.meaning, str(one.rule.pattern)))


def _needed(rules: Rules) -> list[Rule]:
    """One after the other, what the next closest rule would decide alike is left out, so that two never miss each other."""
    asked = list(_candidates(rules))
    left = {id(rule): rule for rule in rules}
    for rule in rules:
        if not any(
            _changes(rule, [one for one in found if id(one) in left], listing=listing)
            for found, listing in asked
        ):
            del left[id(rule)]
    return list(left.values())


def _changes(rule: Rule, candidates: list[Rule], *, listing: bool) -> bool:
    """Whether the paths of these candidates would be decided otherwise without the rule."""
    if not candidates or candidates[0] is not rule:
        return False
    return _grant(rule, listing=listing) != _grant(*candidates[1:2], listing=listing)


def _candidates(rules: Rules) -> Iterator[tuple[list[Rule], bool]]:
    for raw in representatives(rule.pattern for rule in rules):
        path = raw.decode("utf-8", "surrogateescape")
        for listing in (False, True):
            yield rules.candidates(path, listing=listing), listing


def _grant(rule: Rule | None = None, *, listing: bool) -> tuple[frozenset[str], object]:
    if rule is None:
        return frozenset(), None
    granted = rule.capabilities - DENY
    granted = granted & _LISTING if listing else granted - _LISTING
    return granted, rule.constraints if granted else None


def meaning(rule: Rule) -> str:
    if not rule.capabilities - DENY:
        return "but not"
    path = str(rule.pattern)
    fits = next((meaning for meaning, form in _MEANINGS if re.fullmatch(form, path)), "")
    if fits:
        return fits
    if path in ("*", "+") or path.startswith(("*", "+/")):
        return "administers the server"
    return "writes" if rule.capabilities & _WRITING else "reads secrets"
