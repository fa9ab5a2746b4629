"""Who has which policies: auth roles where there are some, else each policy for itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PolicyError
from policies.acl.logins import Account
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.acl.stanza import Policy
from policies.review.errors import ReviewError
from policies.review.inventory import AuthRole, Inventory


@dataclass(frozen=True, slots=True)
class Subject:
    """`name` is an auth role as `MOUNT/NAME`, or a policy. `missing`: policies that it names and that aren't there.

    `file`: of an auth role; two clusters may each have one of that name.
    """

    name: str
    policies: tuple[str, ...]
    accounts: tuple[Account, ...] = ()
    missing: tuple[str, ...] = ()
    file: str = ""


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
            self._parsed[name] = parsed
        return self._parsed[name]

    def rules(self, subject: Subject, *, later: datetime | None = None) -> Rules:
        """As they decide now, or later."""
        found = (self[name] for name in subject.policies)
        return Rules(found, dialect=self._reading.dialect, now=later or self._reading.now)

    def ends(self, subject: Subject) -> set[datetime]:
        """When stanzas have just expired, from now on."""
        found = (stanza.expiration for name in subject.policies for stanza in self[name].stanzas)
        now = self._reading.now
        return {end + timedelta(microseconds=1) for end in found if end and now and end >= now}


def subjects(inventory: Inventory) -> Iterator[Subject]:
    """Policies that no auth role names stand for themselves."""
    named: set[str] = set()
    for role in inventory.roles:
        named.update(role.policies)
        yield _of(role, inventory.policies)
    for name in inventory.policies:
        if name not in named:
            yield Subject(name, (name,))


def _of(role: AuthRole, known: Mapping[str, object]) -> Subject:
    """The built-in `default` policy counts only where the folder holds it; without, it is no more missing than read."""
    there = tuple(name for name in role.policies if name in known)
    missing = tuple(name for name in role.policies if name not in known and name != "default")
    return Subject(f"{role.mount}/{role.name}", there, role.accounts, missing, role.file)
