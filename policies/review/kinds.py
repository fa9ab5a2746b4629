"""What a file of a folder of policies is. Pure.

Names may end in `.HCL` or `.Json`, too. A policy is a `*.hcl` file, a `*.json` file with a `path` in it that isn't an auth role, or what `bao read -format=json
sys/policies/acl/NAME` or `bao policy read -format=json NAME` printed; its name is the one in a generated file's header, the comments up to the first empty line, else the
one in `path`, else the one that was printed, else the file's. Its places are those in the policy's own text.
An auth role is a `*.json` file `{"path": "auth/MOUNT/role/NAME", "data": {…}}`, or what `bao read -format=json` printed, at
`auth/MOUNT/role/NAME.json`; with `certs`, `users` or `groups` for `role` where the method keeps there what gives policies.
So are entities (`identity/entity/id/ID.json`), groups (`identity/group/id/ID.json`) and token roles (`auth/token/roles/NAME.json`).
Any other JSON but what Podkeys writes itself is refused: what it gives would be missing from the answers.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import orjson

from policies.acl.times import moment
from policies.apply.state import loose
from policies.review import identity
from policies.review.errors import ReviewError
from policies.review.identity import Entity, Group, TokenRole
from policies.review.inventory import AuthRole, Other, PolicyFile, auth_role, written_at

_HEADER = re.compile(rb"^# policy: ([^\s]+)$", re.MULTILINE)
_ROLE_PATH = re.compile(r"auth/(?P<mount>.+)/(?:role|certs|users|groups)/(?P<name>[^/]+)")
_ELSE_PATH = re.compile(r"identity/(?P<kind>entity|group)/id/[^/]+|auth/token/roles/(?P<name>[^/]+)")
_PLAIN = re.compile(rb'"engine":\s*"kv1",\s*"env":\s*\w+,\s*"path":\s*"([^"]+)"')
# One of them is in whatever is an auth role or an exported policy: their keys may be written with escapes, too.
_NAMES = (b'"token_policies"', b'"policies"', b'"allowed_policies"', b'"policy"')
_MARKS = (*_NAMES, b"auth/", b"identity/", b"\\")
# Fields of what gives policies, or is one.
_GIVE = frozenset(("token_policies", "policies", "allowed_policies", "rules"))

Found: TypeAlias = PolicyFile | AuthRole | Entity | Group | TokenRole | Other | frozenset[str] | None


def recognised(folder: Path, name: str, text: bytes) -> Found:
    """`name`: of the file, relative to the folder. Raises ReviewError, which names it."""
    return _policy(folder, name, text) if name.lower().endswith(".hcl") else _json(folder, name, text)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


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
    written = written_at(document)
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
