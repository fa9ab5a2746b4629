"""The last good content of files, in memory that outlives the process that read them. It has no name on any disk."""

import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

_HEADER = struct.Struct(">Qd32s")  # number, when it was read, SHA-256 of both and the rest


def anonymous(content: bytes = b"") -> int:
    """A descriptor of a file in memory, which this process and its children alone can open.

    Outside of Linux, which alone has such files, it is a temporary file that nobody else can name.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("podkeys", os.MFD_CLOEXEC)
        os.fchmod(descriptor, 0o600)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    _write(descriptor, content)
    return descriptor


def _write(descriptor: int, content: bytes) -> None:
    os.ftruncate(descriptor, 0)
    view, at = memoryview(content), 0
    while at < len(view):
        at += os.pwrite(descriptor, view[at:], at)
    os.lseek(descriptor, 0, os.SEEK_SET)


@dataclass(frozen=True, slots=True)
class Saved:
    number: int
    at: float
    content: bytes


class Snapshot:
    """Two slots, written in turn: a process that is killed while it writes leaves the other one whole.

    Make it before the process that writes is forked; the next one that is forked reads what it left.
    """

    def __init__(self, make: Callable[[], int] = anonymous) -> None:
        self._slots = (make(), make())

    def write(self, content: bytes, at: float) -> None:
        """`at` is when it was read, in seconds since the epoch."""
        first, second = (self._slot(descriptor) for descriptor in self._slots)
        number = max(saved.number if saved else 0 for saved in (first, second)) + 1
        older = (
            self._slots[0] if first is None or (second and second.number > first.number) else self._slots[1]
        )
        packed = zlib.compress(content, 1)
        _write(older, _HEADER.pack(number, at, _digest(number, at, packed)) + packed)

    def read(self) -> Saved | None:
        """The last that was written whole."""
        saved = [item for item in map(self._slot, self._slots) if item]
        return max(saved, key=lambda item: item.number, default=None)

    def _slot(self, descriptor: int) -> Saved | None:
        size = os.fstat(descriptor).st_size
        written = os.pread(descriptor, size, 0)
        if len(written) < _HEADER.size:
            return None
        number, at, digest = _HEADER.unpack_from(written)
        packed = written[_HEADER.size :]
        return Saved(number, at, zlib.decompress(packed)) if digest == _digest(number, at, packed) else None


def _digest(number: int, at: float, packed: bytes) -> bytes:
    return hashlib.sha256(_HEADER.pack(number, at, b"") + packed).digest()
