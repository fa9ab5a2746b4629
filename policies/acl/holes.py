"""What may be filled in for a template so that its path meets another pattern."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from policies.acl.paths import Kind, Pattern

SLASHED = "x/x"
_MORE = "z"  # what goes on behind a value


@dataclass(frozen=True, slots=True)
class Hole:
    """`head` and `tail`: what stands around it, other templates filled with their `usual` values."""

    head: str
    tail: str
    blocked: tuple[str, ...]
    usual: frozenset[str]

    def takes(self, value: str) -> bool:
        return not any(text in value for text in self.blocked)

    def values(self, other: Pattern, lengths: Iterable[int]) -> Iterator[str]:
        """What makes it the same as the other up to a slash or the end; where one of them ends in `*`, also what is shorter and longer."""
        yield from self._beside(other)
        rest = self._rest(other)
        if rest is None:
            return
        offset, text = rest
        yield from self._parts(text) if self._mixed else self._aligned(text, offset, lengths, other)
        if "*" not in self.blocked:
            yield str(other).split("/", self.head.count("/"))[-1].removeprefix(self._before)

    def _aligned(self, text: str, offset: int, lengths: Iterable[int], other: Pattern) -> Iterator[str]:
        start = len(self._before)
        for end in (*(at for at, letter in enumerate(text) if letter == "/"), len(text)):
            same = text[:end]
            if same.endswith(self._after):
                yield same[start : max(end - len(self._after), start)]
        if self._open or (other.globbed and "/" not in text):
            for end in sorted({length - offset for length in lengths} | {start + 1}):
                if start <= end <= len(text):
                    yield from (text[start:end], text[start:end] + _MORE)

    def _parts(self, text: str) -> Iterator[str]:
        """Where another template stands in the same segment, nobody knows where this one begins and ends."""
        segment = text.partition("/")[0] if "/" in self.blocked else text
        for start, end in combinations(range(len(segment) + 1), 2):
            yield from (segment[start:end], *((segment[start:end] + _MORE,) if self._open else ()))

    def _beside(self, other: Pattern) -> Iterator[str]:
        """What stands beside the other's template in the same segment: `a-{{x}}` and `{{y}}-b` are both `a--b`."""
        for segment in other.stem.decode("utf-8", "surrogateescape").split("/")[self.head.count("/") :][:1]:
            for value in self.usual:
                if value in segment:
                    bare = segment.replace(value, "")
                    yield from (bare, *((bare[:-1], bare[:-1] + _MORE) if bare.endswith("*") else ()))

    def wide(self, found: Iterable[str]) -> Iterator[str]:
        """Of what may hold slashes or wildcards; a slash beside a + makes that any segment."""
        yield from (SLASHED, "/", "*", "+")
        if "*" not in self.blocked:
            yield from (value + "*" for value in found)

    @property
    def _before(self) -> str:
        return self.head.rpartition("/")[2]

    @property
    def _mixed(self) -> bool:
        return any(value in self._before + self._after for value in self.usual)

    @property
    def _open(self) -> bool:
        """Whether what is filled in may be the end of what stands written: a `*` follows it, or may be in it."""
        return "*" not in self.blocked or ("/" not in self.tail and self.tail.endswith("*"))

    @property
    def _after(self) -> str:
        segment, slash, _ = self.tail.partition("/")
        return segment if slash else segment.removesuffix("*")

    def _rest(self, other: Pattern) -> tuple[int, str] | None:
        """Where the other's segment in this place begins, and all from there; None where they never meet."""
        heads, before = self.head.split("/")[:-1], self._before
        segments = other.stem.decode("utf-8", "surrogateescape").split("/")
        if len(segments) <= len(heads) or not all(map(self._meets, heads, segments)):
            return None
        here, *more = segments[len(heads) :]
        text = "/".join(
            [before + "x" if here == "+" else here, *("x" if one == "+" else one for one in more)]
        )
        offset = sum(len(segment) + 1 for segment in segments[: len(heads)])
        return (offset, text) if self._mixed or text.startswith(before) else None

    def _meets(self, first: str, second: str) -> bool:
        return first == second or "+" in (first, second) or any(one in first + second for one in self.usual)


def lengths(patterns: Iterable[Pattern]) -> list[int]:
    """At which length of its beginning something may become closer than one of these."""
    firsts = {len(one.stem) if one.kind is not Kind.SEGMENT else one.text.index(b"+") for one in patterns}
    return sorted({*firsts, *(first + 1 for first in firsts)})
