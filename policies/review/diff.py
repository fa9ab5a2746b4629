"""What a change of policies gives and takes, over all paths, by who has them. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from policies.acl.changes import Change, compared
from policies.review.inventory import AuthRole, Inventory
from policies.review.subjects import Policies, Subject, subjects


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two trees."""

    inventory: Inventory
    policies: Policies


@dataclass(frozen=True, slots=True)
class LoginChange:
    """Service accounts that may log in to an auth role, before and after; none where it wasn't or isn't there.

    `otherwise`: what else is asked of whoever logs in, such as the audience, is other than before; whether it is more or
    less is not decided.
    """

    role: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    otherwise: bool

    @property
    def gained(self) -> tuple[str, ...]:
        return tuple(account for account in self.after if account not in self.before)

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(account for account in self.before if account not in self.after)


# Fields of an auth role that ask nothing of whoever logs in: what the token is then, and how it is told about.
_OF_THE_TOKEN = re.compile(
    r"token_(?!bound_cidrs)\w+|policies|period|(max_)?ttl|num_uses|verbose_oidc_logging|claim_mappings"
)
_OF_ACCOUNTS = frozenset({
    "bound_subject", "bound_service_account_names", "bound_service_account_namespaces",
    "bound_service_account_namespace_selector",
})  # fmt: skip


def login_changes(old: Inventory, new: Inventory) -> Iterator[LoginChange]:
    """By auth role."""
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name), after.get(name)
        if was and becomes and was.text == becomes.text and was.text:
            continue
        first, second = _accounts(was), _accounts(becomes)
        otherwise = bool(was and becomes) and _asked(was) != _asked(becomes)
        if first != second or otherwise:
            yield LoginChange(name, first, second, otherwise)


def _accounts(role: AuthRole | None) -> tuple[str, ...]:
    return tuple(sorted(map(str, role.accounts))) if role else ()


def _by_name(inventory: Inventory) -> dict[str, AuthRole]:
    return {f"{role.mount}/{role.name}": role for role in inventory.roles}


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
    before = {subject.name: subject for subject in subjects(old.inventory)}
    after = {subject.name: subject for subject in subjects(new.inventory)}
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name, Subject(name, ())), after.get(name, Subject(name, ()))
        if _texts(old, was) != _texts(new, becomes):
            yield from compared(name, old.policies.rules(was), new.policies.rules(becomes))


def _texts(side: Side, subject: Subject) -> list[tuple[str, bytes]]:
    return sorted((name, side.inventory.policies[name].text) for name in subject.policies)
