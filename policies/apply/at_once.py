"""A bounded number of things at once. Of what a server is asked, the way there and back takes longest."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from policies.apply.state import Store, Stored
from policies.apply.tokens import Track

READS = 8  # no more than the connections that a session keeps


@contextmanager
def pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Interrupted, what has not begun never does, and what has is waited for."""
    found = ThreadPoolExecutor(threads)
    try:
        yield found
    finally:
        found.shutdown(cancel_futures=True)


def read_all(store: Store, paths: Sequence[str], track: Track = iter) -> Iterator[tuple[str, Stored | None]]:
    """Each path with what stands there, in their order. `track` sees them go by. Raises ApplyError, that of the first that fails."""
    with pool(READS) as threads:
        yield from zip(track(paths), threads.map(store.read, paths), strict=True)
