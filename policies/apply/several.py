"""Many clusters, a few at once. One that fails does not stop the others."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from policies.apply.errors import TreeError
from policies.apply.outcome import Outcome


def clusters(generated: Path) -> list[str]:
    """The names of all in the tree. Raises TreeError where there is none."""
    found = sorted(path.name for path in generated.iterdir() if path.is_dir()) if generated.is_dir() else []
    if not found:
        raise TreeError(
            f"{generated}: no clusters in it; expected the tree of `podkeys policies generate`, here or with --generated"
        )
    return found


def each(
    names: Iterable[str], at_once: int, work: Callable[[str], Outcome]
) -> Generator[Outcome, None, None]:
    """As they end. Interrupted, those that have not begun never do, and those that have are waited for."""
    with _pool(at_once) as pool:
        yield from (future.result() for future in as_completed([pool.submit(work, name) for name in names]))


@contextmanager
def _pool(at_once: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(at_once)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def unmatched(outcomes: Sequence[Outcome]) -> frozenset[str]:
    """Targets that no cluster knows; none where some cluster could not be asked."""
    if any(outcome.plan is None for outcome in outcomes):
        return frozenset()
    return frozenset.intersection(*(outcome.unmatched for outcome in outcomes))
