"""Many clusters, a few at once. One that fails does not stop the others."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from policies.apply.at_once import pool
from policies.apply.errors import TreeError
from policies.apply.outcome import Outcome


def clusters(generated: Path) -> list[str]:
    """The names of all in the tree. Raises TreeError where there is none."""
    try:
        found = (
            sorted(path.name for path in generated.iterdir() if path.is_dir()) if generated.is_dir() else []
        )
    except OSError as error:
        raise TreeError(f"{generated}: can't be read: {error.strerror}") from None
    if not found:
        raise TreeError(
            f"{generated}: no clusters in it; expected the tree of `podkeys policies generate`, here or with --generated"
        )
    return found


def service_roles(generated: Path, clusters: Iterable[str]) -> frozenset[str]:
    """`NAMESPACE/ROLE` of all in the trees of these clusters."""
    policies = (path for name in clusters for path in (generated / name).glob("*/*/policy.hcl"))
    return frozenset(f"{path.parts[-3]}/{path.parts[-2]}" for path in policies)


def each(
    names: Iterable[str], at_once: int, work: Callable[[str], Outcome]
) -> Generator[Outcome, None, None]:
    """As they end."""
    with pool(at_once) as threads:
        yield from (
            future.result() for future in as_completed([threads.submit(work, name) for name in names])
        )


def unmatched(outcomes: Sequence[Outcome]) -> frozenset[str]:
    """Targets that no cluster knows; none where some cluster could not be asked."""
    if any(outcome.plan is None for outcome in outcomes):
        return frozenset()
    return frozenset.intersection(*(outcome.unmatched for outcome in outcomes))
