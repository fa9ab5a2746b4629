"""A unified diff of two texts' lines, at a bounded cost whatever the lines are. Pure.

difflib's time grows with the square of the number of lines, and both texts may be somebody else's: a manifest in a
pull request, a policy that stands on a server.
"""

import difflib
from collections.abc import Sequence

MAX_LINES = 2000  # of both together; a pod has a few hundred, a policy fewer


def unified(
    old: Sequence[str], new: Sequence[str], names: tuple[str, str] = ("", ""), end: str = "\n"
) -> list[str]:
    """As `difflib.unified_diff`. In longer texts all between the first and the last difference is one change."""
    if len(old) + len(new) <= MAX_LINES:
        return list(difflib.unified_diff(old, new, *names, lineterm=end))
    head = _same(old, new)
    tail = _same(old[head:][::-1], new[head:][::-1])
    removed, added = old[head : len(old) - tail], new[head : len(new) - tail]
    if not removed and not added:
        return []
    place = f"@@ -{_range(head, len(removed))} +{_range(head, len(added))} @@{end}"
    titles = [f"--- {names[0]}{end}", f"+++ {names[1]}{end}", place]
    return [*titles, *(f"-{line}" for line in removed), *(f"+{line}" for line in added)]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines both begin with."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _range(head: int, length: int) -> str:
    """Of no lines it names the line before them."""
    return f"{head + 1 if length else head},{length}"
