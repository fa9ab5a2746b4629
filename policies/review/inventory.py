"""The policies and auth roles of a folder, generated or not.

A policy is a `*.hcl` file, or a `*.json` file with a `path` in it that isn't an auth role; its name is the one in a generated
file's header, else the file's. An auth role is a `*.json` file `{"path": "auth/MOUNT/role/NAME", "data": {…}}`, or what
`bao read -format=json` printed, at `auth/MOUNT/role/NAME.json`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies.review.errors import ReviewError

_HEADER = re.compile(rb"^# policy: ([^\s]+)$", re.MULTILINE)
_ROLE_PATH = re.compile(r"auth/(?P<mount>.+)/role/(?P<name>[^/]+)")
_SUBJECT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
_LARGEST = 10 * 2**20


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """`file` relative to the folder that was read."""

    name: str
    file: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """`*` in either stands for anything, as the server takes it. `selector`: a label selector of namespaces, or empty."""

    namespace: str
    name: str
    selector: str = ""

    def __str__(self) -> str:
        where = f"namespaces with {self.selector}" if self.selector else self.namespace
        return f"{self.name} in {where}"


@dataclass(frozen=True, slots=True)
class AuthRole:
    """`policies`: those of the token, `default` among them unless the role leaves it out."""

    mount: str
    name: str
    file: str
    policies: tuple[str, ...]
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Sorted by name."""

    policies: Mapping[str, PolicyFile]
    roles: tuple[AuthRole, ...]


def read(folder: Path) -> Inventory:
    """Raises ReviewError, which names the file."""
    if not folder.is_dir():
        raise ReviewError(
            f"{folder}: no such folder; expected one with policies (*.hcl) and auth roles (*.json)"
        )
    policies: dict[str, PolicyFile] = {}
    roles: list[AuthRole] = []
    for path in _files(folder):
        name = str(path.relative_to(folder))
        found = _policy(path, name) if path.suffix == ".hcl" else _role(path, name)
        if isinstance(found, AuthRole):
            roles.append(found)
        elif found:
            other = policies.setdefault(found.name, found)
            if other is not found:
                raise ReviewError(
                    f"{folder / found.file}: the policy {found.name} is in {other.file} already"
                )
    return Inventory(
        dict(sorted(policies.items())), tuple(sorted(roles, key=lambda role: (role.mount, role.name)))
    )


def _files(folder: Path) -> Iterator[Path]:
    """Links are not followed: what was reviewed is what is read."""
    for top, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(top, name) for name in sorted(files) if name.endswith((".hcl", ".json")))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ReviewError(f"{path}: can't be read: {error.strerror}") from None
    if len(text) > _LARGEST:
        raise ReviewError(f"{path}: larger than {_LARGEST >> 20} MiB, expected a policy or an auth role")
    return text


def _policy(path: Path, name: str) -> PolicyFile:
    text = _bytes(path)
    header = _HEADER.search(text, 0, 1000)
    return PolicyFile(header[1].decode("utf-8", "replace") if header else path.stem, name, text)


def _role(path: Path, name: str) -> PolicyFile | AuthRole | None:
    """None for JSON that is neither, such as a catalog."""
    text = _bytes(path)
    if b'"token_policies"' not in text and b'"policies"' not in text:
        return PolicyFile(path.stem, name, text) if b'"capabilities"' in text else None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ReviewError(f"{path}: no JSON: {error}") from None
    if not isinstance(document, dict):
        return None
    place = _ROLE_PATH.fullmatch(str(document.get("path") or name.removesuffix(".json")))
    data = document.get("data")
    if place is None or not isinstance(data, dict):
        return None
    return AuthRole(place["mount"], place["name"], name, _token_policies(data), tuple(_accounts(data)))


def _token_policies(data: Mapping[str, object]) -> tuple[str, ...]:
    given = _texts(data.get("token_policies") or data.get("policies"))
    extra = () if data.get("token_no_default_policy") is True else ("default",)
    return tuple(dict.fromkeys((*(name.lower() for name in given), *extra)))


def _accounts(data: Mapping[str, object]) -> Iterator[Account]:
    """Of a role of the kubernetes method, or of jwt with a service account's subject."""
    subject = _SUBJECT.fullmatch(str(data.get("bound_subject", "")))
    if subject:
        yield Account(subject[1], subject[2])
    selector = str(data.get("bound_service_account_namespace_selector") or "")
    for name in _texts(data.get("bound_service_account_names")):
        yield from (Account(space, name) for space in _texts(data.get("bound_service_account_namespaces")))
        if selector:
            yield Account("", name, selector)


def _texts(value: object) -> tuple[str, ...]:
    """Of a list of texts or of one, with commas, as the server takes both."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(part) for part in value) if isinstance(value, list) else ()
