"""From what a person calls a subject to the subjects that are meant."""

from policies.acl.logins import Account
from policies.nearest import ONCE, nearest
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


def by_labels(inventory: Inventory, name: str) -> dict[str, list[str]]:
    """Roles that a service account may log in to if its namespace has the labels, which aren't known; by why not."""
    every = list(subjects(inventory))
    found: dict[str, list[str]] = {}
    if any(_is_called(subject, name) for subject in every):
        return found
    for subject in every:
        why = "" if _is(subject, name) else _untold(inventory, subject, name)
        if why:
            found.setdefault(why, []).append(subject.name)
    return found


def _untold(inventory: Inventory, subject: Subject, name: str) -> str:
    """Empty where it is known that the account may not log in."""
    namespace, account = _parts(name)
    asking = [one for one in subject.accounts if one.selector and account and fits(one.name, account)]
    if not asking:
        return ""
    if not inventory.cluster:
        return "--kubeconfig tells them"
    if not subject.cluster:
        return "another cluster's, as --auth-mount says"
    if namespace not in subject.cluster.labels:
        return "this cluster has none of that name now"
    return next((now.why for now in map(subject.cluster.now, asking) if now.why), "")


def _meant(inventory: Inventory, name: str) -> str:
    known = [subject.name for subject in subjects(inventory)]
    accounts = (account for role in inventory.roles for account in role.accounts if not account.selector)
    names = dict.fromkeys([*(f"{one.namespace}/{one.name}" for one in accounts), *known])
    same = [other for other in names if other.rpartition("/")[2] == name]
    near = list(dict.fromkeys([*same, *nearest(name, names, 3, compared=ONCE)]))[:3]
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
        fits(one.name, account) and _binds(subject, one, namespace) for one in subject.accounts if account
    )


def _binds(subject: Subject, one: Account, namespace: str) -> bool:
    """A selector fits none without a cluster that tells the labels."""
    if not one.selector:
        return fits(one.namespace, namespace)
    return namespace in ((subject.cluster.now(one).namespaces if subject.cluster else None) or ())


def _is_called(subject: Subject, name: str) -> bool:
    """By its auth role, too, whoever of several it is."""
    role = subject.role or subject.name
    return name in (subject.name, role, role.rpartition("/")[2], subject.holder or role)


def _parts(name: str) -> tuple[str, str]:
    namespace, _, account = name.removeprefix("system:serviceaccount:").replace(":", "/").partition("/")
    return namespace, account
