"""What the worst review costs the webhook, of those that a search over shapes of pods has: in time of its thread."""

import time

from bench.table import header, row
from tests.webhook import hostile

ROUNDS = 3
BETWEEN = (110, 300, 600, 1400)  # kilobytes: near its limits a review costs more than above them


def milliseconds(endpoint: str, body: bytes) -> float:
    """The best of several rounds, as other programs disturb each."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        hostile.answer(endpoint, body)
        best = min(best, time.thread_time() - start)
    return best * 1000


def worst(endpoint: str, size: int) -> tuple[float, str]:
    return max(
        (milliseconds(endpoint, hostile.body(endpoint, shape, size)), shape) for shape in hostile.SHAPES
    )


def run() -> None:
    print(f"The worst of {len(hostile.SHAPES)} shapes, in ms of a processor, from bytes to bytes.\n")
    header("review of at most", *(f"{endpoint}: ms, shape" for endpoint in hostile.ENDPOINTS))
    sizes = hostile.SIZES | {f"{size} KB": size * hostile.KILOBYTE for size in BETWEEN}
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        costs = [worst(endpoint, size) for endpoint in hostile.ENDPOINTS]
        row(name, *(f"{cost:.1f}, {shape}" for cost, shape in costs))
