"""The policies and auth roles that are reviewed, and who gets policies besides; from a folder or a server. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from policies.acl.logins import Account, Login, accounts, login
from policies.apply.protections import Product
from policies.review.clusters import Cluster
from policies.review.errors import ReviewError
from policies.review.identity import Identity


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """`file` relative to the folder that was read. `loose`: what its templates may put into paths besides, as the server says.

    `expiration`: when the server removes it, or None.
    """

    name: str
    file: str
    text: bytes
    loose: tuple[str, ...] = ()
    expiration: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuthRole:
    """`policies`: those of the token, `default` among them unless the role leaves it out. `text`: the file's, if it is one.

    `groups_claim`: where a token says of which external groups its entity is, or empty.
    """

    mount: str
    name: str
    file: str
    policies: tuple[str, ...]
    accounts: tuple[Account, ...]
    login: Login
    text: bytes
    groups_claim: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """A file that says what is written to a path and is none of these, such as a PKI role's: there may be ten thousand."""

    file: str
    text: bytes

    def read(self) -> tuple[str, object]:
        """The path and what is written there. Raises ReviewError."""
        try:
            document = orjson.loads(self.text)
        except ValueError as error:
            raise ReviewError(f"{self.file}: no JSON: {error}") from None
        if not isinstance(document, dict):
            return self.file, document
        return written_at(document) or self.file.rpartition(".")[0], document.get("data")


@dataclass(frozen=True, slots=True)
class Inventory:
    """Policies by name in lower case, as the server keeps them; sorted by name. `plain`: paths of key-value version 1, where a catalog tells.

    `unread`: auth mounts whose logins aren't known, in words. `cluster`: the one whose namespaces are looked up, if any.
    `product`: the server that was asked, if one was.
    """

    policies: Mapping[str, PolicyFile]
    roles: tuple[AuthRole, ...]
    plain: frozenset[str] = frozenset()
    identity: Identity = field(default_factory=Identity)
    unread: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    cluster: Cluster | None = None
    product: Product | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Who else may be able to do something, in words."""
        return (*self.identity.unknown, *(f"who logs in at {mount}: not read" for mount in self.unread))


def written_at(document: Mapping[str, object]) -> str:
    return str(document.get("path") or "").strip("/")


def auth_role(mount: str, name: str, file: str, data: Mapping[str, object], text: bytes = b"") -> AuthRole:
    """From the fields that the server has of it; `text`, what they were read from, for the lines in it."""
    found = login(data)
    claim = str(data.get("groups_claim") or "")
    return AuthRole(mount, name, file, _token_policies(found), tuple(accounts(found)), found, text, claim)


def _token_policies(found: Login) -> tuple[str, ...]:
    extra = ("default",) if found.default_policy else ()
    return tuple(dict.fromkeys((*(name.strip().lower() for name in found.policies), *extra)))
