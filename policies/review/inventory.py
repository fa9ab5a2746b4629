"""The policies and auth roles of a folder, generated or not.

Names may end in `.HCL` or `.Json`, too. A policy is a `*.hcl` file, a `*.json` file with a `path` in it that isn't an auth role, or what `bao read -format=json
sys/policies/acl/NAME` or `bao policy read -format=json NAME` printed; its name is the one in a generated file's header, the comments up to the first empty line, else the
one in `path`, else the one that was printed, else the file's. Its places are those in the policy's own text.
An auth role is a `*.json` file `{"path": "auth/MOUNT/role/NAME", "data": {…}}`, or what `bao read -format=json` printed, at
`auth/MOUNT/role/NAME.json`; with `certs`, `users` or `groups` for `role` where the method keeps there what gives policies.
So are entities (`identity/entity/id/ID.json`), groups (`identity/group/id/ID.json`) and token roles (`auth/token/roles/NAME.json`).
Any other JSON but what Podkeys writes itself is refused: what it gives would be missing from the answers.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import orjson

from policies.acl.logins import Account, Login, accounts, login
from policies.acl.times import moment
from policies.apply.state import loose
from policies.review import identity
from policies.review.clusters import Cluster
from policies.review.errors import ReviewError
from policies.review.identity import Entity, Group, Identity, TokenRole

_HEADER = re.compile(rb"^# policy: ([^\s]+)$", re.MULTILINE)
_ROLE_PATH = re.compile(r"auth/(?P<mount>.+)/(?:role|certs|users|groups)/(?P<name>[^/]+)")
_ELSE_PATH = re.compile(r"identity/(?P<kind>entity|group)/id/[^/]+|auth/token/roles/(?P<name>[^/]+)")
_PLAIN = re.compile(rb'"engine":\s*"kv1",\s*"env":\s*\w+,\s*"path":\s*"([^"]+)"')
# One of them is in whatever is an auth role or an exported policy: their keys may be written with escapes, too.
_NAMES = (b'"token_policies"', b'"policies"', b'"allowed_policies"', b'"policy"')
_MARKS = (*_NAMES, b"auth/", b"identity/", b"\\")
# Fields of what gives policies, or is one.
_GIVE = frozenset(("token_policies", "policies", "allowed_policies", "rules"))
_LARGEST = 10 * 2**20
_ENDINGS = (".hcl", ".json")  # of names in lower case


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
        return _written(document) or self.file.rpartition(".")[0], document.get("data")


@dataclass(frozen=True, slots=True)
class Inventory:
    """Policies by name in lower case, as the server keeps them; sorted by name. `plain`: paths of key-value version 1, where a catalog tells.

    `unread`: auth mounts whose logins aren't known, in words. `cluster`: the one whose namespaces are looked up, if any.
    """

    policies: Mapping[str, PolicyFile]
    roles: tuple[AuthRole, ...]
    plain: frozenset[str] = frozenset()
    identity: Identity = field(default_factory=Identity)
    unread: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    cluster: Cluster | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Who else may be able to do something, in words."""
        return (*self.identity.unknown, *(f"who logs in at {mount}: not read" for mount in self.unread))


Found: TypeAlias = PolicyFile | AuthRole | Entity | Group | TokenRole | Other | frozenset[str] | None


def read(folder: Path) -> Inventory:
    """Raises ReviewError, which names the file."""
    if not folder.is_dir():
        got = (
            f"got a file, expected a folder, such as {folder.parent},"
            if folder.exists()
            else "no such folder; expected one"
        )
        raise ReviewError(f"{folder}: {got} with policies (*.hcl) and auth roles (*.json)")
    found = [_file(folder, name) for name in _files(str(folder))]
    roles = sorted(
        (one for one in found if isinstance(one, AuthRole)), key=lambda role: (role.mount, role.name)
    )
    return Inventory(
        _by_name(folder, (one for one in found if isinstance(one, PolicyFile))),
        tuple(roles),
        frozenset(path for one in found if isinstance(one, frozenset) for path in one),
        Identity(
            tuple(one for one in found if isinstance(one, Entity)),
            {one.id: one for one in found if isinstance(one, Group)},
            tuple(one for one in found if isinstance(one, TokenRole)),
        ),
        others=tuple(one for one in found if isinstance(one, Other)),
    )


def _by_name(folder: Path, files: Iterable[PolicyFile]) -> dict[str, PolicyFile]:
    policies: dict[str, PolicyFile] = {}
    for file in files:
        other = policies.setdefault(file.name.lower(), file)
        if other is not file:
            raise ReviewError(f"{folder / file.file}: the policy {file.name} is in {other.file} already")
    return dict(sorted(policies.items()))


def has_files(folder: Path) -> bool:
    """Whether anything in it could be a policy or an auth role."""
    return any(True for _ in _files(str(folder)))


def _files(folder: str) -> Iterator[str]:
    """Relative to the folder, and as text: tens of thousands are read.

    Raises ReviewError where a folder can't be looked into, or is a link, which could lead in a circle: nobody would see what is missing.
    """
    for top, folders, files in os.walk(folder, onerror=_unreadable):
        folders.sort()
        for name in folders:
            if os.path.islink(f"{top}/{name}"):  # noqa: PTH114 - tens of thousands are looked at
                raise ReviewError(
                    f"{top}/{name}: got a symbolic link to a folder, expected the folder itself, as what is in it would be left out; "
                    "put it in the link's place, or name a folder without links"
                )
        below = f"{top[len(folder) :].lstrip('/')}/".lstrip("/")
        yield from (below + name for name in sorted(files) if name.lower().endswith(_ENDINGS))


def _unreadable(error: OSError) -> None:
    raise ReviewError(f"{error.filename}: can't be read: {error.strerror}; check its permissions")


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - tens of thousands are read
            size = os.fstat(file.fileno()).st_size
            text = file.read(min(size, _LARGEST) + 1)
    except OSError as error:
        raise ReviewError(f"{path}: can't be read: {error.strerror}") from None
    if len(text) > _LARGEST:
        raise ReviewError(f"{path}: larger than {_LARGEST >> 20} MiB, expected a policy or an auth role")
    return text


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _file(folder: Path, name: str) -> Found:
    text = _bytes(f"{folder}/{name}")
    return _policy(folder, name, text) if name.lower().endswith(".hcl") else _json(folder, name, text)


def _policy(folder: Path, name: str, text: bytes) -> PolicyFile:
    """A second name in the header could be the one that the server gets: two policies would change places unseen."""
    found = _HEADER.findall(text.partition(b"\n\n")[0])
    if len(found) > 1:
        raise ReviewError(
            f"{folder}/{name}: got {len(found)} lines `# policy: NAME` in its header, expected one; remove the others"
        )
    return PolicyFile(found[0].decode("utf-8", "replace") if found else _stem(name), name, text)


def _json(folder: Path, name: str, text: bytes) -> Found:
    """Of a catalog its paths of key-value version 1. What can't be anything that gives policies isn't parsed."""
    if "auth/" not in name and not any(mark in text for mark in _MARKS):
        if b'"data"' in text and not _PLAIN.search(text):
            return Other(name, text)
        if b'"data"' not in text and b'"capabilities"' in text:
            return PolicyFile(_stem(name), name, text)
    return _document(folder, name, text)


def _document(folder: Path, name: str, text: bytes) -> Found:
    try:
        document = orjson.loads(text)
    except ValueError as error:
        raise ReviewError(f"{folder}/{name}: no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _unknown(folder, name, f"a JSON {type(document).__name__}")
    data = document.get("data")
    if not isinstance(data, dict):
        return _without_data(folder, name, document, text)
    written = _written(document)
    if isinstance(data.get("policy"), str):
        own = written.rpartition("/")[2] or str(data.get("name") or _stem(name))
        return PolicyFile(
            own, name, str(data["policy"]).encode(), loose(data), _expiration(folder, name, data)
        )
    path = written or name.rpartition(".")[0]
    place = _ROLE_PATH.fullmatch(path)
    if place:
        return auth_role(place["mount"], place["name"], name, data, text)
    found = _else(path, name, data)
    if not found and not written and not path.endswith("/config") and not _GIVE.isdisjoint(data):
        raise _unknown(folder, name, f"{', '.join(sorted(_GIVE & data.keys()))} at a place that isn't theirs")
    return found or Other(name, text)


def _without_data(folder: Path, name: str, document: Mapping[str, object], text: bytes) -> Found:
    if isinstance(document.get("path"), dict | list):
        return PolicyFile(_stem(name), name, text)
    if isinstance(document.get("policy"), str):
        return PolicyFile(str(document.get("name") or _stem(name)), name, str(document["policy"]).encode())
    if not isinstance(document.get("cluster"), str) and document.get("kind") != "Bundle":
        raise _unknown(folder, name, f"JSON with {', '.join(sorted(document)[:5]) or 'nothing'}")
    return _plain(text)


def _unknown(folder: Path, name: str, got: str) -> ReviewError:
    return ReviewError(
        f"{folder}/{name}: got {got}, expected a policy, or what `bao read -format=json PATH` printed, saved as PATH.json for an "
        "auth role (auth/MOUNT/role/NAME.json), entity, group or token role; save it there, or move it out of the folder"
    )


def _written(document: Mapping[str, object]) -> str:
    return str(document.get("path") or "").strip("/")


def _else(path: str, file: str, fields: Mapping[str, object]) -> Found:
    """What gives policies besides a login."""
    place = _ELSE_PATH.fullmatch(path)
    if not place:
        return None
    if place["name"]:
        return identity.token_role(place["name"], fields, file)
    return identity.entity(fields, file) if place["kind"] == "entity" else identity.group(fields, file)


def _plain(text: bytes) -> frozenset[str]:
    return frozenset(found.decode("utf-8", "replace") for found in _PLAIN.findall(text))


def auth_role(mount: str, name: str, file: str, data: Mapping[str, object], text: bytes = b"") -> AuthRole:
    """From the fields that the server has of it; `text`, what they were read from, for the lines in it."""
    found = login(data)
    claim = str(data.get("groups_claim") or "")
    return AuthRole(mount, name, file, _token_policies(found), tuple(accounts(found)), found, text, claim)


def _expiration(folder: Path, file: str, data: Mapping[str, object]) -> datetime | None:
    """Of a policy as a whole."""
    written = data.get("expiration")
    found = moment(str(written)) if written else None
    if data.get("ttl") or (written and found is None):
        raise ReviewError(
            f"{folder}/{file}: got ttl or another form of expiration, which don't tell when the policy ends; "
            "expected a time such as 2030-01-31T00:00:00Z as expiration"
        )
    return found


def _token_policies(found: Login) -> tuple[str, ...]:
    extra = ("default",) if found.default_policy else ()
    return tuple(dict.fromkeys((*(name.strip().lower() for name in found.policies), *extra)))
