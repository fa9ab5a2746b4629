"""Who has which policies: auth roles where there are some, with what entities and groups add; else each policy for itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PolicyError
from policies.acl.logins import Account
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.acl.stanza import Policy
from policies.review.clusters import Cluster
from policies.review.errors import ReviewError
from policies.review.globs import fits
from policies.review.holders import Held, Holder, Ways, held
from policies.review.identity import Way
from policies.review.inventory import AuthRole, Inventory, PolicyFile


@dataclass(frozen=True, slots=True)
class Subject:
    """`name` is an auth role as `MOUNT/NAME`, with whom of several it is for; an entity or group that no known login leads to;
    a token role; or a policy. `missing`: policies that it names and that aren't there.

    `file`: of an auth role; two clusters may each have one of that name. `role`: the auth role or token role, where it is one's, as `MOUNT/NAME`.
    `holder`: the name of the entity or group, `who`: it in words. `ways`: from what else than the login a policy comes, by
    the policy's name and where it stands. `cluster`: the one that the accounts are of, if its namespaces are known.
    """

    name: str
    policies: tuple[str, ...]
    accounts: tuple[Account, ...] = ()
    missing: tuple[str, ...] = ()
    file: str = ""
    role: str = ""
    holder: str = ""
    who: str = ""
    ways: tuple[tuple[str, str, Way], ...] = ()
    cluster: Cluster | None = None

    @property
    def unowned(self) -> bool:
        """Whether it is a policy that nobody is known to have."""
        return not self.role and not self.who


Known: TypeAlias = Mapping[str, PolicyFile]


@dataclass(frozen=True, slots=True)
class Reading:
    """How policies are read. `now`, with a time zone, is when stanzas expire."""

    dialect: Dialect = NEWEST
    now: datetime | None = None


class Policies:
    """The parsed policies of an inventory, each parsed once, when it is asked for."""

    def __init__(self, inventory: Inventory, reading: Reading) -> None:
        self._files = inventory.policies
        self._reading = reading
        self._parsed: dict[str, Policy] = {}

    @property
    def dialect(self) -> Dialect:
        """By whose rules they are parsed, and decide."""
        return self._reading.dialect

    def __getitem__(self, name: str) -> Policy:
        """Raises ReviewError with the place in the file."""
        if name not in self._parsed:
            file = self._files[name]
            try:
                parsed = parse_policy(
                    file.text, file.file, dialect=self._reading.dialect, now=self._reading.now
                )
            except PolicyError as error:
                raise ReviewError(str(error)) from None
            self._parsed[name] = _as_kept(parsed, file)
        return self._parsed[name]

    def rules(self, subject: Subject, *, later: datetime | None = None) -> Rules:
        """As they decide now, or later."""
        found = (self[name] for name in sorted(subject.policies))  # as the server keeps those of a token
        return Rules(found, dialect=self._reading.dialect, now=later or self._reading.now)

    def ends(self, subject: Subject) -> set[datetime]:
        """When stanzas have just expired, from now on."""
        found = (stanza.expiration for name in subject.policies for stanza in self[name].stanzas)
        now = self._reading.now
        return {end + timedelta(microseconds=1) for end in found if end and now and end >= now}


def _as_kept(policy: Policy, file: PolicyFile) -> Policy:
    """With what the server keeps beside the text: what ends the policy ends each stanza of it."""
    kept = replace(policy, loose=file.loose)
    if file.expiration is None:
        return kept
    stanzas = (
        replace(one, expiration=min(file.expiration, one.expiration or file.expiration))
        for one in policy.stanzas
    )
    return replace(kept, stanzas=tuple(stanzas))


def subjects(inventory: Inventory) -> Iterator[Subject]:
    """Policies that nothing names stand for themselves."""
    known = inventory.policies
    found = held(inventory.roles, inventory.identity)
    named: set[str] = set()
    for subject in (*_logins(inventory, found), *_rest(found, known), *_token_roles(inventory)):
        named.update(subject.policies)
        yield subject
    for name in known:
        if name not in named:
            yield Subject(name, (name,))


def _logins(inventory: Inventory, found: Held) -> Iterator[Subject]:
    """Of each auth role what it gives by itself, unless whoever logs in has more, and what it gives with an entity or group."""
    for place, role in enumerate(inventory.roles):
        base, always = _of(role, inventory), found.always.get(place, {})
        holders = found.holders.get(place, ())
        only = [holder for holder in holders if holder.only]
        taken = {account for holder in only for account in holder.accounts}
        accounts = tuple(account for account in role.accounts if account not in taken)
        alone = bool(accounts) if role.accounts else not only
        if alone:
            yield _with(replace(base, accounts=accounts), always, inventory.policies)
        for holder in holders:
            one = _as(base, holder) if alone or len(holders) > 1 else replace(base, holder=holder.name)
            yield _with(one, {**always, **holder.ways}, inventory.policies)


def _of(role: AuthRole, inventory: Inventory) -> Subject:
    name = f"{role.mount}/{role.name}"
    there, missing = _found(role.policies, inventory.policies)
    cluster = inventory.cluster
    its = cluster if cluster and role.mount in cluster.mounts else None
    return Subject(name, there, role.accounts, missing, role.file, name, cluster=its)


def _as(base: Subject, holder: Holder) -> Subject:
    """Named so that no two are called alike."""
    accounts = f" ({', '.join(map(str, holder.accounts))})" if holder.accounts else ""
    return replace(
        base,
        name=f"{base.name} as {holder.who}{accounts}",
        accounts=holder.accounts or base.accounts,
        holder=holder.name,
        who=holder.who,
    )


def _with(subject: Subject, ways: Ways, known: Known) -> Subject:
    """With what else than the login gives; what the login gives too stays the login's."""
    more = {name: way for name, way in ways.items() if name not in subject.policies + subject.missing}
    there, missing = _found(more, known)
    return replace(
        subject,
        policies=subject.policies + there,
        missing=subject.missing + missing,
        ways=tuple((name, known[name].file, more[name]) for name in there),
    )


def _found(names: Iterable[str], known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that are there, and those that aren't.

    The built-in `default` policy counts only where the folder holds it; without, it is no more missing than read.
    """
    every = tuple(names)
    there = tuple(name for name in every if name in known)
    return there, tuple(name for name in every if name not in known and name != "default")


def _rest(found: Held, known: Known) -> Iterator[Subject]:
    """Entities and external groups that no known login leads to, such as those of other auth methods."""
    for entity, ways in found.entities:
        aliases = ", ".join(map(str, entity.aliases)) or "no alias, so that nobody logs in as it yet"
        accounts = tuple(Account(*alias.account) for alias in entity.aliases if alias.account)
        name = f"identity/entity/{entity.name}"
        bare = Subject(name, (), accounts, file=entity.file, holder=entity.name, who=aliases)
        yield _with(bare, ways, known)
    for group, ways in found.groups:
        who = f"whoever is in {group.alias}"
        bare = Subject(f"identity/group/{group.name}", (), file=group.file, holder=group.name, who=who)
        yield _with(bare, ways, known)


def _token_roles(inventory: Inventory) -> Iterator[Subject]:
    """Those whose tokens have more than the one who makes them."""
    for role in inventory.identity.token_roles:
        name = f"token/{role.name}"
        there, missing = _found(role.policies(inventory.policies), inventory.policies)
        who = f"whoever may update auth/token/create/{role.name}"
        base = Subject(name, there, missing=missing, file=role.file, role=name, who=who)
        if there or missing:
            yield base
        for entity in inventory.identity.entities:
            names = [alias.name for alias in entity.aliases if alias.mount == "token"]
            ways = inventory.identity.given(entity)
            if ways and any(fits(pattern, one) for pattern in role.aliases for one in names):
                one = replace(base, name=f"{name} as entity {entity.name}", holder=entity.name)
                yield _with(one, ways, inventory.policies)
