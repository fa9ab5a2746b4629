"""A fixed number of threads that take steps of work from two lanes, so that short steps don't wait behind long ones."""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

ITEM, END = "item", "end"


class Threads(Generic[T]):
    """Each lane is first in, first out, and threads serve them by turns: neither can starve the other.

    All threads exist from the start: one that can't be made ends the process before it serves, and not a request later.
    """

    def __init__(self, count: int, step: Callable[[T], None]) -> None:
        """`step` must not raise."""
        self._step = step
        self._tokens: SimpleQueue[str] = (
            SimpleQueue()
        )  # True for each item, False for each thread that has to end
        self._short: deque[T] = deque()
        self._long: deque[tuple[float, T]] = deque()
        self._short_first = True
        self._count = count
        for number in range(count):
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True).start()

    def submit(self, item: T, *, short: bool) -> None:
        if short:
            self._short.append(item)
        else:
            self._long.append((time.monotonic(), item))
        self._tokens.put(ITEM)

    def longest_wait(self) -> float:
        """Seconds that the first of the long lane has waited."""
        try:
            return time.monotonic() - self._long[0][0]
        except IndexError:
            return 0

    def shutdown(self, *, wait: bool = False) -> None:
        """Threads end after the steps that were submitted. As gunicorn calls it, nobody waits for them."""
        del wait
        for _ in range(self._count):
            self._tokens.put(END)

    def _run(self) -> None:
        while self._tokens.get() == ITEM:
            self._step(self._take())

    def _take(self) -> T:
        """The token promises an item; another thread may have taken it, and left its own in the other lane."""
        while True:
            self._short_first = not self._short_first
            lanes = (self._take_short, self._take_long)
            for take in lanes if self._short_first else reversed(lanes):
                try:
                    return take()
                except IndexError:
                    continue

    def _take_short(self) -> T:
        return self._short.popleft()

    def _take_long(self) -> T:
        return self._long.popleft()[1]
