"""What a change of rules gives and takes, over all paths. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from policies.acl.language import representatives
from policies.acl.paths import Pattern
from policies.acl.rules import Rule, Rules
from policies.acl.stanza import FREE, Parameters

_LISTING = frozenset({"list", "scan"})
_NOTHING = frozenset({"deny"})


@dataclass(frozen=True, slots=True)
class Change:
    """`witness`: a path, among the shortest, on which old and new differ so.

    `limits`: what is granted by both has other parameters, wrapping, pages or control groups; that counts as a gain.
    """

    subject: str
    witness: str
    gained: frozenset[str]
    lost: frozenset[str]
    limits: bool
    old: Rule | None
    new: Rule | None


def compared(subject: str, old: Rules, new: Rules) -> Iterator[Change]:
    """One change for each pair of deciding rules and what differs between them."""
    seen = set()
    patterns = [rule.pattern for rules in (old, new) for rule in rules]
    for raw in representatives(patterns):
        path = raw.decode("utf-8", "surrogateescape")
        for listing in (False, True):
            was, becomes = old.decider(path, listing=listing), new.decider(path, listing=listing)
            gained, lost, limits = _difference(was, becomes, listing=listing)
            key = (_pattern(was), _pattern(becomes), gained, lost, limits)
            if (gained or lost or limits) and key not in seen:
                seen.add(key)
                yield Change(subject, path, gained, lost, limits, was, becomes)


def _pattern(rule: Rule | None) -> Pattern | None:
    return rule.pattern if rule else None


def _difference(
    old: Rule | None, new: Rule | None, *, listing: bool
) -> tuple[frozenset[str], frozenset[str], bool]:
    before, after = _granted(old, listing=listing), _granted(new, listing=listing)
    limits = bool(before & after) and _limits(old) != _limits(new)
    return after - before, before - after, limits


def _granted(rule: Rule | None, *, listing: bool) -> frozenset[str]:
    """LIST and SCAN are looked up in their own way, and only they."""
    found = (rule.capabilities if rule else frozenset()) - _NOTHING
    return found & _LISTING if listing else found - _LISTING


def _limits(rule: Rule | None) -> tuple[object, ...]:
    """What is demanded besides a capability, whatever the order in which it stands."""
    found = rule.constraints if rule else FREE
    required = frozenset(name.lower() for name in found.required)
    own = (found.min_wrapping, found.max_wrapping, found.page, frozenset(found.mfa), found.control_group)
    return _values(found.allowed), _values(found.denied), required, *own


def _values(parameters: Parameters | None) -> dict[str, frozenset[str]]:
    """No parameters and an empty map of them are the same to the server."""
    return {name: frozenset(map(repr, values)) for name, values in (parameters or {}).items()}
