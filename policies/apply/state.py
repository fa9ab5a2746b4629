"""What should stand on the server and what does: policies, auth roles and PKI roles by API path. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from policies import names
from policies.catalog import Cluster

Kind = Literal["policy", "PKI role", "auth role"]
POLICIES = "sys/policies/acl"

_POLICY_LABELS = (2, 3)  # namespace, role, and for an identity the service account
_ROLE_LABELS = (3,)  # namespace, role, and the service account or certificate


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to write. `path` is the API path below /v1/, `owner` the path of its service role's policy.

    `fields` of a policy: `{"policy": text}`. `file` is where it stands in the tree.
    """

    kind: Kind
    path: str
    owner: str
    fields: Mapping[str, Any]
    file: str

    @property
    def role(self) -> str:
        """NAMESPACE/ROLE of its service role."""
        return role_of(self.owner)


@dataclass(frozen=True, slots=True)
class Stored:
    """One thing as the server holds it. `version` is a policy's, for check-and-set; None where there is none.

    `loose`: what the templates of a policy may put into paths besides.
    """

    fields: Mapping[str, Any]
    version: int | None = None
    loose: tuple[str, ...] = ()

    @property
    def marked(self) -> bool:
        """Whether this is a policy that the generator wrote."""
        return str(self.fields.get("policy", "")).startswith(names.MARK)


@dataclass(frozen=True, slots=True)
class Desired:
    """The generated tree of one cluster; items by path."""

    cluster: Cluster
    items: Mapping[str, Item]


Current = Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Place:
    """Where things of ours stand: `listing` is a path to list, our names there begin with `prefix`.

    `capabilities` are what writing and removing one of them takes.
    """

    kind: Kind
    listing: str
    prefix: str
    capabilities: tuple[str, ...]


class Store(Protocol):
    """What plan and apply ask of a server; paths are below /v1/. Every call may raise ApplyError."""

    def names(self, listing: str) -> Sequence[str]: ...

    def read(self, path: str) -> Stored | None: ...

    def write(self, path: str, fields: Mapping[str, Any]) -> None: ...

    def ask(self, path: str, fields: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def delete(self, path: str) -> None: ...


def places(cluster: Cluster) -> tuple[Place, ...]:
    """The only places that plan and apply look at, in the order of writing.

    Policies come first: they carry the mark by which the rest is ours. Auth roles come last: until then nobody
    can log in for what isn't there yet.
    """
    update = ("read", "update", "delete")
    role_prefix = f"{names.PREFIX}."
    return (
        Place("policy", POLICIES, f"{names.PREFIX}.{cluster.name}.", update),
        Place("PKI role", f"{cluster.serving_mount}/roles", role_prefix, update),
        Place("PKI role", f"{cluster.identity_mount}/roles", role_prefix, update),
        Place("auth role", f"auth/{cluster.auth_mount}/role", role_prefix, ("create", *update)),
    )


def loose(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a policy as the server answers it."""
    return tuple(
        what for what in ("slashes", "wildcards") if fields.get(f"allow_{what}_in_identity_templates")
    )


def role_of(owner_path: str) -> str:
    """NAMESPACE/ROLE, by the path of the policy that carries the mark of a service role."""
    return "/".join(owner_path.split(".")[-2:])


def policy_path(name: str) -> str:
    return f"{POLICIES}/{name}"


def owners(desired: Desired, current: Current) -> frozenset[str]:
    """The service roles of which something is in the tree, or a policy on the server: the paths of their policies."""
    policies = places(desired.cluster)[0]
    start = f"{policies.listing}/"
    stored = (path.removeprefix(start) for path in current if path.startswith(start))
    known = {found for name in stored if (found := owner(desired.cluster, policies, name))}
    return frozenset(known | {item.owner for item in desired.items.values()})


def owner_of(cluster: Cluster, path: str) -> str | None:
    """As `owner`, by the API path of something that stands in one of our places."""
    listing, _, name = path.rpartition("/")
    return next((owner(cluster, place, name) for place in places(cluster) if place.listing == listing), None)


def owner(cluster: Cluster, place: Place, name: str) -> str | None:
    """The path of the policy whose mark makes `name` ours; None where the name is not of our making."""
    if not name.startswith(place.prefix):
        return None
    labels = name.removeprefix(place.prefix).split(".")
    lengths = _POLICY_LABELS if place.kind == "policy" else _ROLE_LABELS
    if len(labels) not in lengths or not all(names.is_label(label) for label in labels):
        return None
    return policy_path(names.role_policy(cluster.name, labels[0], labels[1]))
