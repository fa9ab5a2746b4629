"""Rows of Markdown, and the few statistics that the benchmarks quote."""

import statistics
from collections.abc import Sequence


def header(*names: str) -> None:
    row(*names)
    row(*("---" for _ in names))


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, such as 0.99."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Median and range, as one quotes them for noisy machines."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
