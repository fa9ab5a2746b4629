"""What a change of rules gives and takes, over all paths. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from policies.acl.language import representatives
from policies.acl.paths import Pattern
from policies.acl.rules import Rule, Rules, merged, ruled
from policies.acl.stanza import FREE, Parameters

_LISTING = frozenset({"list", "scan"})
_NOTHING = frozenset({"deny"})


@dataclass(frozen=True, slots=True)
class Change:
    """`witness`: a path, among the shortest, on which old and new differ so.

    `limits`: what is granted by both has other parameters, wrapping, pages or control groups; that counts as a gain.
    Of a path with a template that nobody can fill in yet, the witness is the path as written; `limits` is then whatever else
    than a grant more: what a closer stanza said may be said by a broader one now. `since`: when it begins, as stanzas expire then;
    None for at once.
    """

    subject: str
    witness: str
    gained: frozenset[str]
    lost: frozenset[str]
    limits: bool
    old: Rule | None
    new: Rule | None
    since: datetime | None = None


def compared(subject: str, old: Rules, new: Rules) -> Iterator[Change]:
    """One change for each pair of deciding rules and what differs between them."""
    seen = set()
    patterns = [one.pattern for rules in (old, new) for one in rules]
    for raw in representatives(patterns):
        path = raw.decode("utf-8", "surrogateescape")
        for listing in (False, True):
            was, becomes = old.decider(path, listing=listing), new.decider(path, listing=listing)
            gained, lost, limits = _difference(was, becomes, listing=listing)
            key = (_pattern(was), _pattern(becomes), gained, lost, limits)
            if (gained or lost or limits) and key not in seen:
                seen.add(key)
                yield Change(subject, path, gained, lost, limits, was, becomes)
    yield from _templated(subject, _unfilled(old), _unfilled(new))


def _unfilled(rules: Rules) -> dict[str, Rule]:
    """Rules of what has a template, by the path as it is written."""
    found: dict[str, Rule] = {}
    for stanza in rules.unfilled:
        path = stanza.path.removeprefix("/")
        fresh = ruled(path, stanza)
        if fresh:
            found[path] = merged(found[path], fresh) if path in found else fresh
    return found


def _templated(subject: str, old: Mapping[str, Rule], new: Mapping[str, Rule]) -> Iterator[Change]:
    """A denial that is new can only take away, from what isn't known."""
    for path in sorted(old.keys() | new.keys()):
        was, becomes = old.get(path), new.get(path)
        before, after = (one.capabilities if one else frozenset[str]() for one in (was, becomes))
        if before != after or _limits(was) != _limits(becomes):
            gained, lost = after - before - _NOTHING, before - after - _NOTHING
            limits = not ((gained and was is None) or _NOTHING & after)
            if gained or lost or limits:
                yield Change(subject, path, gained, lost, limits, was, becomes)


def _pattern(found: Rule | None) -> Pattern | None:
    return found.pattern if found else None


def _difference(
    old: Rule | None, new: Rule | None, *, listing: bool
) -> tuple[frozenset[str], frozenset[str], bool]:
    before, after = _granted(old, listing=listing), _granted(new, listing=listing)
    limits = bool(before & after) and _limits(old) != _limits(new)
    return after - before, before - after, limits


def _granted(decider: Rule | None, *, listing: bool) -> frozenset[str]:
    """LIST and SCAN are looked up in their own way, and only they."""
    found = (decider.capabilities if decider else frozenset()) - _NOTHING
    return found & _LISTING if listing else found - _LISTING


def _limits(decider: Rule | None) -> tuple[object, ...]:
    """What is demanded besides a capability, whatever the order in which it stands."""
    found = decider.constraints if decider else FREE
    required = frozenset(name.lower() for name in found.required)
    own = (found.min_wrapping, found.max_wrapping, found.page, frozenset(found.mfa), found.control_group)
    return _values(found.allowed), _values(found.denied), required, *own


def _values(parameters: Parameters | None) -> dict[str, frozenset[str]]:
    """No parameters and an empty map of them are the same to the server."""
    return {name: frozenset(map(repr, values)) for name, values in (parameters or {}).items()}
