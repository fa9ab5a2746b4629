"""What a change of rules gives and takes, over all paths. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from policies.acl.fillings import fillings
from policies.acl.language import representatives
from policies.acl.rules import LISTING, Rule, Rules
from policies.acl.stanza import FREE, Parameters, Stanza

_NOTHING = frozenset({"deny"})


@dataclass(frozen=True, slots=True)
class Change:
    """`witness`: a path, among the shortest, on which old and new differ so.

    `limits`: what is granted by both has other parameters, wrapping, pages or control groups; that counts as a gain.
    A template that may have any value stands in the witness as it is written; `given` are the values of those that must have one of a
    kind. `since`: when it begins, as stanzas expire then; None for at once.
    """

    subject: str
    witness: str
    gained: frozenset[str]
    lost: frozenset[str]
    limits: bool
    old: Rule | None
    new: Rule | None
    given: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None

    @property
    def pattern(self) -> str:
        """What decides now, as it is written; empty for nothing."""
        return " and ".join(_written(self.new))

    @property
    def where(self) -> str:
        """The witness, and for whom it is one."""
        given = (f"{selector} is {value or 'empty'}" for selector, value in self.given.items())
        return ", where ".join((self.witness, *([" and ".join(given)] if self.given else [])))


def compared(subject: str, old: Rules, new: Rules) -> Iterator[Change]:
    """One change for each pair of deciding rules and what differs between them.

    With templates, for tokens with one kind of values after the other. Raises TooManyError.
    """
    seen = set()
    for filling in fillings(old, new):
        was, becomes = old.given(filling.values), new.given(filling.values)
        for change in _for_one(subject, was, becomes):
            refused = [stanza for stanza in (was.forbidden, becomes.forbidden) if stanza]
            stanzas = (*_stanzas(change.old), *_stanzas(change.new), *refused)
            key = (_written(change.old), _written(change.new), change.gained, change.lost, change.limits)
            if key not in seen:
                seen.add(key)
                given = filling.particular(stanzas)
                yield replace(change, witness=filling.written(change.witness), given=given)


def _for_one(subject: str, old: Rules, new: Rules) -> Iterator[Change]:
    """For tokens with these values. Those to which the server refused everything for one, or will, are told once, by what has a template."""
    found = _differences(subject, old, new)
    if not old.forbidden and not new.forbidden:
        yield from found
        return
    every = list(found)
    about = [
        one for one in every if any(stanza.templated for stanza in (*_stanzas(one.old), *_stanzas(one.new)))
    ]
    yield from about or (every[:1] if old.forbidden else ())


def _differences(subject: str, old: Rules, new: Rules) -> Iterator[Change]:
    patterns = [one.pattern for rules in (old, new) for one in rules]
    for raw in representatives(patterns):
        path = raw.decode("utf-8", "surrogateescape")
        for listing in (False, True):
            was, becomes = old.decider(path, listing=listing), new.decider(path, listing=listing)
            gained, lost, limits = _difference(was, becomes, listing=listing)
            if gained or lost or limits:
                yield Change(subject, path, gained, lost, limits, was, becomes)


def _stanzas(found: Rule | None) -> tuple[Stanza, ...]:
    return found.stanzas if found else ()


def _written(found: Rule | None) -> tuple[str, ...]:
    return tuple(sorted({stanza.path.removeprefix("/") for stanza in _stanzas(found)}))


def _difference(
    old: Rule | None, new: Rule | None, *, listing: bool
) -> tuple[frozenset[str], frozenset[str], bool]:
    before, after = _granted(old, listing=listing), _granted(new, listing=listing)
    limits = bool(before & after) and _limits(old) != _limits(new)
    if listing and before & after:  # some listings need sudo, too, and of the rule that decides about them
        before, after = (found | _sudo(rule) for found, rule in ((before, old), (after, new)))
    return after - before, before - after, limits


def _granted(decider: Rule | None, *, listing: bool) -> frozenset[str]:
    """Those of LISTING are looked up in their own way, and only they."""
    found = (decider.capabilities if decider else frozenset()) - _NOTHING
    return found & LISTING if listing else found - LISTING


def _sudo(decider: Rule | None) -> frozenset[str]:
    return (decider.capabilities if decider else frozenset()) & {"sudo"}


def _limits(decider: Rule | None) -> tuple[object, ...]:
    """What is demanded besides a capability, whatever the order in which it stands."""
    found = decider.constraints if decider else FREE
    required = frozenset(name.lower() for name in found.required)
    own = (found.min_wrapping, found.max_wrapping, found.page, frozenset(found.mfa), found.control_group)
    told = (frozenset(found.filters), frozenset(found.events))
    return _values(found.allowed), _values(found.denied), required, *own, *told


def _values(parameters: Parameters | None) -> dict[str, frozenset[str]]:
    """No parameters and an empty map of them are the same to the server."""
    return {name: frozenset(map(repr, values)) for name, values in (parameters or {}).items()}
