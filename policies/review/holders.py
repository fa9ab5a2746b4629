"""Which logins lead to which entity and into which group, so that their tokens have more than the auth role gives. Pure.

What isn't certain counts as possible: rather an entity too many behind a role than one too few.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from policies.acl.logins import Account
from policies.review.globs import fits
from policies.review.identity import Alias, Entity, Group, Identity, Way
from policies.review.inventory import AuthRole

_SUBJECT = ("sub", "/sub")
_NAME = "serviceaccount/name"
_NAMESPACE = "kubernetes.io/namespace"
Ways = Mapping[str, Way]


@dataclass(frozen=True, slots=True)
class Holder:
    """What a login of a role gets besides by who it is. `who`: an entity, or a member of a group, in words.

    `accounts`: those of the role that it may be, none where it is not known. `only`: they, or whoever logs in to the role where
    there are none, get this each time.
    """

    who: str
    name: str
    ways: Ways
    accounts: tuple[Account, ...] = ()
    only: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """By place in the sequence of roles: `always`, what all logins of a role get, and `holders`, what some get.

    `entities` and `groups`: those that no role is known to lead to.
    """

    always: Mapping[int, Ways] = field(default_factory=dict)
    holders: Mapping[int, Sequence[Holder]] = field(default_factory=dict)
    entities: Sequence[tuple[Entity, Ways]] = ()
    groups: Sequence[tuple[Group, Ways]] = ()


def held(roles: Sequence[AuthRole], identity: Identity) -> Held:
    """Without entities and groups that add nothing."""
    always: dict[int, Ways] = {}
    holders: dict[int, list[Holder]] = defaultdict(list)
    groups = []
    for group, alias, ways in _external(identity):
        into = [place for place, role in enumerate(roles) if _may_hold(role, alias)]
        for place in into:
            if _holds(roles[place], alias):
                always[place] = {**ways, **always.get(place, {})}
            else:
                accounts = tuple(_members(roles[place], alias))
                holders[place].append(Holder(f"a member of group {group.name}", group.name, ways, accounts))
        if not into:
            groups.append((group, ways))
    entities = []
    adding = [(entity, ways) for entity in identity.entities if (ways := identity.given(entity))]
    logins = _Logins(roles if adding else ())
    for entity, ways in adding:
        found = [(alias, place) for alias in entity.aliases for place in logins.of(alias)]
        for alias, place in found:
            holders[place].append(_holder(entity, alias, ways, roles[place]))
        left = tuple(alias for alias in entity.aliases if alias not in {one for one, _ in found})
        if left or not entity.aliases:
            entities.append((replace(entity, aliases=left), ways))
    return Held(always, holders, entities, groups)


def _external(identity: Identity) -> Iterator[tuple[Group, Alias, Ways]]:
    for group in identity.groups.values():
        ways = identity.given_members(group)
        if group.alias and ways:
            yield group, group.alias, ways


def _may_hold(role: AuthRole, alias: Alias) -> bool:
    """Whether some who log in to the role are in the group that is called so."""
    asked = role.groups_claim and role.mount == alias.mount
    return bool(asked) and (not role.accounts or any(True for _ in _members(role, alias)))


def _holds(role: AuthRole, alias: Alias) -> bool:
    """Whether all are."""
    values = [_claimed(role.groups_claim, account) for account in role.accounts]
    return bool(values) and "*" not in alias.name and all(value == alias.name for value in values)


def _members(role: AuthRole, alias: Alias) -> Iterator[Account]:
    """Of the role's accounts those that may be in it, as far as the claim tells them apart."""
    for account in role.accounts:
        value = _claimed(role.groups_claim, account)
        if value is None or fits(value, alias.name):
            by_space = role.groups_claim.endswith(_NAMESPACE) and account.namespace
            yield replace(account, namespace=alias.name) if by_space else account


def _claimed(claim: str, account: Account) -> str | None:
    """What the claim of a service account's token says, with `*` for what isn't known; None where it may say anything."""
    space = account.namespace or "*"
    if claim in _SUBJECT:
        return f"system:serviceaccount:{space}:{account.name}"
    if claim.endswith(_NAMESPACE):
        return space
    return account.name if claim.endswith(_NAME) else None


def _holder(entity: Entity, alias: Alias, ways: Ways, role: AuthRole) -> Holder:
    """A service account that is made anew keeps its entity where the alias is its name, and has another where it is its uid."""
    account = Account(*alias.account) if alias.account else None
    named = alias.account and alias.name.endswith((":".join(alias.account), "/".join(alias.account)))
    only = alias.kind == "userpass" or bool(named and account in role.accounts)
    return Holder(f"entity {entity.name}", entity.name, ways, (account,) if account else (), only)


class _Logins:
    """Roles by what leads to them: there may be ten thousand, and as many entities."""

    def __init__(self, roles: Sequence[AuthRole]) -> None:
        self._roles = roles
        self._exact: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._open: dict[str, list[int]] = defaultdict(list)
        self._every: dict[str, list[int]] = defaultdict(list)
        for place, role in enumerate(roles):
            self._every[role.mount].append(place)
            if not _is_exact(role):
                self._open[role.mount].append(place)
                continue
            for account in role.accounts:
                self._exact[role.mount, account.namespace, account.name].append(place)

    def of(self, alias: Alias) -> Iterator[int]:
        """Places of the roles by which one may log in as the alias's entity."""
        if alias.account:
            yield from self._exact.get((alias.mount, *alias.account), ())
        blind = alias.kind == "kubernetes" and not alias.account
        for place in (self._every if blind else self._open).get(alias.mount, ()):
            if _leads(self._roles[place], alias):
                yield place


def _is_exact(role: AuthRole) -> bool:
    """Whether the service account is known from the alias, and bound by its names alone."""
    told = role.login.method == "kubernetes" or role.login.alias in _SUBJECT
    plain = (
        not account.selector and "*" not in account.namespace + account.name for account in role.accounts
    )
    return told and bool(role.accounts) and all(plain)


def _leads(role: AuthRole, alias: Alias) -> bool:
    if alias.kind == "userpass":
        return role.name == alias.name
    if alias.role:
        return role.name == alias.role
    if not role.accounts:
        return True  # whoever has a certificate or an account elsewhere
    if alias.account:
        space, name = alias.account
        return any(fits(one.namespace or "*", space) and fits(one.name, name) for one in role.accounts)
    if role.login.alias in _SUBJECT:
        return any(one.name == "*" and one.namespace == "*" for one in role.accounts)
    return not role.login.alias.endswith(_NAME) or any(fits(one.name, alias.name) for one in role.accounts)
