"""What should be and what is → an ordered list of changes. Pure."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from policies.apply.compare import ABSENT, differences
from policies.apply.state import Current, Desired, Item, Kind, Stored, owner, places
from policies.apply.tokens import Revocation, login_path
from policies.catalog import Cluster

_RENAME = "remove or rename it there, then run this again"

Action = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """`item` is None for a delete, `stored` for a create."""

    action: Action
    kind: Kind
    path: str
    item: Item | None
    stored: Stored | None

    @property
    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Field → (wanted, got) of what is written; empty for a delete."""
        if self.item is None:
            return {}
        if self.stored is None:
            return {field: (value, ABSENT) for field, value in sorted(self.item.fields.items())}
        return differences(self.item.fields, self.stored.fields)


Step = Change | Revocation


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why what `file` asks for is not written, and with it nothing of its service role: what stands there is somebody else's,
    or the server lacks a protection that it depends on.
    """

    path: str
    file: str
    role: str
    reason: str
    remedy: str


def conflict(item: Item, reason: str, remedy: str) -> Conflict:
    return Conflict(item.path, item.file, item.role, reason, remedy)


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` are in the order of writing. `kept`: ours, no longer in the tree, not to be deleted.

    `foreign`: named like ours, but no policy with our mark owns them. `blocked`: not written because
    something else of the same service role is in conflict.
    """

    cluster: Cluster
    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    blocked: tuple[str, ...]
    kept: tuple[str, ...]
    foreign: tuple[str, ...]
    unchanged: int

    @property
    def changes(self) -> tuple[Change, ...]:
        """The steps without revocations."""
        return tuple(step for step in self.steps if isinstance(step, Change))


def decide(
    desired: Desired,
    current: Current,
    *,
    prune: bool = False,
    tokens: Mapping[str, str] | None = None,
    refused: Mapping[str, Conflict] = MappingProxyType({}),
) -> Plan:
    """Compare the tree with the server. With `prune`, what is ours and no longer in the tree is deleted.

    `tokens`: accessor → login role of those that the cluster's login gave; with `prune`, what logins gave that are no longer in
    the tree is revoked; None revokes nothing. `refused`: what the server can't take, by path.
    """
    foreign_items = {path: no for path, item in desired.items.items() if (no := _conflict(item, current))}
    conflicts = {**refused, **foreign_items}
    closed = {desired.items[path].owner for path in conflicts}
    free = {path: item for path, item in desired.items.items() if item.owner not in closed}
    writes = [change for path, item in free.items() if (change := _write(item, current.get(path)))]
    stale, foreign = _leftovers(desired, current, closed)
    order = _order(desired.cluster)
    steps: list[Step] = [*sorted(writes, key=order)]
    if prune:
        ended = None if tokens is None else _ended(desired, current, closed, tokens)
        steps += _removal(sorted(stale, key=order, reverse=True), desired.cluster, ended)
    return Plan(
        cluster=desired.cluster,
        steps=tuple(steps),
        conflicts=tuple(conflicts[path] for path in sorted(conflicts)),
        blocked=tuple(sorted(desired.items.keys() - free.keys() - conflicts.keys())),
        kept=() if prune else tuple(sorted(change.path for change in stale)),
        foreign=tuple(sorted(foreign)),
        unchanged=len(free) - len(writes),
    )


def _order(cluster: Cluster) -> Callable[[Change], tuple[int, str]]:
    rank = {place.listing: number for number, place in enumerate(places(cluster))}
    return lambda change: (rank[_listing(change.path)], change.path)


def _removal(stale: list[Change], cluster: Cluster, ended: Mapping[str, str] | None) -> list[Step]:
    """Logins, then the tokens that they gave, so that there can be no more of them, then what both needed."""
    logins = [change for change in stale if change.kind == "auth role"]
    roles = {_name(change.path) for change in logins} | set((ended or {}).values())
    revocation = (
        [Revocation(login_path(cluster.auth_mount), frozenset(roles), ended)]
        if roles and ended is not None
        else []
    )
    return [*logins, *revocation, *stale[len(logins) :]]


def _ended(
    desired: Desired, current: Current, closed: Container[str], tokens: Mapping[str, str]
) -> dict[str, str]:
    """Those of roles that are ours and no longer in the tree, also where an earlier run deleted the role and then stopped."""
    logins = places(desired.cluster)[-1]

    def is_over(role: str) -> bool:
        owner_path = owner(desired.cluster, logins, role) or ""
        path = f"{logins.listing}/{role}"
        return path not in desired.items and owner_path not in closed and _is_ours(owner_path, current)

    return {accessor: role for accessor, role in tokens.items() if is_over(role)}


def _conflict(item: Item, current: Current) -> Conflict | None:
    stored = current.get(item.path)
    if stored is None:
        return None
    if item.kind == "policy":
        if stored.marked:
            return None
        reason = "a policy of this name exists and does not carry our mark: not ours to change"
        return conflict(item, reason, _RENAME)
    if _is_ours(item.owner, current):
        return None
    policy = item.owner.rpartition("/")[2]
    reason = f"it exists, and no policy {policy} with our mark owns it: not ours to change"
    return conflict(item, reason, _RENAME)


def _is_ours(owner_path: str, current: Current) -> bool:
    policy = current.get(owner_path)
    return policy is not None and policy.marked


def _write(item: Item, stored: Stored | None) -> Change | None:
    if stored is None:
        return Change("create", item.kind, item.path, item, None)
    if differences(item.fields, stored.fields):
        return Change("update", item.kind, item.path, item, stored)
    return None


def _leftovers(desired: Desired, current: Current, closed: Container[str]) -> tuple[list[Change], list[str]]:
    """What stands on the server and not in the tree: ours, as deletes; and the paths of what is not ours.

    What belongs to a service role in conflict (`closed`) is left out.
    """
    stale: list[Change] = []
    foreign: list[str] = []
    for kind, path, owner_path in _known(desired.cluster, current):
        if path in desired.items or owner_path in closed:
            continue
        ours = current[path].marked if kind == "policy" else _is_ours(owner_path, current)
        if ours and owner_path:
            stale.append(Change("delete", kind, path, None, current[path]))
        else:
            foreign.append(path)
    return stale, foreign


def _known(cluster: Cluster, current: Current) -> Iterator[tuple[Kind, str, str]]:
    """Kind, path and owner ("" where the name is not of our making) of everything current."""
    for place in places(cluster):
        start = f"{place.listing}/"
        for path in sorted(current):
            if path.startswith(start):
                yield place.kind, path, owner(cluster, place, path.removeprefix(start)) or ""


def _listing(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
