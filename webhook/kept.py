"""A value read from files that change: read whole, and the last good one kept while the files are wrong."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from webhook.snapshot import Snapshot

T = TypeVar("T")

Signature = tuple[tuple[str, int, int, int], ...]


def signature(files: Iterable[Path]) -> Signature:
    """What changes when any file does: a volume swaps its `..data`, so inodes change at once."""
    return tuple(_stat(path) for path in files)


def _stat(path: Path) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, for every file at every look
    except OSError:
        return (path.name, 0, 0, 0)
    return (path.name, found.st_ino, found.st_mtime_ns, found.st_size)


@dataclass(frozen=True, slots=True)
class State(Generic[T]):
    """What is kept and how the last look at the files went. Times are seconds since the epoch, 0 for never.

    `succeeded_at` is when the files were last found to be what is kept; `error` is empty when they are.
    """

    value: T
    loaded_at: float = 0
    succeeded_at: float = 0
    error: str = "not read yet"
    seen: Signature = ()


@dataclass(frozen=True, slots=True)
class Content(Generic[T]):
    """How files become a value and the bytes that it was read from, and how these become the same. Both raise `wrong`."""

    read: Callable[[], tuple[T, bytes]]
    parse: Callable[[bytes], T]
    wrong: type[Exception]


class Kept(Generic[T]):
    """`state` is replaced whole, so any thread may read it; one calls `refresh`."""

    def __init__(
        self,
        state: State[T],
        files: Callable[[], Iterable[Path]],
        content: Content[T],
        *,
        on_change: Callable[[State[T]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_change` gets the state after each reading, but each reason of an error once."""
        self.state = state
        self._files, self._content = files, content
        self._on_change, self._clock = on_change, clock
        self._snapshot = Snapshot()

    @property
    def value(self) -> T:
        return self.state.value

    def remember(self, content: bytes) -> None:
        self._snapshot.write(content, self.state.loaded_at)

    def recall(self) -> None:
        """Begin with the last good value of the process before this one, checked as if it came from the files."""
        saved = self._snapshot.read()
        if saved and saved.at > self.state.loaded_at:
            self.state = State(self._content.parse(saved.content), saved.at, saved.at)

    def refresh(self) -> State[T]:
        """Look at the files, and read them if they changed or were wrong the last time.

        The signature is taken before reading, so that the next look sees a swap in the middle.
        """
        before, seen, now = self.state, signature(self._files()), self._clock()
        content = b""
        if seen == before.seen and not before.error:
            self.state = replace(before, succeeded_at=now)
            return self.state
        try:
            value, content = self._content.read()
            self.state = State(value, now, now, "", seen)
        except self._content.wrong as error:
            self.state = replace(before, error=str(error), seen=seen)
        if not self.state.error or self.state.error != before.error:
            self._on_change(self.state)
        if content:
            self.remember(content)
        return self.state
