"""Files that readers find whole: a folder whose `..data` is repointed by one rename, as the kubelet does it.

Everything goes through directory descriptors and O_NOFOLLOW: a symlink, FIFO or hard link that someone else
made is never written through, and what is not ours is never taken for ours.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from agent.errors import AgentError

DATA = "..data"
_DATA_NEW = "..data_tmp"
_SET = re.compile(r"\.\.[0-9]{10,}\.[0-9]{9}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_FILE_BYTES = 16 * 1024 * 1024


class Entry(NamedTuple):
    content: bytes
    mode: int


Fileset = Mapping[str, Entry]  # by path relative to the folder, with slashes


def path_problem(path: str) -> str:
    """What keeps a path from standing in the folder; empty: nothing."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if any(part in {"", ".", ".."} for part in parts):
        return "has an empty segment or dots alone"
    if parts[0].startswith(".."):
        return "starts with two dots, which are for the folder's own parts"
    if not path.isprintable() or any(len(part.encode()) > 255 for part in parts):  # noqa: PLR2004 - NAME_MAX
        return "has an unprintable character or a name over 255 bytes"
    return ""


def parsed_mode(mode: str) -> int:
    """Octal text → permission bits. Raises AgentError `config`."""
    try:
        bits = int(mode, 8)
    except ValueError:
        bits = -1
    if not 0 <= bits <= 0o777 or not bits & 0o400:  # noqa: PLR2004 - permission bits
        raise AgentError(
            "config", f"mode {mode!r} is none", "expected octal text such as 0440, readable by its owner"
        )
    return bits


def read_set(folder: str) -> dict[str, Entry]:
    """The set that readers see now; empty where there is none, or one that is not wholly ours."""
    try:
        with _opened(folder) as root:
            name = _target(root)
            return dict(_entries(root, name, "")) if name else {}
    except (OSError, _NotOurs):
        return {}


def write_set(folder: str, fileset: Fileset, now: int) -> bool:
    """Make this the set that readers see, whole; `now` in nanoseconds names it. False: it already was.

    The folder is made if only that is missing. One previous set is kept. Raises AgentError `volume`, with the
    old set in place and nothing half-written.
    """
    with _told(folder), _made(folder) as root:
        current, wanted = _target(root), {path.split("/")[0] for path in fileset}
        _check_names(root, wanted)
        if read_set(folder) == dict(fileset):
            _link_names(root, wanted)
            return False
        _remove_sets(root, keep={current})
        name = f"..{now // 10**9:010d}.{now % 10**9:09d}"
        try:
            _write_all(root, name, fileset)
            _repoint(root, name)
        except BaseException:
            if _target(root) != name:
                _remove_sets(root, keep={current})
            raise
        _link_names(root, wanted)
        return True


def write_file(folder: str, name: str, content: bytes, mode: int) -> bool:
    """One file replaced by rename. False: it held these bytes. Raises AgentError `volume`."""
    with _told(folder), _opened(folder) as root:
        try:
            if _read_entry(root, name).content == content:
                return False
        except (OSError, _NotOurs):
            pass
        temporary = f".{name}.new"
        _unlink(root, temporary)
        try:
            _create(root, temporary, Entry(content, mode))
            os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=root)
        except BaseException:
            _unlink(root, temporary)
            raise
        os.fsync(root)
        return True


class _NotOurs(Exception):  # noqa: N818 - tells two cases of reading apart
    """Something that this program did not write."""


@contextmanager
def _opened(folder: str, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _made(folder: str) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(folder, 0o755)  # noqa: PTH102 - pathlib would cost the agent its start
    with _opened(folder) as root:
        yield root


@contextmanager
def _told(folder: str) -> Iterator[None]:
    try:
        yield
    except _NotOurs as error:
        raise AgentError(
            "volume", f"{folder} holds {error}, which Podkeys did not make", "give the pod a fresh volume"
        ) from None
    except OSError as error:
        remedies = {
            errno.ENOSPC: "the memory volume is full: ask for fewer files, or have the operator raise its limit",
            errno.EDQUOT: "the memory volume is full: ask for fewer files, or have the operator raise its limit",
            errno.EROFS: "it must be mounted read-write in Podkeys' containers",
            errno.EACCES: "it must be writable for the user of Podkeys' containers",
            errno.ENOENT: "the pod needs the volume that the webhook adds",
        }
        raise AgentError(
            "volume",
            f"can't write {folder}: {os.strerror(error.errno or 0)}",
            remedies.get(error.errno or 0, "look at the pod's volumes"),
        ) from None


def _target(root: int) -> str:
    """The name of the current set; empty: none yet."""
    try:
        name = os.readlink(DATA, dir_fd=root)
    except FileNotFoundError:
        return ""
    except OSError:
        raise _NotOurs(f"a {DATA} that is no symlink") from None
    if not _SET.fullmatch(name):
        raise _NotOurs(f"a {DATA} that points elsewhere")
    return name


def _entries(root: int, folder: str, prefix: str) -> Iterator[tuple[str, Entry]]:
    with _opened(folder, root) as inside:
        if os.fstat(inside).st_uid != os.geteuid():
            raise _NotOurs("a set of another user")
        for name in os.listdir(inside):  # noqa: PTH208 - a descriptor
            if stat.S_ISDIR(os.lstat(name, dir_fd=inside).st_mode):
                yield from _entries(inside, name, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", _read_entry(inside, name)


def _read_entry(root: int, name: str) -> Entry:
    with open(os.open(name, _READ, dir_fd=root), "rb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
            raise _NotOurs("a file that is linked elsewhere, special or another user's")
        return Entry(file.read(MAX_FILE_BYTES), stat.S_IMODE(found.st_mode))


def _write_all(root: int, name: str, fileset: Fileset) -> None:
    os.mkdir(name, 0o755, dir_fd=root)
    with _opened(name, root) as base:
        for folder in _folders(fileset):
            os.mkdir(folder, 0o755, dir_fd=base)
        for path in sorted(fileset):
            _create(base, path, fileset[path])
        for folder in (".", *_folders(fileset)):
            with _opened(folder, base) as inside:
                os.fsync(inside)


def _folders(fileset: Fileset) -> list[str]:
    parents = set()
    for path in fileset:
        parts = path.split("/")[:-1]
        parents |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    return sorted(parents)


def _create(root: int, path: str, entry: Entry) -> None:
    with open(os.open(path, _CREATE, 0o600, dir_fd=root), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(entry.content)
        file.flush()
        os.fchmod(file.fileno(), entry.mode)
        os.fsync(file.fileno())


def _repoint(root: int, name: str) -> None:
    _unlink(root, _DATA_NEW)
    os.symlink(name, _DATA_NEW, dir_fd=root)
    os.rename(_DATA_NEW, DATA, src_dir_fd=root, dst_dir_fd=root)
    os.fsync(root)


def _check_names(root: int, wanted: set[str]) -> None:
    for name in sorted(wanted):
        if _exists(root, name) and _link(root, name) != f"{DATA}/{name}":
            raise _NotOurs(f"a {name}")


def _link_names(root: int, wanted: set[str]) -> None:
    """`secrets` → `..data/secrets` and so on; names that the set has no more are taken away."""
    for name in sorted(wanted):
        if not _exists(root, name):
            os.symlink(f"{DATA}/{name}", name, dir_fd=root)
    for name in os.listdir(root):
        if name not in wanted and _link(root, name) == f"{DATA}/{name}":
            _unlink(root, name)


def _exists(root: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=root)
    except FileNotFoundError:
        return False
    return True


def _link(root: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=root)
    except OSError:
        return ""


def _remove_sets(root: int, keep: set[str]) -> None:
    for name in os.listdir(root):
        if _SET.fullmatch(name) and name not in keep:
            _remove(root, name)


def _remove(root: int, name: str) -> None:
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=root).st_mode):
            with _opened(name, root) as inside:
                for inner in os.listdir(inside):  # noqa: PTH208 - a descriptor
                    _remove(inside, inner)
            os.rmdir(name, dir_fd=root)
        else:
            os.unlink(name, dir_fd=root)
    except OSError:
        return  # another user's, or gone: it takes room and nothing else


def _unlink(root: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=root)
    except FileNotFoundError:
        return
