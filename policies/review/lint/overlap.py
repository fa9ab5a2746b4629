"""A path that two patterns both match. Pure."""

from functools import lru_cache

from policies.acl.paths import Kind, Pattern

_ANY = b"+"


@lru_cache(maxsize=65536)
def overlap(first: Pattern, second: Pattern) -> str | None:
    """One such path, with `x` where anything does; None where there is none."""
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
        return b"x" if text is None else text + b"x" * is_open
    if one == other:
        return one + b"x" * (one_open and other_open)
    if one_open and other.startswith(one):
        return other + b"x" * other_open
    return one + b"x" * one_open if other_open and one.startswith(other) else None
