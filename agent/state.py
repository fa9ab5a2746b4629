"""What init leaves to the sidecar, and one tick to the next: tokens, leases and lives. No secret's value.

One JSON file of mode 0600 in the folder `state`, which our containers alone mount, in memory.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from certs.renewal import Life

FILE = "state.json"
VERSION = 1
MAX_BYTES = 1024 * 1024

TOKEN = "token"  # noqa: S105 - a task's name
POLL = "poll"


def lease_task(read: str) -> str:
    return f"lease:{read}"


def certificate_task(folder: str) -> str:
    return f"certificate:{folder}"


@dataclass(frozen=True, slots=True)
class Token:
    """A login's result. `renewable` is false for batch tokens, which can't be revoked either (`service` false)."""

    value: str
    accessor: str
    service: bool
    renewable: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Retired:
    """A token to revoke once `after` (monotonic) has passed: readers still move from what it leased."""

    value: str
    after: float


@dataclass(frozen=True, slots=True)
class Lease:
    id: str
    renewable: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Term:
    """The life of one thing by the server's clock, and when it was got by the monotonic clock."""

    life: Life
    success: float


@dataclass(frozen=True, slots=True)
class Failed:
    """`count` failures in a row; not before `retry` (monotonic) again."""

    count: int
    retry: float


@dataclass(frozen=True, slots=True)
class State:
    """`offset` is the server's clock minus ours; `terms` and `failed` are by task name, `leases` by read."""

    offset: float = 0.0
    token: Token | None = None
    retired: tuple[Retired, ...] = ()
    leases: Mapping[str, Lease] = field(default_factory=dict)
    terms: Mapping[str, Term] = field(default_factory=dict)
    failed: Mapping[str, Failed] = field(default_factory=dict)
    polled: float = 0.0

    def without(self, tasks: frozenset[str]) -> "State":
        """The same with these tasks' results forgotten, so that they are due at once."""
        return replace(
            self,
            leases={name: lease for name, lease in self.leases.items() if lease_task(name) not in tasks},
            terms={task: term for task, term in self.terms.items() if task not in tasks},
            failed={task: failed for task, failed in self.failed.items() if task not in tasks},
        )


def load(folder: str) -> State | None:
    """The state, or None where there is none that this release wrote."""
    try:
        descriptor = os.open(_path(folder), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor; pathlib would cost the agent its start
        text = file.read(MAX_BYTES)
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save(folder: str, state: State) -> None:
    """Replace the file whole. Raises OSError."""
    temporary = f"{_path(folder)}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)  # noqa: PTH108 - as above
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600), "wb") as file:  # noqa: PTH123 - as above
        file.write(json.dumps({"version": VERSION, **asdict(state)}).encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, _path(folder))  # noqa: PTH104 - as above


def _path(folder: str) -> str:
    return f"{folder}/{FILE}"


def _parsed(top: dict[str, Any]) -> State | None:
    if top["version"] != VERSION:
        return None
    return State(
        offset=float(top["offset"]),
        token=Token(**top["token"]) if top["token"] else None,
        retired=tuple(Retired(**item) for item in top["retired"]),
        leases={name: Lease(**item) for name, item in top["leases"].items()},
        terms={
            task: Term(Life(**item["life"]), float(item["success"])) for task, item in top["terms"].items()
        },
        failed={task: Failed(**item) for task, item in top["failed"].items()},
        polled=float(top["polled"]),
    )
