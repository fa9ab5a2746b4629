"""Which service roles a plan is about: all of a cluster, or those that `--target` names. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from policies import names
from policies.apply.errors import TargetError
from policies.apply.state import Desired, role_of
from policies.nearest import ONCE
from policies.nearest import nearest as nearest_names

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Target:
    """`role` is empty for all of a namespace."""

    namespace: str
    role: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.role}" if self.role else self.namespace


@dataclass(frozen=True, slots=True)
class Scope:
    """No targets: everything."""

    targets: tuple[Target, ...] = ()

    def covers(self, owner: str | None) -> bool:
        """Whether the service role with this policy path is meant; None, what belongs to no role, only by everything."""
        return not self.targets or (owner is not None and any(_names(one, owner) for one in self.targets))

    def limited(self, desired: Desired) -> Desired:
        """What of the tree is meant."""
        return replace(
            desired, items={path: item for path, item in desired.items.items() if self.covers(item.owner)}
        )

    def unmatched(self, owners: Iterable[str]) -> frozenset[str]:
        """Targets that name none of these policy paths."""
        known = frozenset(owners)
        return frozenset(str(one) for one in self.targets if not any(_names(one, path) for path in known))

    def outside(self, roles: Iterable[str]) -> "Scope":
        """The targets that name none of these, each `NAMESPACE/ROLE`."""
        known = {name for role in roles for name in (role, role.partition("/")[0])}
        return Scope(tuple(one for one in self.targets if str(one) not in known))


EVERYTHING = Scope()


def parse(texts: Iterable[str]) -> Scope:
    """Of `NAMESPACE` and `NAMESPACE/ROLE`. Raises TargetError."""
    return Scope(tuple(dict.fromkeys(map(_target, texts))))


def nearest(target: str, roles: Iterable[str]) -> list[str]:
    """Which of `NAMESPACE/ROLE` may have been meant, the likeliest first: also by a role without its namespace."""
    known = sorted(roles)
    same = [role for role in known if role.partition("/")[2] == target]
    namespaces = dict.fromkeys(role.partition("/")[0] for role in known)
    near = nearest_names(target, [*known, *namespaces], _NEAREST, compared=ONCE)
    return [*same, *near][:_NEAREST]


def _target(text: str) -> Target:
    namespace, slash, role = text.partition("/")
    if not names.is_label(namespace) or (slash and not names.is_label(role)):
        raise TargetError(f"--target {text}: expected NAMESPACE or NAMESPACE/ROLE, such as payments/payments")
    return Target(namespace, role)


def _names(target: Target, owner: str) -> bool:
    namespace, _, role = role_of(owner).partition("/")
    return target.namespace == namespace and target.role in ("", role)
