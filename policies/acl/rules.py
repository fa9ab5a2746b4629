"""All policies of a token as one table, and which rule of it decides about a path.

OpenBao's acl.go: NewACL merges, AllowOperation and CheckAllowedFromNonExactPaths look up.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from policies.acl.dialects import NEWEST, Dialect
from policies.acl.paths import Kind, Pattern, pattern
from policies.acl.stanza import FREE, Constraints, ControlGroup, Parameters, Policy, Stanza
from policies.acl.templates import ForbiddenValueError, Identity, filled, value_of

KINDS = {"slashes": ("/",), "wildcards": ("*", "+")}
DENY = frozenset({"deny"})
LISTING = frozenset({"list", "scan", "subscribe"})  # looked up with the last slash of a path and without


@dataclass(frozen=True, slots=True)
class Rule:
    """What stanzas of one pattern say together. `stanzas` in the order in which they were merged."""

    pattern: Pattern
    capabilities: frozenset[str]
    constraints: Constraints
    stanzas: tuple[Stanza, ...]


class Rules:
    """The policies that one token has."""

    def __init__(
        self,
        policies: Iterable[Policy],
        *,
        dialect: Dialect = NEWEST,
        identity: Identity | None = None,
        now: datetime | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """Without `identity`, templates can't be filled, and their stanzas are dropped; without `now`, nothing expires.

        `values`: what templates are filled with instead, by selector.
        `forbidden`: a stanza whose template has a value that may not stand in a path; then the token can do nothing.
        `dialect`: of the server that decides.
        `templates`: stanzas that have some, each with what may not be filled in.
        """
        self.dialect = dialect
        self._now = now
        self._policies = tuple(policies)
        self._lookup = partial(value_of, identity=identity, now=now) if values is None else values.get
        self.forbidden: Stanza | None = None
        self.templates: list[tuple[Stanza, tuple[str, ...]]] = []
        self._tables: dict[Kind, dict[bytes, Rule]] = {kind: {} for kind in Kind}
        for policy in self._policies:
            freed = {text for kind in policy.loose for text in KINDS[kind]}
            blocked = tuple(text for text in dialect.blocked if text not in freed)
            for stanza in policy.stanzas:
                self._add(stanza, blocked)
        self._lengths = sorted({len(text) for text in self._tables[Kind.PREFIX]}, reverse=True)
        self._folded = [
            (Pattern(rule.pattern.kind, _folded(rule.pattern.text)), rule)
            for rule in (self if dialect.denies_any_case else ())
            if DENY & rule.capabilities
        ]

    def __iter__(self) -> Iterator[Rule]:
        for table in self._tables.values():
            yield from table.values()

    def given(self, values: Mapping[str, str]) -> "Rules":
        """The same for a token for which templates have these values."""
        if not self.templates:
            return self
        return Rules(self._policies, dialect=self.dialect, now=self._now, values=values)

    def _add(self, stanza: Stanza, blocked: tuple[str, ...]) -> None:
        if stanza.expiration and self._now and self._now > stanza.expiration:
            return
        path = self._filled(stanza, blocked) if stanza.templated else stanza.path
        fresh = None if path is None else ruled(path, stanza)
        if fresh is None:
            return
        table, text = self._tables[fresh.pattern.kind], fresh.pattern.text
        known = table.get(text)
        table[text] = merged(known, fresh, self.dialect) if known else fresh

    def _filled(self, stanza: Stanza, blocked: tuple[str, ...]) -> str | None:
        self.templates.append((stanza, blocked))
        try:
            return filled(stanza.path, self._lookup, blocked)
        except ForbiddenValueError:
            self.forbidden = self.forbidden or stanza
            return None

    def candidates(self, path: str, *, listing: bool) -> list[Rule]:
        """All rules that match, the deciding one first, then in the order in which they would decide without it."""
        if self.forbidden:
            return []
        raw = path.lstrip("/").encode("utf-8", "surrogateescape")
        bare = raw.removesuffix(b"/") if listing else raw
        found = [*self._exact(raw), *(self._exact(bare) if bare != raw else ())]
        wild = [self._wild(raw)] if bare == raw else [self._wild(raw), self._wild(bare)]
        for rules in wild if self.dialect.slash_late else reversed(wild):
            found += [rule for rule in rules if rule not in found]
        return found

    def decider(self, path: str, *, listing: bool) -> Rule | None:
        found = self.candidates(path, listing=listing)
        return found[0] if found else None

    def _exact(self, path: bytes) -> list[Rule]:
        found = self._tables[Kind.EXACT].get(path)
        own = [found] if found else []
        return [*own, *self._denials(path, exact=True, but=own)]

    def _denials(self, path: bytes, *, exact: bool, but: list[Rule]) -> list[Rule]:
        """Those that match the path in another case."""
        if not self._folded:
            return []
        folded = _folded(path)
        return [
            rule
            for pattern, rule in self._folded
            if (pattern.kind is Kind.EXACT) == exact and pattern.matches(folded) and rule not in but
        ]

    def _wild(self, path: bytes) -> list[Rule]:
        prefixes = self._tables[Kind.PREFIX]
        found = [prefixes[path[:n]] for n in self._lengths if n <= len(path) and path[:n] in prefixes]
        segments = self._tables[Kind.SEGMENT].values()
        found += [rule for rule in segments if rule.pattern.matches(path)]
        found += self._denials(path, exact=False, but=found)
        return sorted(found, key=lambda rule: rule.pattern.rank, reverse=True)


def _folded(path: bytes) -> bytes:
    return path.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape")


def ruled(path: str, stanza: Stanza) -> Rule | None:
    """What a stanza says of its path, templates filled in; None for a path that the server refuses."""
    found = pattern(path)
    return Rule(found, stanza.capabilities, stanza.constraints, (stanza,)) if found else None


def merged(first: Rule, second: Rule, dialect: Dialect) -> Rule:
    """Denial stays; else capabilities add up, parameters are joined, and the shorter wrapping and page win."""
    stanzas = first.stanzas + second.stanzas
    if DENY & first.capabilities:
        return replace(first, stanzas=stanzas)
    if DENY & second.capabilities:
        return Rule(first.pattern, DENY, FREE, stanzas)
    return Rule(
        first.pattern,
        first.capabilities | second.capabilities,
        _joined(first.constraints, second.constraints, dialect),
        stanzas,
    )


def _joined(first: Constraints, second: Constraints, dialect: Dialect) -> Constraints:
    if first is FREE and second is FREE:
        return FREE
    return Constraints(
        _parameters(first.allowed, second.allowed),
        _parameters(first.denied, second.denied),
        tuple(dict.fromkeys(first.required + second.required)),
        _lesser(first.min_wrapping, second.min_wrapping),
        _lesser(first.max_wrapping, second.max_wrapping),
        int(_lesser(first.page, second.page)),
        tuple(dict.fromkeys(first.mfa + second.mfa)),
        _control_group(first, second) if dialect.controls_joined else first.control_group,
        tuple(dict.fromkeys(first.filters + second.filters)),
        tuple(dict.fromkeys(first.events + second.events)) if first.events else (),
    )


def _control_group(first: Constraints, second: Constraints) -> ControlGroup | None:
    """All factors, each with what it holds; how long one waits is the first group's to say."""
    if first.control_group is None or second.control_group is None:
        return first.control_group or second.control_group
    factors = first.control_group.factors + second.control_group.factors
    return replace(first.control_group, factors=factors)


def _lesser(first: float, second: float) -> float:
    """Of two limits, of which 0 is none."""
    return min(first, second) if first > 0 and second > 0 else max(first, second) if second > 0 else first


def _parameters(first: Parameters | None, second: Parameters | None) -> Parameters | None:
    """An empty list, which means any value, wins over a list of some."""
    if not second:
        return first
    if first is None:
        return second
    joined = dict(first)
    for name, values in second.items():
        either_any = not values or (name in first and not first[name])
        joined[name] = () if either_any else values + first.get(name, ())
    return joined
