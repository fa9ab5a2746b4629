"""Reads what stands on the server, and carries out a plan. Thin: what to do was decided before."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

from policies.apply import tokens, turn
from policies.apply.at_once import read_all
from policies.apply.errors import (
    ApplyError,
    ConcurrentChangeError,
    DroppedError,
    FaultError,
    InvalidError,
    OvertakenError,
    StoppedError,
)
from policies.apply.outcome import Failure
from policies.apply.plan import Change, Plan, Step
from policies.apply.scope import EVERYTHING, Scope
from policies.apply.state import Store, Stored, owner, owner_of, places, role_of
from policies.apply.tokens import Revocation, Track
from policies.apply.write import carry_out, undo
from policies.catalog import Cluster

# What the server says of one item. All else is the token's, the server's or the run's, and would meet every role.
_OF_ONE_ROLE = (InvalidError, FaultError, DroppedError, ConcurrentChangeError)


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


def execute(plan: Plan, store: Store, go_on: Callable[[], None] = lambda: None) -> Iterator[Step | Failure]:
    """Carry out the steps one by one; yields each when it is done and checked. Raises StoppedError.

    A service role that can't be applied is given up alone: what was written of it is undone, a Failure says so, and the others go on.
    `go_on` is asked before each step, and raises an ApplyError where there is to be no other: what is written is always read back.
    """
    done, changes, failed = 0, defaultdict[str, list[Change]](list), set[str]()
    for number, step in enumerate(plan.steps, 1):
        role = "" if isinstance(step, Revocation) else owner_of(plan.cluster, step.path) or ""
        if role in failed:
            continue
        try:
            go_on()
            if isinstance(step, Revocation):
                granted = _without(step, failed, plan.cluster)
                if not granted.roles:
                    continue
                yield tokens.revoke(store, granted)
            else:
                carry_out(step, store)
                changes[role].append(step)
                yield step
            done += 1
        except ApplyError as error:
            if isinstance(error, OvertakenError) or not (role and isinstance(error, _OF_ONE_ROLE)):
                raise _stopped(error, step, number, done, plan) from error
            failed.add(role)
            undone, standing = _undo(step, changes[role], error, store)
            done -= len({change.path for change in changes[role]}.intersection(undone))
            yield Failure(role_of(role), step.action, step.path, error, undone, standing)


def _without(step: Revocation, failed: set[str], cluster: Cluster) -> Revocation:
    """The tokens of a service role that failed stay, as its logins may: nothing more is done of it."""
    logins = places(cluster)[-1]
    roles = frozenset(role for role in step.roles if owner(cluster, logins, role) not in failed)
    held = {accessor: role for accessor, role in step.tokens.items() if role in roles}
    return replace(step, roles=roles, tokens=held)


def _undo(
    step: Step, before: list[Change], error: ApplyError, store: Store
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """After a fault of the server it isn't known whether the step itself was done."""
    if (
        not isinstance(step, Change) or step.item is None
    ):  # what was written before stands, and is as it should be
        return (), ()
    if isinstance(error, FaultError):
        return undo([*before, step], store)
    return undo(before, store, stands=isinstance(error, DroppedError) and error.stands)


def _stopped(error: ApplyError, step: Step, number: int, done: int, plan: Plan) -> StoppedError:
    """Says what was done. Where another run has begun, whether it stands is that one's to say."""
    if isinstance(error, OvertakenError):
        before = f"done before it: {done}"
    else:
        before = f"done before it, and standing: {done}; once the cause is gone, run apply again: it goes on from there"
    return StoppedError(
        f"stopped at {number} of {len(plan.steps)} changes, {step.action} {step.path}: {error}\n{before}",
        error,
    )
