"""A policy as types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | list["Value"] | dict[str, "Value"]
Parameters: TypeAlias = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Factor:
    """Who must authorise, and for which operations; for all where `operations` is empty."""

    name: str
    operations: tuple[str, ...]
    groups: tuple[str, ...]
    approvals: int


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """Seconds in `ttl`."""

    ttl: float
    self_authorization: bool
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Constraints:
    """Names of parameters are in lower case; no values mean any. Wrapping in seconds, 0 where it isn't asked for.

    `filters`: templates of paths that must be readable for a listed name to be shown; `events`: types that may be subscribed to.
    Both only tell that something is limited: requests aren't decided by them.
    """

    allowed: Parameters | None = None
    denied: Parameters | None = None
    required: tuple[str, ...] = ()
    min_wrapping: float = 0
    max_wrapping: float = 0
    page: int = 0
    mfa: tuple[str, ...] = ()
    control_group: ControlGroup | None = None
    filters: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


FREE = Constraints()


@dataclass(frozen=True, slots=True)
class Stanza:
    """`path` as it is written, template and leading slash included. `deny` stands alone among `capabilities`.

    `expiration`, with a time zone: from then on the server passes the stanza by.
    """

    policy: str
    path: str
    capabilities: frozenset[str]
    line: int
    column: int
    constraints: Constraints = FREE
    expiration: datetime | None = None
    legacy: str = ""

    @property
    def templated(self) -> bool:
        return "{{" in self.path


@dataclass(frozen=True, slots=True)
class Policy:
    """`loose`: `slashes` and `wildcards` where the server lets templates of this policy put them into paths, whatever the text says."""

    name: str
    stanzas: tuple[Stanza, ...]
    loose: tuple[str, ...] = ()
