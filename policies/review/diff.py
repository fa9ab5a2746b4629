"""What a change of policies gives and takes, over all paths, by who has them. Pure."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import orjson

from policies.acl.changes import Change, compared
from policies.acl.language import TooManyError
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
    """Service accounts that may log in to an auth role, before and after; none where it wasn't or isn't there.

    `otherwise`: what else is asked of whoever logs in, such as the audience, is other than before; whether it is more or
    less is not decided. `unknown`: policies that the role names now and that aren't in the folder: what they give is not known.
    """

    role: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    otherwise: bool
    unknown: tuple[str, ...]

    @property
    def gained(self) -> tuple[str, ...]:
        return tuple(account for account in self.after if account not in self.before)

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(account for account in self.before if account not in self.after)


# Fields of an auth role that ask nothing of whoever logs in: what the token is then, and how it is told about. Claims that
# are mapped or fill in the names of policies aren't among them: they decide what templates give.
_OF_THE_TOKEN = re.compile(
    r"token_(?!bound_cidrs|policies_template_claims)\w+|policies|period|(max_)?ttl|num_uses|verbose_oidc_logging"
)
_OF_ACCOUNTS = frozenset({
    "bound_subject", "bound_service_account_names", "bound_service_account_namespaces",
    "bound_service_account_namespace_selector",
})  # fmt: skip


def login_changes(old: Inventory, new: Inventory) -> Iterator[LoginChange]:
    """By auth role."""
    before, after = _distinct(_roles(old), _roles(new))
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name), after.get(name)
        unknown = tuple(sorted(_unknown(becomes, new) - _unknown(was, old)))
        if was and becomes and was.text == becomes.text and was.text and not unknown:
            continue
        first, second = _accounts(was), _accounts(becomes)
        otherwise = bool(was and becomes) and _asked(was) != _asked(becomes)
        if first != second or otherwise or unknown:
            yield LoginChange(name, first, second, otherwise, unknown)


def _unknown(role: AuthRole | None, inventory: Inventory) -> set[str]:
    return {name for name in role.policies if name not in inventory.policies} if role else set()


def _distinct(old: list[_Named[T]], new: list[_Named[T]]) -> tuple[dict[str, T], dict[str, T]]:
    """By name, and by file too where one side has several of that name: auth mounts of two clusters may be called alike."""
    twice = {
        name for side in (old, new) for name, count in Counter(name for name, *_ in side).items() if count > 1
    }
    before, after = (
        {f"{name} in {file}" if name in twice else name: one for name, file, one in side}
        for side in (old, new)
    )
    return before, after


def _accounts(role: AuthRole | None) -> tuple[str, ...]:
    return tuple(sorted(map(str, role.accounts))) if role else ()


def _roles(inventory: Inventory) -> list[_Named[AuthRole]]:
    return [(f"{role.mount}/{role.name}", role.file, role) for role in inventory.roles]


def _subjects(inventory: Inventory) -> list[_Named[Subject]]:
    return [(subject.name, subject.file, subject) for subject in subjects(inventory)]


def _asked(role: AuthRole | None) -> dict[str, object]:
    """Fields besides those that say for which service accounts it is; bound claims say both, and are compared whole."""
    document = orjson.loads(role.text) if role and role.text else {}
    data = document.get("data", {})
    return {
        name: value
        for name, value in data.items()
        if name not in _OF_ACCOUNTS and not _OF_THE_TOKEN.fullmatch(name) and value
    }


def changes(old: Side, new: Side) -> Iterator[Change]:
    """By subject. Raises ReviewError for a policy that can't be parsed, TooManyError for too many patterns."""
    before, after = _distinct(_subjects(old.inventory), _subjects(new.inventory))
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name, Subject(name, ())), after.get(name, Subject(name, ()))
        if _texts(old, was) != _texts(new, becomes):
            yield from _ever(name, (old.policies, was), (new.policies, becomes))


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


def _texts(side: Side, subject: Subject) -> list[tuple[str, bytes]]:
    return sorted((name, side.inventory.policies[name].text) for name in subject.policies)
