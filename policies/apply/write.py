"""One change: written, read back, and undone where its service role can't be applied as a whole."""

from collections.abc import Sequence

from policies.apply.compare import ABSENT, differences
from policies.apply.errors import ApplyError, ConcurrentChangeError, DroppedError, InvalidError
from policies.apply.plan import Change
from policies.apply.state import Item, Store, Stored


def carry_out(change: Change, store: Store) -> None:
    """Write or delete, and read back what was written. Raises ApplyError; then what stood before stands again, or the message says not."""
    if change.item is None:
        _delete(change, store)
        return
    if change.kind == "policy":
        _write_policy(change, change.item, store)
    else:
        store.write(change.path, change.item.fields)
    _check(change, change.item, store)


def undo(
    changes: Sequence[Change], store: Store, *, stands: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take back, the last first, what was written of a service role: the paths that are as before, and `PATH: why` of those that are not.

    `stands`: something of the role could not be taken back already. A new policy then stays: its mark makes what stands ours, and the
    next run goes on from there. Deletions stay: they come after all writes of a role.
    """
    undone, standing = list[str](), list[str]()
    for change in reversed(changes):
        if change.item is None:
            continue
        if change.kind == "policy" and change.stored is None and (stands or standing):
            standing.append(f"{change.path}: it marks as ours what stands, so it stays")
            continue
        try:
            _check_own(change, store.read(change.path))
            _take_back(change, store)
        except ApplyError as error:
            standing.append(f"{change.path}: {error}")
        else:
            undone.append(change.path)
    return tuple(undone), tuple(standing)


def _check_own(change: Change, now: Stored | None) -> None:
    """Raises ConcurrentChangeError where neither what this run wrote stands, nor what stood before."""
    if change.item is None or _is(now, change.stored):
        return
    if now is None or differences(change.item.fields, now.fields):
        raise ConcurrentChangeError("somebody else changed it meanwhile: it stands as theirs")


def _is(now: Stored | None, before: Stored | None) -> bool:
    if now is None or before is None:
        return now is before
    return not differences(before.fields, now.fields)


def _take_back(change: Change, store: Store) -> None:
    """What this run itself wrote: deleted where it was new, else as it was before. Raises ApplyError."""
    now = store.read(change.path)
    if _is(now, change.stored):
        return
    if change.stored is None:
        store.delete(change.path)
        return
    check_and_set = {} if now is None or now.version is None else {"cas": now.version}
    before = {field: value for field, value in change.stored.fields.items() if value is not None}
    store.write(change.path, {**before, **check_and_set})
    restored = store.read(change.path)
    if restored is None or restored.loose != change.stored.loose or not _is(restored, change.stored):
        raise DroppedError("the server does not hold again what stood before")


def _write_policy(change: Change, item: Item, store: Store) -> None:
    version = -1 if change.stored is None else change.stored.version
    if version in (-1, None):  # HashiCorp Vault ignores check-and-set, and before a creation nothing tells
        _check_unchanged(change, store)
    try:
        store.write(change.path, {**item.fields, **({} if version is None else {"cas": version})})
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
    """Read back what was written. A role that lacks a protection is taken back, so that nobody can use it."""
    stored = store.read(change.path)
    name = change.path.rpartition("/")[2]
    if stored is None:
        raise DroppedError(
            f"{item.kind} {name}: the server took it, and it is not there: somebody deleted it at once, or a "
            "control group holds it back; look at the token's policy"
        )
    lost = differences(item.fields, stored.fields)
    if not lost:
        return
    said = "; ".join(_lost(field, wanted, stands) for field, (wanted, stands) in lost.items())
    if change.kind == "policy":
        raise ConcurrentChangeError(
            f"{item.kind} {name}: {said}; somebody else changed it at once, and it stands as theirs"
        )
    try:
        _take_back(change, store)
    except ApplyError as error:
        raise DroppedError(f"{item.kind} {name}: {said}; {_standing(change, error)}", stands=True) from error
    after = "it was taken back" if change.action == "create" else "what stood before was written back"
    raise DroppedError(f"{item.kind} {name}: {said}; {after}")


def _lost(field: str, wanted: object, stands: object) -> str:
    if stands == ABSENT:
        return f"the server dropped {field}; it needs OpenBao 2.6.2 or newer"
    return f"the server changed {field}: wrote {wanted!r}, read {stands!r}"


def _standing(change: Change, error: ApplyError) -> str:
    if change.action == "create":
        return f"it could not be taken back ({error}): delete it"
    return f"what stood before could not be written back ({error}): remove what allows its use until this is solved"
