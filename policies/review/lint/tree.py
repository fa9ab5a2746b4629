"""What rules look at: a folder's policies as stanzas, its auth roles, and what is known of its mounts. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TypeAlias

from policies.acl.dialects import Dialect
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy
from policies.acl.paths import Pattern, pattern
from policies.acl.rules import Rules
from policies.acl.stanza import Policy, Stanza
from policies.names import MARK
from policies.review.inventory import AuthRole, Inventory, PolicyFile
from policies.review.lint.engines import Engines, engines
from policies.review.lint.signers import Signer, signers
from policies.review.subjects import subjects
from policies.roles.inside import OPEN, Boundaries

# A template that is a whole segment is any one segment.
_SEGMENT = re.compile(r"(?<![^/])\{\{[^{}]*\}\}(?![^/])")


@dataclass(frozen=True, slots=True)
class Reading:
    """How policies are read. `now` has a time zone."""

    dialect: Dialect
    now: datetime


@dataclass(frozen=True)
class Looked:
    """A policy. `workload`: an auth role for service accounts has it, or none that is known has it at all.

    `twice`: where an attribute is set a second time, which some servers refuse.
    """

    file: PolicyFile
    policy: Policy
    reading: Reading
    workload: bool
    twice: PolicyError | None

    @property
    def generated(self) -> bool:
        return self.file.text.startswith(MARK.encode())

    @cached_property
    def rules(self) -> Rules:
        return Rules([self.policy], dialect=self.reading.dialect, now=self.reading.now)

    @cached_property
    def grants(self) -> tuple["Grant", ...]:
        """All stanzas that say something at this time, denials too."""
        live = (stanza for stanza in self.policy.stanzas if not expired(stanza, self.reading.now))
        found = ((stanza, pattern(_SEGMENT.sub("+", stanza.path))) for stanza in live)
        return tuple(Grant(self, stanza, aims) for stanza, aims in found if aims)


@dataclass(frozen=True, slots=True)
class Grant:
    """A stanza of a policy. `aims`: its pattern, with + where a template is a whole segment."""

    of: Looked
    stanza: Stanza
    aims: Pattern

    @property
    def denies(self) -> bool:
        return "deny" in self.stanza.capabilities

    def has(self, *capabilities: str) -> bool:
        return not self.stanza.capabilities.isdisjoint(capabilities)

    def decides(self, path: str) -> bool:
        """Whether nothing closer in its policy does, and nothing there denies; what has a template isn't known before a login."""
        if self.stanza.templated:
            return True
        rule = self.of.rules.decider(path, listing=False)
        return (
            rule is not None
            and self.stanza in rule.stanzas
            and (self.denies or "deny" not in rule.capabilities)
        )


@dataclass(frozen=True)
class Tree:
    """`policies` by name in lower case, as the server keeps them. `names`: those of all, the broken ones too.

    `others`: what else is known to have policies: logins by which entities and groups give more, and what no auth role is.
    `signers`: PKI roles that have a name of ours; none are read where there are no boundaries.
    """

    policies: Mapping[str, Looked]
    names: frozenset[str]
    roles: tuple[AuthRole, ...]
    others: tuple["Named", ...]
    engines: Engines
    broken: tuple[PolicyError, ...]
    reading: Reading
    boundaries: Boundaries
    signers: tuple[Signer, ...]

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        return tuple(grant for policy in self.policies.values() for grant in policy.grants)

    @cached_property
    def stanzas(self) -> tuple[tuple[Looked, Stanza], ...]:
        """All as they are written, those that have expired too."""
        return tuple(
            (policy, stanza) for policy in self.policies.values() for stanza in policy.policy.stanzas
        )

    @cached_property
    def tokens(self) -> tuple["Tokens", ...]:
        """What tokens there are: each auth role's, those of others, and one of each policy that nothing names."""
        every = [*((role, role.policies) for role in self.roles), *self.others]
        named = {name for _, names in every for name in names}
        found = [Tokens(role, self._of(names)) for role, names in every]
        return (
            *found,
            *(Tokens(None, (looked,)) for name, looked in self.policies.items() if name not in named),
        )

    def _of(self, names: Iterable[str]) -> tuple[Looked, ...]:
        return tuple(self.policies[name] for name in names if name in self.policies)


Named: TypeAlias = tuple[AuthRole | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Which policies one token has together."""

    role: AuthRole | None
    policies: tuple[Looked, ...]

    def rules(self, reading: Reading) -> Rules:
        found = (looked.policy for looked in self.policies)
        return Rules(found, dialect=reading.dialect, now=reading.now)

    @property
    def grants(self) -> Iterator[Grant]:
        for looked in self.policies:
            yield from looked.grants


def expired(stanza: Stanza, now: datetime) -> bool:
    return stanza.expiration is not None and now > stanza.expiration


def tree(inventory: Inventory, reading: Reading, boundaries: Boundaries = OPEN) -> Tree:
    """Policies that the server would refuse are among `broken`, and looked at no further.

    Raises ReviewError for a PKI role's file that is no JSON.
    """
    broken: list[PolicyError] = []
    policies: dict[str, Looked] = {}
    others = tuple(_others(inventory))
    by_people, by_others = _named([*((role, role.policies) for role in inventory.roles), *others])
    for name, file in inventory.policies.items():
        try:
            policy, twice = _parsed(file, reading)
        except PolicyError as error:
            broken.append(error)
            continue
        workload = name.lower() in by_people or name.lower() not in by_others
        policies[name.lower()] = Looked(file, policy, reading, workload, twice)
    stanzas = (stanza for looked in policies.values() for stanza in looked.policy.stanzas)
    names = frozenset(name.lower() for name in inventory.policies)
    known = engines(inventory, stanzas)
    made = () if boundaries is OPEN else tuple(signers(inventory))
    return Tree(policies, names, inventory.roles, others, known, tuple(broken), reading, boundaries, made)


def _others(inventory: Inventory) -> Iterator[Named]:
    roles = {(f"{role.mount}/{role.name}", role.file): role for role in inventory.roles}
    for subject in subjects(inventory):
        role = roles.get((subject.role, subject.file))
        if subject.ways or not (role or subject.unowned):
            yield role, subject.policies


def _named(every: Iterable[Named]) -> tuple[set[str], set[str]]:
    """Policies that logins of service accounts give, and those that something else gives."""
    workloads: set[str] = set()
    others: set[str] = set()
    for role, names in every:
        (workloads if role and role.login.names else others).update(names)
    return workloads, others


def _parsed(file: PolicyFile, reading: Reading) -> tuple[Policy, PolicyError | None]:
    strict = replace(reading.dialect, duplicates=False)
    try:
        return parse_policy(file.text, file.file, dialect=strict, now=reading.now), None
    except PolicyError as error:
        return parse_policy(file.text, file.file, dialect=reading.dialect, now=reading.now), error
