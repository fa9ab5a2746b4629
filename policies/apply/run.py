"""Reads what stands on the server, and carries out a plan. Thin: what to do was decided before."""

from collections.abc import Callable, Iterator

from policies.apply import tokens, turn
from policies.apply.at_once import read_all
from policies.apply.compare import ABSENT, differences
from policies.apply.errors import (
    ApplyError,
    ConcurrentChangeError,
    DroppedError,
    InvalidError,
    OvertakenError,
    StoppedError,
)
from policies.apply.plan import Change, Plan, Step
from policies.apply.scope import EVERYTHING, Scope
from policies.apply.state import Item, Store, Stored, owner, places
from policies.apply.tokens import Revocation, Track
from policies.catalog import Cluster


def read_current(
    store: Store, cluster: Cluster, scope: Scope = EVERYTHING, track: Track = iter
) -> dict[str, Stored]:
    """What stands in the cluster's places under our prefix. `track` sees the paths go by, for progress.

    Of names that are not of our making only the name is known.
    """
    current: dict[str, Stored] = {}
    wanted: list[str] = []
    for place in places(cluster):
        for name in store.names(place.listing):
            path = f"{place.listing}/{name}"
            belongs_to = owner(cluster, place, name)
            if (
                not name.startswith(place.prefix)
                or path == turn.place(cluster)
                or not scope.covers(belongs_to)
            ):
                continue
            current[path] = Stored({})
            if belongs_to is not None:  # others may need quoting in a URL
                wanted.append(path)
    for path, stored in read_all(store, wanted, track):
        if stored is None:  # gone since it was listed
            del current[path]
        else:
            current[path] = stored
    return current


def execute(plan: Plan, store: Store, go_on: Callable[[], None] = lambda: None) -> Iterator[Step]:
    """Carry out the steps one by one; yields each when it is done and checked. Raises StoppedError.

    `go_on` is asked before each, and raises an ApplyError where there is to be no other: what is written is always read back.
    """
    for done, step in enumerate(plan.steps):
        try:
            go_on()
            if isinstance(step, Revocation):
                yield tokens.revoke(store, step)
            else:
                _carry_out(step, store)
                yield step
        except ApplyError as error:
            raise StoppedError(
                f"stopped at {done + 1} of {len(plan.steps)} changes, {step.action} {step.path}: {error}\n{_before(error, done)}",
                error,
            ) from error


def _before(error: ApplyError, done: int) -> str:
    """What was done. Where another run has begun, whether it stands is that one's to say."""
    if isinstance(error, OvertakenError):
        return f"done before it: {done}"
    return f"done before it, and standing: {done}; once the cause is gone, run apply again: it goes on from there"


def _carry_out(change: Change, store: Store) -> None:
    if change.item is None:
        _delete(change, store)
        return
    if change.kind == "policy":
        _write_policy(change, change.item, store)
    else:
        store.write(change.path, change.item.fields)
    _check(change, change.item, store)


def _write_policy(change: Change, item: Item, store: Store) -> None:
    if change.stored is None:
        check_and_set = {"cas": -1}
    else:
        check_and_set = {} if change.stored.version is None else {"cas": change.stored.version}
    try:
        store.write(change.path, {**item.fields, **check_and_set})
    except InvalidError:
        _check_unchanged(change, store)
        raise


def _check_unchanged(change: Change, store: Store) -> None:
    if store.read(change.path) != change.stored:
        raise ConcurrentChangeError(
            "somebody else changed it since it was read; run plan, and look at theirs first"
        )


def _delete(change: Change, store: Store) -> None:
    if change.kind == "policy":  # a delete has no check-and-set
        _check_unchanged(change, store)
    store.delete(change.path)


def _check(change: Change, item: Item, store: Store) -> None:
    """Read back what was written. A new role that lacks a protection is taken back, so that nobody can use it."""
    stored = store.read(change.path)
    name = change.path.rpartition("/")[2]
    if stored is None:
        raise DroppedError(
            f"{item.kind} {name}: the server took it, and it is not there: somebody deleted it at once, or a "
            "control group holds it back; look at the token's policy"
        )
    found = differences(item.fields, stored.fields)
    if found:
        lost = "; ".join(_lost(field, wanted, got) for field, (wanted, got) in found.items())
        raise DroppedError(f"{item.kind} {name}: {lost}; {_take_back(change, store)}")


def _lost(field: str, wanted: object, got: object) -> str:
    if got == ABSENT:
        return f"the server dropped {field}; it needs OpenBao 2.6.2 or newer"
    return f"the server changed {field}: wrote {wanted!r}, read {got!r}"


def _take_back(change: Change, store: Store) -> str:
    """Delete what this run itself created and nobody may use; says what became of it."""
    if change.action != "create":
        return "it stood before and stands as it was read: remove what allows its use until this is solved"
    try:
        store.delete(change.path)
    except ApplyError as error:
        return f"it could not be taken back ({error}): delete it"
    return "it was taken back"
