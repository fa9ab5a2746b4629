"""Two runs at once must not undo each other: of those that write to one cluster, the last to begin goes on and the others stop.

Roles have no check-and-set, policies do. So each run that has something to write first puts its name into a policy that allows
nothing, `podkeys.<cluster>.apply`, and looks before each write whether it still stands there. There is no lock that somebody would
have to break after a crash: the next run takes its turn, and reads the server anew where the one before has not ended.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from policies import names
from policies.apply.errors import InvalidError, OvertakenError, RefusedError
from policies.apply.state import Store, Stored, policy_path
from policies.catalog import Cluster

_HEAD = "# podkeys.dev/v1 apply: says which run writes to this cluster, and allows nothing\n"
_RUNNING = "# state: running\n"
_ENDED = "# state: ended\n"


def place(cluster: Cluster) -> str:
    return policy_path(f"{names.PREFIX}.{cluster.name}.apply")


def is_turn(policy: str) -> bool:
    """Whether it is a policy of this kind, and nothing stands in it but comments."""
    return policy.startswith(_HEAD) and all(line.startswith("#") for line in policy.splitlines())


@dataclass(frozen=True, slots=True)
class Turn:
    """`stored`: as it stands on the server, None where no run has been."""

    path: str
    stored: Stored | None

    @property
    def running(self) -> bool:
        """Whether a run has begun and not ended: it is still at it, or was interrupted."""
        return self.stored is not None and self._text.endswith(_RUNNING)

    @property
    def is_versioned(self) -> bool:
        """Whether the server has check-and-set for policies."""
        return self.stored is not None and self.stored.version is not None

    @property
    def _text(self) -> str:
        return str(self.stored.fields["policy"]) if self.stored else ""

    def check(self, store: Store) -> None:
        """Raises OvertakenError where it has changed."""
        if store.read(self.path) != self.stored:
            raise _another()

    def begin(self, store: Store, run: str) -> "Turn":
        """Ours from now on. `run`: a text that no other run has. Raises OvertakenError where one was quicker."""
        return self._put(store, f"{_HEAD}# run: {run}\n{_RUNNING}")

    def end(self, store: Store) -> None:
        """Of a run that did all it had to: where another has begun since, that one has seen all of it."""
        with suppress(OvertakenError):
            self._put(store, self._text.removesuffix(_RUNNING) + _ENDED)

    def _put(self, store: Store, text: str) -> "Turn":
        self.check(store)  # HashiCorp Vault has no check-and-set: looking again leaves it a moment
        version = -1 if self.stored is None else self.stored.version
        check_and_set = {} if version is None else {"cas": version}
        try:
            store.write(self.path, {"policy": text, **check_and_set})
        except InvalidError:
            self.check(store)
            raise
        now = store.read(self.path)
        if now is None or now.fields != {"policy": text}:
            raise _another()
        return Turn(self.path, now)


def _another() -> OvertakenError:
    return OvertakenError(
        "another run of apply has begun for this cluster, and this one stops so that they don't undo each other: "
        "run plan to see what is left"
    )


def read(store: Store, cluster: Cluster) -> Turn:
    """Raises RefusedError for a policy of that name that isn't of apply."""
    path = place(cluster)
    found = Turn(path, store.read(path))
    if found.stored is not None and not is_turn(str(found.stored.fields["policy"])):
        raise RefusedError(
            f"{path}: a policy of this name exists, and apply keeps there which run writes: remove or rename it"
        )
    return found


@dataclass(frozen=True, slots=True)
class Guarded:
    """A store that changes nothing once it is another run's turn."""

    inner: Store
    turn: Turn

    def names(self, listing: str) -> Sequence[str]:
        return self.inner.names(listing)

    def read(self, path: str) -> Stored | None:
        return self.inner.read(path)

    def write(self, path: str, fields: Mapping[str, Any]) -> None:
        self.turn.check(self.inner)
        self.inner.write(path, fields)

    def ask(self, path: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.inner.ask(path, fields)

    def delete(self, path: str) -> None:
        self.turn.check(self.inner)
        self.inner.delete(path)
