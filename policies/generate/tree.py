"""The generated tree on disk: what stands there, what differs, and writing it. No symbolic link is ever followed."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from policies.errors import TreeError
from policies.names import MARK

_LABEL = r"[a-z0-9-]{1,50}"
_OURS = re.compile(
    rf"{_LABEL}/(cluster\.json|catalog\.configmap\.yaml|catalog/{_LABEL}\.json|"
    rf"{_LABEL}/{_LABEL}/(policy(\.{_LABEL})?\.hcl|(auth|pki|identity)\.{_LABEL}\.json))"
)
_TEMPORARY = ".podkeys-new"
_MAX_DEPTH = 4  # cluster/namespace/role/file


def scan(out: Path) -> frozenset[str]:
    """Files below `out` by relative path. Raises TreeError on a symbolic link: it could lead a write elsewhere."""
    if not out.exists():
        return frozenset()
    if not out.is_dir():
        raise TreeError(f"{out}: got a file, expected a folder; give another one with --out")
    return frozenset(_files(str(out), "", _MAX_DEPTH))


def _files(folder: str, prefix: str, depth: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_symlink():
                raise TreeError(
                    f"{ascii(entry.path)[1:-1]}: got a symbolic link, expected a plain file or folder; remove it"
                )
            if not entry.is_dir():
                yield path
            elif depth > 1 and entry.name != ".git":
                yield from _files(entry.path, f"{path}/", depth - 1)


def differing(out: Path, existing: frozenset[str], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of `files` that aren't on disk with the same bytes."""
    return {
        path: content
        for path, content in files.items()
        if path not in existing or not _same(out, path, content)
    }


def _same(out: Path, path: str, content: bytes) -> bool:
    file = os.open(f"{out}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.fstat(file).st_size == len(content) and os.read(file, len(content) + 1) == content
    finally:
        os.close(file)


def stale(out: Path, existing: frozenset[str], expected: Iterable[str]) -> tuple[str, ...]:
    """Files that an earlier run wrote and this one doesn't: by their place and by what is in them."""
    return tuple(path for path in sorted(existing.difference(expected)) if _is_ours(out, path))


def _is_ours(out: Path, path: str) -> bool:
    folder, slash, name = path.rpartition("/")
    if name.startswith(".") and name.endswith(_TEMPORARY):  # an earlier run was killed
        return bool(_OURS.fullmatch(folder + slash + name[1 : -len(_TEMPORARY)]))
    if not _OURS.fullmatch(path) or not (out / path).is_file():
        return False
    content = (out / path).read_bytes()
    if not path.endswith(".json"):
        return content.startswith(MARK.encode())
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    return (
        set(document) == {"data", "generatedFrom", "path"}
        or document.get("cluster") == path.partition("/")[0]
    )


def write(out: Path, files: Mapping[str, bytes], removed: Iterable[str]) -> None:
    """Each file is whole or as it was: written beside its place and renamed. Emptied folders go too."""
    try:
        folders: set[Path] = set()
        for path in sorted(files):
            target = out / path
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            _replace(target, files[path])
        for path in removed:
            (out / path).unlink()
            _remove_empty(out, (out / path).parent)
    except OSError as error:
        raise TreeError(f"{error.filename or out}: can't be written: {error.strerror}") from None


def _replace(target: Path, content: bytes) -> None:
    temporary = f"{target.parent}/.{target.name}{_TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
        file.write(content)
    os.replace(temporary, target)  # noqa: PTH105 - ten thousand Path objects more would be felt


def _remove_empty(out: Path, folder: Path) -> None:
    while folder != out:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
