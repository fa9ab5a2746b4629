"""Who is in the report: each auth role, and each policy that none names, with its cluster and namespace. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from policies.review.inventory import AuthRole, Inventory
from policies.review.origin import Origin, origin
from policies.review.subjects import Subject, subjects

ANY = "any namespace"
SEVERAL = "several namespaces"
OTHERS = "logins that are not for service accounts"
UNNAMED = "policies that no auth role has"
_LISTED = 3  # namespaces of one role that are named; of more it is said that they are several


@dataclass(frozen=True, slots=True)
class Cluster:
    """`folder`, relative to the one that was read, holds what belongs to it; empty for all. `server`: its URL."""

    name: str
    folder: str
    server: str
    mount: str


@dataclass(frozen=True, slots=True)
class Service:
    """`name`: of its service accounts, of a role for any, or of the policy. `namespace`: one, a few, or in words why not.

    `owner` and `source`, the role file, are those of a generated policy, else empty. `cluster` and `server` are empty where
    nothing tells.
    """

    subject: Subject
    name: str
    namespace: str
    cluster: str
    server: str
    owner: str
    source: str
    role: AuthRole | None


def services(inventory: Inventory, clusters: Iterable[Cluster]) -> list[Service]:
    """By cluster, namespace and name."""
    known = tuple(clusters)
    roles = {(f"{role.mount}/{role.name}", role.file): role for role in inventory.roles}
    found = [
        _service(subject, roles.get((subject.role, subject.file)), inventory, known)
        for subject in subjects(inventory)
    ]
    return sorted(found, key=lambda one: (one.cluster, one.namespace, one.name, one.subject.name))


def _service(
    subject: Subject, role: AuthRole | None, inventory: Inventory, clusters: tuple[Cluster, ...]
) -> Service:
    files = [inventory.policies[name] for name in subject.policies]
    where = _cluster(files[0].file if subject.unowned else subject.file, clusters)
    said = next((one for one in map(origin, files) if one != Origin()), Origin())
    return Service(
        subject,
        _name(subject, role),
        UNNAMED if subject.unowned else _namespace(role),
        where.name if where else "",
        where.server if where else "",
        said.owner,
        said.role_file,
        role,
    )


def _cluster(file: str, clusters: tuple[Cluster, ...]) -> Cluster | None:
    return next((one for one in clusters if not one.folder or file.startswith(f"{one.folder}/")), None)


def _name(subject: Subject, role: AuthRole | None) -> str:
    if role is None:
        return subject.name
    names = list(dict.fromkeys(account.name for account in role.accounts))
    return role.name if not names or any("*" in name for name in names) else ", ".join(names)


def _namespace(role: AuthRole | None) -> str:
    if role is None:
        return OTHERS
    spaces = {f"namespaces with {one.selector}" if one.selector else one.namespace for one in role.accounts}
    if "*" in spaces:
        return ANY
    return SEVERAL if len(spaces) > _LISTED else ", ".join(sorted(spaces)) or OTHERS
