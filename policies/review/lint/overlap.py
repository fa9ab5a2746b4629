"""A path that two patterns both match. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache

from policies.acl.paths import Kind, Pattern

_ANY = b"+"
_FILL = b"anything"


@lru_cache(maxsize=65536)
def overlap(first: Pattern, second: Pattern) -> str | None:
    """One such path, with `anything` where anything does; None where there is none."""
    mine, theirs = _segments(first), _segments(second)
    found: list[bytes] = []
    for at in range(max(len(mine), len(theirs))):
        one = _both(_part(mine, at, first), _part(theirs, at, second))
        if one is None:
            return None
        found.append(one)
    return b"/".join(found).decode("utf-8", "surrogateescape")


def _segments(pattern: Pattern) -> list[bytes]:
    return pattern.stem.split(b"/")


def _part(segments: list[bytes], at: int, pattern: Pattern) -> tuple[bytes | None, bool] | None:
    """The text of a segment, None for any, and whether more may follow it; None behind the end."""
    if at >= len(segments):
        return (None, True) if pattern.globbed else None
    text = segments[at]
    if pattern.kind is Kind.SEGMENT and text == _ANY:
        return None, False
    return text, pattern.globbed and at == len(segments) - 1


def _both(mine: tuple[bytes | None, bool] | None, theirs: tuple[bytes | None, bool] | None) -> bytes | None:
    if mine is None or theirs is None:
        return None
    (one, one_open), (other, other_open) = mine, theirs
    if one is None or other is None:
        text, is_open = (other, other_open) if one is None else (one, one_open)
        return _FILL if text is None else text + _FILL * is_open
    if one == other:
        return one + _FILL * (one_open and other_open)
    if one_open and other.startswith(one):
        return other + _FILL * other_open
    return one + _FILL * one_open if other_open and one.startswith(other) else None


class Heads:
    """Patterns by the text before their first wildcard: two overlap only where one's begins with the other's."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._heads = sorted((_head(one), number) for number, one in enumerate(patterns))

    def near(self, pattern: Pattern) -> Iterator[int]:
        """The numbers of those that may overlap."""
        head = _head(pattern)
        for end in range(len(head)):
            yield from self._from(head[:end], exact=True)
        yield from self._from(head, exact=False)

    def _from(self, head: bytes, *, exact: bool) -> Iterator[int]:
        for at in range(bisect_left(self._heads, (head, -1)), len(self._heads)):
            found, number = self._heads[at]
            if not (found == head if exact else found.startswith(head)):
                return
            yield number


def _head(pattern: Pattern) -> bytes:
    return pattern.stem.partition(_ANY)[0] if pattern.kind is Kind.SEGMENT else pattern.stem
