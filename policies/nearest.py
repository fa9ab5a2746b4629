"""The known names that a mistyped one may stand for, at a cost that is bounded whatever the names are. Pure.

Both sides may come from somebody who means harm: a pod's author, a role file in a pull request, a server. So names
of more than MAX_LENGTH characters are compared with nothing, and of those that are compared no more than so many
characters are read.
"""

from collections.abc import Iterable
from itertools import islice

MAX_LENGTH = 128
MAX_COMPARED = 1000  # characters: about a millisecond
ONCE = 50_000  # for a command that ends with this one mistake


def nearest(name: str, known: Iterable[str], count: int = 1, *, compared: int = MAX_COMPARED) -> list[str]:
    """At most `count` of `known`, the nearest first: those that a third of the name's characters, changed, lead to.

    Letter case does not count. Of two that are as near, the one that stands first among `known` comes first. `compared`
    bounds the characters that are read, and half of it the names: past that a hint is missing, and never late.
    """
    if not 0 < len(name) <= MAX_LENGTH:
        return []
    most = max(1, len(name) // 3)
    pattern = name.lower()
    letters = set(pattern)
    near: list[tuple[int, int, str]] = []
    left = compared
    for place, other in enumerate(islice(known, compared // 2)):
        if abs(len(other) - len(name)) > most:
            continue
        text = other.lower()
        if len(letters.difference(text)) > most:
            continue
        left -= len(text)
        if left < 0:
            break
        changes = distance(pattern, text)
        if changes <= most:
            near.append((changes, place, other))
    return [other for *_, other in sorted(near)[:count]]


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
