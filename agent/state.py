"""What init leaves to the sidecar, and one tick to the next: tokens, leases and lives. No secret's value.

One JSON file of mode 0600 in the folder `state`, which our containers alone mount, in memory.
"""

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from certs.renewal import Life

FILE = "state.json"
VERSION = 1
MAX_BYTES = 1024 * 1024

TOKEN = "token"  # noqa: S105 - a task's name
POLL = "poll"

_NONE: Mapping[str, Any] = MappingProxyType({})


def lease_task(read: str) -> str:
    return f"lease:{read}"


def certificate_task(folder: str) -> str:
    return f"certificate:{folder}"


class Token(NamedTuple):
    """A login's result. `renewable` is false for batch tokens, which can't be revoked either (`service` false)."""

    value: str
    accessor: str
    service: bool
    renewable: bool
    seconds: int


class Retired(NamedTuple):
    """A token to revoke once `after` (monotonic) has passed: readers still move from what it leased."""

    value: str
    after: float


class Lease(NamedTuple):
    id: str
    renewable: bool
    seconds: int


class Term(NamedTuple):
    """The life of one thing by the server's clock, and when it was got by the monotonic clock."""

    life: Life
    success: float


class Failed(NamedTuple):
    """Failures in a row; not before `retry` (monotonic) again."""

    in_a_row: int
    retry: float


class State(NamedTuple):
    """`offset` is the server's clock minus ours; `terms` and `failed` are by task name, `leases` by read."""

    offset: float = 0.0
    token: Token | None = None
    retired: tuple[Retired, ...] = ()
    leases: Mapping[str, Lease] = _NONE
    terms: Mapping[str, Term] = _NONE
    failed: Mapping[str, Failed] = _NONE
    polled: float = 0.0

    def without(self, tasks: frozenset[str]) -> "State":
        """The same with these tasks' results forgotten: they are due, unless they back off."""
        return self._replace(
            leases={name: lease for name, lease in self.leases.items() if lease_task(name) not in tasks},
            terms={task: term for task, term in self.terms.items() if task not in tasks},
        )


def restored(state: State, before: State, tasks: frozenset[str]) -> State:
    """The same with these tasks' results as they were before."""
    kept = state.without(tasks)
    leases = {name: lease for name, lease in before.leases.items() if lease_task(name) in tasks}
    terms = {task: term for task, term in before.terms.items() if task in tasks}
    return kept._replace(leases={**kept.leases, **leases}, terms={**kept.terms, **terms})


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
        file.write(json.dumps(_document(state)).encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, _path(folder))  # noqa: PTH104 - as above


def _path(folder: str) -> str:
    return f"{folder}/{FILE}"


def _document(state: State) -> dict[str, Any]:
    return {
        "version": VERSION,
        "offset": state.offset,
        "token": state.token._asdict() if state.token else None,
        "retired": [token._asdict() for token in state.retired],
        "leases": {name: lease._asdict() for name, lease in state.leases.items()},
        "terms": {task: _term(term) for task, term in state.terms.items()},
        "failed": {task: failed._asdict() for task, failed in state.failed.items()},
        "polled": state.polled,
    }


def _term(term: Term) -> dict[str, Any]:
    life = term.life
    times = {"not_before": life.not_before, "not_after": life.not_after, "issued": life.issued}
    return {"life": times, "success": term.success}


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
