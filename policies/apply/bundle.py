"""What was reviewed, as a file: the digests of the generated tree, signed with an Ed25519 key (RFC 8032)."""

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.apply.errors import TreeError

_CONTEXT = b"podkeys.dev/v1 bundle\n"  # so that the key's signatures of other things are none of bundles
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Bundle:
    """`files`: path below the tree, with slashes → SHA-256, hexadecimal."""

    files: Mapping[str, str]
    signature: bytes


def signed_bytes(files: Mapping[str, str]) -> bytes:
    """What the signature is of."""
    return _CONTEXT + json.dumps(files, sort_keys=True, separators=(",", ":")).encode()


def digests(generated: Path) -> dict[str, str]:
    """Of every file below the tree. Raises TreeError for what is no plain file."""
    found = {}
    if not generated.is_dir():
        raise TreeError(f"{generated}: no such folder; expected the tree of `podkeys policies generate`")
    try:
        for top, folders, names in os.walk(generated, onerror=_raise):
            folders.sort()
            for name in sorted([*names, *(one for one in folders if Path(top, one).is_symlink())]):
                path = Path(top, name)
                found[path.relative_to(generated).as_posix()] = _digest_of(path)
    except OSError as error:
        raise TreeError(f"{error.filename}: can't be read: {error.strerror}") from None
    return found


def _raise(error: OSError) -> NoReturn:
    """What can't be looked into would be left out."""
    raise error


def _digest_of(path: Path) -> str:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TreeError(f"{path}: expected a plain file, no symbolic link and nothing else; remove it")
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def private_key(file: Path) -> Ed25519PrivateKey:
    """Raises TreeError; the message holds nothing of the key."""
    text = _pem("--key", file)
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise TreeError(
            f"--key {file}: got something else, expected an Ed25519 private key in PEM without a password;"
            " to make one: openssl genpkey -algorithm ed25519 -out review.pem"
        )
    return key


def public_key(file: Path) -> Ed25519PublicKey:
    """Raises TreeError. The way out that it names writes to another file: the one given may be the private key."""
    text = _pem("--public-key", file)
    try:
        key = serialization.load_pem_public_key(text)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        got = "a private key" if b"PRIVATE KEY-----" in text else "something else"
        raise TreeError(
            f"--public-key {file}: got {got}, expected an Ed25519 public key in PEM;"
            " to write one: openssl pkey -in review.pem -pubout -out review.pub.pem"
        )
    return key


def _pem(option: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TreeError(f"{option} {file}: can't be read: {error.strerror}; expected a key in PEM") from None


def to_json(bundle: Bundle) -> bytes:
    document = {
        "apiVersion": "podkeys.dev/v1",
        "kind": "Bundle",
        "files": dict(bundle.files),
        "signature": base64.b64encode(bundle.signature).decode(),
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def verified(file: Path, keys: Iterable[Ed25519PublicKey]) -> Bundle:
    """The bundle, where one of the keys signed it. All are taken first: one that can't be read is told though another fits.

    Raises TreeError.
    """
    known = tuple(keys)
    bundle = _read(file)
    for key in known:
        try:
            key.verify(bundle.signature, signed_bytes(bundle.files))
        except InvalidSignature:
            continue
        return bundle
    raise TreeError(
        f"{file}: none of the given keys signed it; expected the bundle as it was reviewed, and its key"
    )


def _read(file: Path) -> Bundle:
    try:
        with file.open("rb") as opened:
            document = json.loads(opened.read(_LARGEST))
        signature = base64.b64decode(document["signature"], validate=True)
    except OSError as error:
        raise TreeError(f"{file}: can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        document, signature = {}, b""
    if not _is_bundle(document):
        raise TreeError(f"{file}: expected what `podkeys policies bundle` wrote")
    return Bundle(document["files"], signature)


def _is_bundle(document: Mapping[str, Any]) -> bool:
    files = document.get("files")
    marks = (document.get("apiVersion"), document.get("kind"))
    return (
        marks == ("podkeys.dev/v1", "Bundle")
        and isinstance(files, dict)
        and all(isinstance(part, str) for pair in files.items() for part in pair)
    )


def differences(reviewed: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """One line for each file that isn't as it was reviewed."""
    changed = [
        f"{name}: changed since" for name in sorted(reviewed.keys() & found) if reviewed[name] != found[name]
    ]
    added = [f"{name}: not reviewed" for name in sorted(found.keys() - reviewed)]
    return changed + added + [f"{name}: missing" for name in sorted(reviewed.keys() - found)]
