"""Reads a folder of policies and auth roles, generated or not, into an inventory."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from policies.review.errors import ReviewError
from policies.review.identity import Entity, Group, Identity, TokenRole
from policies.review.inventory import AuthRole, Inventory, Other, PolicyFile
from policies.review.kinds import recognised

_LARGEST = 10 * 2**20
_ENDINGS = (".hcl", ".json")  # of names in lower case


def read(folder: Path) -> Inventory:
    """Raises ReviewError, which names the file."""
    if not folder.is_dir():
        got = (
            f"got a file, expected a folder, such as {folder.parent},"
            if folder.exists()
            else "no such folder; expected one"
        )
        raise ReviewError(f"{folder}: {got} with policies (*.hcl) and auth roles (*.json)")
    found = [recognised(folder, name, _bytes(f"{folder}/{name}")) for name in _files(str(folder))]
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
