"""The known names that a mistyped one may stand for, at a cost that is bounded whatever the names are. Pure.

Both sides may come from somebody who means harm: a pod's author, a role file in a pull request, a server. So names
of more than MAX_LENGTH characters are compared with nothing, and of those that are compared no more than
MAX_COMPARED characters are read: about a millisecond.
"""

from collections.abc import Iterable
from itertools import islice

MAX_LENGTH = 64
MAX_KNOWN = 500
MAX_COMPARED = 1000


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """At most `count` of `known`, the nearest first: those that a third of the name's characters, changed, lead to.

    Letter case does not count. Of two that are as near, the first one in alphabetical order comes first. Past the
    bounds a name is left out, so that a hint is missing where there are very many names, and never late.
    """
    if not 0 < len(name) <= MAX_LENGTH:
        return []
    most = max(1, len(name) // 3)
    pattern = name.lower()
    letters = set(pattern)
    near: list[tuple[int, str]] = []
    left = MAX_COMPARED
    for other in sorted(item for item in islice(known, MAX_KNOWN) if abs(len(item) - len(name)) <= most):
        text = other.lower()
        if len(letters.difference(text)) > most:
            continue
        left -= len(text)
        if left < 0:
            break
        changes = distance(pattern, text)
        if changes <= most:
            near.append((changes, other))
    return [other for _, other in sorted(near)[:count]]


def distance(pattern: str, text: str) -> int:
    """How many characters must be added, removed, replaced or swapped with the next to make one of the other.

    One step a character of `text`: a column of the usual table is two integers, whose bits say where it rises and
    where it falls (Hyyrö, A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances, 2003).
    """
    masks: dict[str, int] = {}
    for index, character in enumerate(pattern):
        masks[character] = masks.get(character, 0) | 1 << index
    last, every = 1 << len(pattern) >> 1, (1 << len(pattern)) - 1
    rises, falls, changes, diagonal, before = every, 0, len(pattern), 0, 0
    for character in text:
        same = masks.get(character, 0)
        swapped = (~diagonal & same) << 1 & before
        diagonal = (((same & rises) + rises) ^ rises) | same | falls | swapped
        right, left = falls | ~(diagonal | rises), rises & diagonal
        changes += bool(right & last) - bool(left & last)
        right, left = right << 1 | 1, left << 1
        rises, falls = (left | ~(diagonal | right)) & every, right & diagonal & every
        before = same
    return changes
