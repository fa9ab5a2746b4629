"""What a change of policies gives and takes, over all paths, by who has them. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import orjson

from policies.acl.changes import Change, compared
from policies.acl.language import TooManyError
from policies.review.identity import Entity
from policies.review.inventory import AuthRole, Inventory
from policies.review.subjects import Policies, Subject, subjects

_MOST_ENDS = 100
T = TypeVar("T")
_Named: TypeAlias = tuple[str, str, T]  # name, file


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two trees."""

    inventory: Inventory
    policies: Policies


@dataclass(frozen=True, slots=True)
class LoginChange:
    """Who may log in to an auth role, as an entity, or into a group; before and after, none where it wasn't or isn't there.

    `otherwise`: what else is other than before, in words, or empty; whether it gives more or less is not decided.
    `unknown`: policies that it names now and that aren't in the folder: what they give is not known.
    """

    role: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    otherwise: str
    unknown: tuple[str, ...]

    @property
    def gained(self) -> tuple[str, ...]:
        return tuple(account for account in self.after if account not in self.before)

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(account for account in self.before if account not in self.after)


@dataclass(frozen=True, slots=True)
class _Door:
    """`who` comes in by it. `text`: what is demanded of them besides, in which `role` may say other things, too.

    `told`: what to say where another thing is demanded.
    """

    who: tuple[str, ...] = ()
    policies: frozenset[str] = frozenset()
    text: bytes = b""
    role: AuthRole | None = None
    told: str = "asks something else of whoever logs in"


# Fields of an auth role that ask nothing of whoever logs in: what the token is then, and how it is told about.
_OF_THE_TOKEN = frozenset({
    "token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period", "token_num_uses", "token_type", "token_policies",
    "token_no_default_policy", "policies", "period", "ttl", "max_ttl", "num_uses", "verbose_oidc_logging",
})  # fmt: skip
_OF_ACCOUNTS = frozenset({
    "bound_service_account_names", "bound_service_account_namespaces", "bound_service_account_namespace_selector",
})  # fmt: skip
_UNSAID: tuple[object, ...] = (None, "", [], {})  # no and 0 are not the default of every field
_FACTS = "has other metadata, which templates may be filled with"
_OPENING = ("auth/", "identity/", "sys/")


def login_changes(old: Inventory, new: Inventory) -> Iterator[LoginChange]:
    """By auth role, then by entity, group and token role, then by whatever else is written."""
    yield from _doors(_roles(old), _roles(new), old, new)
    yield from _doors(_holders(old), _holders(new), old, new)
    yield from _others(old, new)


def _doors(
    before: list[_Named[_Door]], after: list[_Named[_Door]], old: Inventory, new: Inventory
) -> Iterator[LoginChange]:
    for name, was, becomes in _paired(before, after):
        first, second = was or _Door(), becomes or _Door()
        unknown = _missing(second, new) - _missing(first, old)
        otherwise = second.told if was and becomes and _otherwise(first, second) else ""
        if first.who != second.who or otherwise or unknown:
            yield LoginChange(name, first.who, second.who, otherwise, tuple(sorted(unknown)))


def _otherwise(first: _Door, second: _Door) -> bool:
    """Only what is written in another way is read again: there may be ten thousand."""
    if first.text == second.text:
        return False
    return not (first.role and second.role) or _asked(first.role) != _asked(second.role)


def _missing(door: _Door, inventory: Inventory) -> frozenset[str]:
    return frozenset(name for name in door.policies if name not in inventory.policies)


def _paired(old: list[_Named[T]], new: list[_Named[T]]) -> Iterator[tuple[str, T | None, T | None]]:
    """By name, and by file too where one side has several of that name: auth mounts of two clusters may be called alike.

    Several of one name in one file are paired in their order, so that none stands in for another unseen.
    """
    twice = {
        name for side in (old, new) for name, count in Counter(name for name, *_ in side).items() if count > 1
    }
    before, after = (_placed(side, twice) for side in (old, new))
    for name, file, number in sorted(before.keys() | after.keys()):
        place = (name, file, number)
        yield f"{name} in {file}" if file else name, before.get(place), after.get(place)


def _placed(side: list[_Named[T]], twice: set[str]) -> dict[tuple[str, str, int], T]:
    found: dict[tuple[str, str, int], T] = {}
    numbers: Counter[tuple[str, str]] = Counter()
    for name, file, one in side:
        place = name, file if name in twice else ""
        found[*place, numbers[place]] = one
        numbers[place] += 1
    return found


def _roles(inventory: Inventory) -> list[_Named[_Door]]:
    return [
        (
            f"{role.mount}/{role.name}",
            role.file,
            _Door(tuple(sorted(map(str, role.accounts))), frozenset(role.policies), role.text, role),
        )
        for role in inventory.roles
    ]


def _asked(role: AuthRole) -> dict[str, object]:
    """Fields besides those that say for which service accounts it is; bound claims say both, and are compared whole.

    A subject that is no service account's is nowhere else.
    """
    document = orjson.loads(role.text) if role.text else {}
    return {
        name: value
        for name, value in document.get("data", {}).items()
        if name not in _OF_ACCOUNTS | _OF_THE_TOKEN
        and value not in _UNSAID
        and not (name == "bound_subject" and role.accounts)
    }


def _holders(inventory: Inventory) -> list[_Named[_Door]]:
    identity = inventory.identity
    doors: list[_Named[_Door]] = [
        (f"identity/entity/{one.name}", one.file, _entity(one)) for one in identity.entities
    ]
    for group in identity.groups.values():
        members = (f"the entity or group {one}" for one in group.members)
        who = tuple(sorted((*members, *((str(group.alias),) if group.alias else ()))))
        door = _Door(who, frozenset(group.policies), group.facts.encode(), told=_FACTS)
        doors.append((f"identity/group/{group.name}", group.file, door))
    for role in identity.token_roles:
        door = _Door(tuple(sorted(role.aliases)), frozenset(role.allowed), repr(role.bound).encode())
        doors.append((f"token/{role.name}", role.file, door))
    return doors


def _entity(entity: Entity) -> _Door:
    who = () if entity.disabled else tuple(sorted(map(str, entity.aliases)))
    return _Door(who, frozenset(entity.policies), entity.facts.encode(), told=_FACTS)


def _others(old: Inventory, new: Inventory) -> Iterator[LoginChange]:
    """What is new or gone gives or takes what policies say of its path, but where logins, identities and the server's own settings are."""
    same = set(old.others) & set(new.others)
    before, after = (
        [(path, one.file, data) for one in side.others if one not in same for path, data in (one.read(),)]
        for side in (old, new)
    )
    for path, was, becomes in _paired(before, after):
        both = was is not None and becomes is not None
        if was != becomes and (both or path.startswith(_OPENING)):
            how = "other than before" if both else "new" if was is None else "gone"
            yield LoginChange(path, (), (), f"is {how}, and not judged", ())


def changes(old: Side, new: Side) -> Iterator[Change]:
    """By subject. Raises ReviewError for a policy that can't be parsed, TooManyError for too many patterns."""
    before, after = _subjects(old.inventory), _subjects(new.inventory)
    for name, was, becomes in _paired(before, after):
        first, second = was or Subject(name, ()), becomes or Subject(name, ())
        if _kept(old, first) != _kept(new, second):
            yield from _ever(name, (old.policies, first), (new.policies, second))


def _subjects(inventory: Inventory) -> list[_Named[Subject]]:
    return [(subject.name, subject.file, subject) for subject in subjects(inventory)]


def _ever(name: str, old: tuple[Policies, Subject], new: tuple[Policies, Subject]) -> Iterator[Change]:
    """Now, and whenever stanzas will have expired: a denial that ends gives what it kept back."""
    ends = sorted(old[0].ends(old[1]) | new[0].ends(new[1]))
    if len(ends) > _MOST_ENDS:
        raise TooManyError(f"{name}: got {len(ends)} times of expiration, expected at most {_MOST_ENDS}")
    told = set()
    for later in (None, *ends):
        was, becomes = (policies.rules(subject, later=later) for policies, subject in (old, new))
        for change in compared(name, was, becomes):
            key = (change.where, change.gained, change.lost, change.limits)
            if key not in told:
                told.add(key)
                yield replace(change, since=later)


def _kept(side: Side, subject: Subject) -> dict[str, tuple[object, ...]]:
    """What the server has of each policy, wherever it is written."""
    files = ((name, side.inventory.policies[name]) for name in subject.policies)
    return {name: (file.text, file.loose, file.expiration) for name, file in files}
