"""Logged requests, decided under other policies: what would break, what would open, what was never used."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from policies.acl.decide import Decision, Operation, Reason, Request, decided
from policies.acl.dialects import Dialect
from policies.acl.rules import Rule, Rules
from policies.acl.stanza import Stanza
from policies.review.auditlog import HIDDEN, Entry
from policies.review.inventory import Inventory
from policies.review.questions import OPERATIONS
from policies.review.subjects import Policies

_OPERATIONS = OPERATIONS | {"renew": (Operation.WRITE, True), "revoke": (Operation.WRITE, True)}
# Of requests that are told apart in each list: memory stays bounded, the rest is counted together.
_KINDS = 20_000
_REASONS = 50
_TOKENS = 5_000  # sets of policies whose rules are kept at once


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that are alike. `why`: of the decision under the new policies."""

    policies: tuple[str, ...]
    operation: str
    path: str
    why: Reason


@dataclass
class Found:
    """`breaks`: were allowed, would be refused. `opens`: the other way round. `hidden`: depends on a value the log doesn't tell.

    `skipped`: by reason. `first` and `last`: the period, as the log writes times.
    """

    requests: int = 0
    breaks: Counter[Kind] = field(default_factory=Counter)
    opens: Counter[Kind] = field(default_factory=Counter)
    hidden: Counter[Kind] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""


class Replay:
    """`add` each entry; `found` and `unused` then say what was seen."""

    def __init__(self, inventory: Inventory, policies: Policies, *, dialect: Dialect, now: datetime) -> None:
        self.found = Found()
        self._inventory = inventory
        self._policies = policies
        self._dialect = dialect
        self._now = now
        self._rules: dict[tuple[str, ...], Rules] = {}
        self._seen: set[str] = set()
        self._used: set[tuple[str, int, int]] = set()

    def add(self, entry: Entry) -> None:
        """Raises ReviewError for a policy that can't be parsed."""
        why = self._why_skipped(entry)
        if why:
            known = why in self.found.skipped or len(self.found.skipped) < _REASONS
            self.found.skipped[why if known else "for other reasons"] += 1
            return
        self._count(entry)
        kind, exists = _OPERATIONS[entry.operation]
        request = Request(kind, entry.path, exists, entry.parameters, entry.wrap_ttl)
        decision = decided(self._rules_of(entry.policies), request)
        depends = _depends(decision, entry)
        if decision.deciding and (
            decision.allowed or depends
        ):  # what may have been used is not to be deleted
            self._used.update(map(_place, decision.deciding.stanzas))
        lists = self.found
        if depends:
            _tally(lists.hidden, entry, decision)
        elif entry.allowed and not decision.allowed:
            _tally(lists.breaks, entry, decision)
        elif decision.allowed and not entry.allowed:
            _tally(lists.opens, entry, decision)

    def _why_skipped(self, entry: Entry) -> str:
        if entry.namespace:
            return "in a namespace of the server"
        if entry.operation not in _OPERATIONS:
            return f"operation {entry.operation}"
        if "root" in entry.policies:
            return "with the root policy"
        missing = [
            name for name in entry.policies if name not in self._inventory.policies and name != "default"
        ]
        return f"with the policy {missing[0]}, which isn't in the folder" if missing else ""

    def _count(self, entry: Entry) -> None:
        found = self.found
        found.requests += 1
        found.first = min(found.first, entry.time) if found.first else entry.time
        found.last = max(found.last, entry.time)
        self._seen.update(entry.policies)

    def _rules_of(self, names: tuple[str, ...]) -> Rules:
        if names not in self._rules:
            if len(self._rules) >= _TOKENS:
                self._rules.clear()
            there = (self._policies[name] for name in names if name in self._inventory.policies)
            self._rules[names] = Rules(there, dialect=self._dialect, now=self._now)
        return self._rules[names]

    def unused(self) -> Iterator[Stanza]:
        """Stanzas that grant something and decided no allowed request, of policies whose tokens did something."""
        for name in self._inventory.policies:
            if name in self._seen:
                stanzas = self._policies[name].stanzas
                yield from (
                    one for one in stanzas if _place(one) not in self._used and "deny" not in one.capabilities
                )

    def silent(self) -> list[str]:
        """Policies none of whose tokens did anything."""
        return [name for name in self._inventory.policies if name not in self._seen]


def _place(stanza: Stanza) -> tuple[str, int, int]:
    return stanza.policy, stanza.line, stanza.column


def _depends(decision: Decision, entry: Entry) -> bool:
    """Whether another value in the place of a hidden one could be decided otherwise."""
    if decision.reason is Reason.NOT_ALLOWED:
        return entry.parameters.get(decision.about) is HIDDEN
    return decision.allowed and _denies_hidden(decision.deciding, entry)


def _denies_hidden(rule: Rule | None, entry: Entry) -> bool:
    denied = (rule.constraints.denied if rule else None) or {}
    return any(value is HIDDEN and denied.get(name.lower()) for name, value in entry.parameters.items())


def _tally(counter: Counter[Kind], entry: Entry, decision: Decision) -> None:
    kind = Kind(entry.policies, entry.operation, entry.path, decision.reason)
    if kind not in counter and len(counter) >= _KINDS:
        kind = Kind((), entry.operation, "(other paths)", decision.reason)
    counter[kind] += 1
