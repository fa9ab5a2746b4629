"""From what a person calls a subject to the subjects that are meant."""

import difflib

from policies.review.errors import ReviewError
from policies.review.globs import fits
from policies.review.inventory import Inventory
from policies.review.subjects import Subject, subjects


def named(inventory: Inventory, name: str) -> list[Subject]:
    """By auth role (`MOUNT/NAME` or `NAME`), by policy, by entity, or by service account (`NAMESPACE/NAME`): all that it may log in to.

    A `*` in what a role binds is taken as a pattern, though a server may take it as it stands: rather more than less.

    Raises ReviewError where there is none.
    """
    found = [subject for subject in subjects(inventory) if _is(subject, name)]
    if not found and name.lower() in inventory.policies:
        found = [Subject(name.lower(), (name.lower(),))]
    if not found:
        raise ReviewError(
            f"got {name!r}, expected an auth role, a policy, or NAMESPACE/SERVICE-ACCOUNT; {_meant(inventory, name)}"
        )
    return found


def by_labels(inventory: Inventory, name: str) -> list[str]:
    """Roles that a service account may log in to if its namespace has the labels: what no file tells."""
    account = _parts(name)[1]
    every = list(subjects(inventory))
    if not account or any(_is_called(subject, name) for subject in every):
        return []
    return [
        subject.name
        for subject in every
        if any(one.selector and fits(one.name, account) for one in subject.accounts)
        and not _is(subject, name)
    ]


def _meant(inventory: Inventory, name: str) -> str:
    known = [subject.name for subject in subjects(inventory)]
    accounts = (account for role in inventory.roles for account in role.accounts)
    names = dict.fromkeys([*(f"{one.namespace}/{one.name}" for one in accounts), *known])
    near = difflib.get_close_matches(name, names, n=3)
    return (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"here are such as: {', '.join(known[:5]) or 'none'}"
    )


def _is(subject: Subject, name: str) -> bool:
    if _is_called(subject, name):
        return True
    namespace, account = _parts(name)
    return any(
        fits(one.namespace, namespace) and fits(one.name, account) for one in subject.accounts if account
    )


def _is_called(subject: Subject, name: str) -> bool:
    """By its auth role, too, whoever of several it is."""
    role = subject.role or subject.name
    return name in (subject.name, role, role.rpartition("/")[2], subject.holder or role)


def _parts(name: str) -> tuple[str, str]:
    namespace, _, account = name.removeprefix("system:serviceaccount:").replace(":", "/").partition("/")
    return namespace, account
