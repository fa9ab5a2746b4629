"""Reads the certificates of a pod as one matching set: every file through one descriptor of the folder.

The folder is swapped whole under its readers. Two opens by path could see two sets; opens relative to one
descriptor see the set that it was opened on.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from certs.errors import CertificateError

MAX_BYTES = 1024 * 1024  # the public web's roots are a fifth of it
MAX_ENTRIES = 1000
MAX_DEPTH = 2  # certs/NAME below the parent folder
SWAPPED = "..data"  # what the kubelet and our agent repoint

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO without a writer must not hold us


@dataclass(frozen=True, slots=True)
class Layout:
    """File names in a certificate's folder; `combined` (key, then chain) may be absent."""

    chain: str
    key: str
    ca: str
    combined: str


SERVING = Layout("tls.crt", "tls.key", "ca.crt", "tls.pem")
IDENTITY = Layout("svid.pem", "svid.key", "bundle.pem", "")


@dataclass(frozen=True, slots=True)
class Files:
    """One certificate's files as they stood together; a file that isn't there is empty bytes.

    `layout` None: a single PEM file, whose bytes are in `chain`, and in `key` if a private key is among them.
    """

    path: str
    layout: Layout | None
    chain: bytes = field(repr=False)  # may hold a key, too
    key: bytes = field(default=b"", repr=False)
    ca: bytes = field(default=b"", repr=False)
    combined: bytes = field(default=b"", repr=False)


def read(path: Path) -> tuple[Files, ...]:
    """The certificates at `path`, at least one: a PEM file, a certificate's folder, or a folder of those.

    Raises CertificateError: not there, not readable, too large, or neither file nor folder.
    """
    with _opened(path) as descriptor:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return (_single(descriptor, path),)
        with _swapped(descriptor, path) as folder:
            found = tuple(_folders(folder, path, MAX_DEPTH))
    if not found:
        raise CertificateError(
            f"{path}: got a folder without certificates, expected {SERVING.chain} or {IDENTITY.chain} in it or below"
        )
    return found


def _single(descriptor: int, path: Path) -> Files:
    content = _content(descriptor, str(path))
    return Files(str(path), None, content, content if b"PRIVATE KEY-----" in content else b"")


@contextmanager
def _swapped(descriptor: int, path: Path) -> Iterator[int]:
    """The folder behind `..data`, resolved once, or the folder itself where nothing is swapped."""
    try:
        inner = os.open(SWAPPED, _FLAGS | os.O_DIRECTORY, dir_fd=descriptor)
    except FileNotFoundError:
        yield descriptor
        return
    except OSError as error:
        raise CertificateError(f"{path / SWAPPED}: {error.strerror}, expected a folder") from None
    try:
        yield inner
    finally:
        os.close(inner)


def _folders(folder: int, path: Path, depth: int) -> Iterator[Files]:
    entries = os.listdir(folder)
    if len(entries) > MAX_ENTRIES:
        raise CertificateError(f"{path}: got {len(entries)} entries, expected at most {MAX_ENTRIES}")
    for layout in (SERVING, IDENTITY):
        if layout.chain in entries:
            yield _folder(folder, path, layout)
    for name in sorted(entries) if depth else ():
        if not name.startswith(".") and stat.S_ISDIR(
            os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        ):
            with _opened(path / name, name, folder) as inner:
                yield from _folders(inner, path / name, depth - 1)


def _folder(folder: int, path: Path, layout: Layout) -> Files:
    return Files(
        str(path),
        layout,
        *(_file(folder, path, name) for name in (layout.chain, layout.key, layout.ca, layout.combined)),
    )


def _file(folder: int, path: Path, name: str) -> bytes:
    """The file's bytes, empty if there is none."""
    if not name or name not in os.listdir(folder):
        return b""
    with _opened(path / name, name, folder) as descriptor:
        return _content(descriptor, str(path / name))


@contextmanager
def _opened(path: Path, name: str | None = None, parent: int | None = None) -> Iterator[int]:
    """`name` relative to the descriptor `parent`, or else `path`, which is also what the message says."""
    try:
        descriptor = os.open(name or path, _FLAGS, dir_fd=parent)
    except OSError as error:
        raise CertificateError(
            f"{path}: {error.strerror}, expected a file or folder that this user may read"
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int, path: str) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise CertificateError(f"{path}: got a FIFO, device or folder, expected a regular file")
    with os.fdopen(os.dup(descriptor), "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CertificateError(f"{path}: got more than {MAX_BYTES} bytes, expected PEM of a few kilobytes")
    return content
