"""Path patterns: which paths they match, and which of two is closer. Bytes, as the server compares bytes."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property


class Kind(Enum):
    EXACT = "exact"
    PREFIX = "prefix"
    SEGMENT = "segment"


@dataclass(frozen=True)
class Pattern:
    """`text` without the `*` that ends a PREFIX; a SEGMENT keeps its own."""

    kind: Kind
    text: bytes

    @cached_property
    def globbed(self) -> bool:
        return self.kind is Kind.PREFIX or (self.kind is Kind.SEGMENT and self.text.endswith(b"*"))

    @cached_property
    def stem(self) -> bytes:
        return self.text[:-1] if self.kind is Kind.SEGMENT and self.globbed else self.text

    @cached_property
    def _segments(self) -> list[bytes]:
        return self.stem.split(b"/")

    @cached_property
    def rank(self) -> tuple[int, bool, int, int, bytes]:
        """The largest wins among patterns that match one path and aren't exact.

        First the place of the first wildcard, then no glob, fewer `+`, the longer, the lexicographically larger (OpenBao's
        acl.go, CheckAllowedFromNonExactPaths).
        """
        first = self.text.index(b"+") if self.kind is Kind.SEGMENT else len(self.text)
        plus = self._segments.count(b"+") if self.kind is Kind.SEGMENT else 0
        return first, not self.globbed, -plus, len(self.stem), self.stem

    def matches(self, path: bytes) -> bool:
        if self.kind is Kind.EXACT:
            return path == self.text
        if self.kind is Kind.PREFIX:
            return path.startswith(self.text)
        mine, theirs = self._segments, path.split(b"/")
        last = len(mine) - 1
        if len(theirs) <= last or (len(theirs) != len(mine) and not self.globbed):
            return False
        return all(part in (b"+", theirs[at]) for at, part in enumerate(mine[:-1])) and (
            mine[last] in (b"+", theirs[last]) or (self.globbed and theirs[last].startswith(mine[last]))
        )

    def __str__(self) -> str:
        return self.text.decode("utf-8", "surrogateescape") + ("*" if self.kind is Kind.PREFIX else "")


def pattern(path: str) -> Pattern | None:
    """Of a stanza's path; None for `+*`, which the server refuses."""
    text = path.removeprefix("/")
    if "+*" in text:
        return None
    raw = text.encode("utf-8", "surrogateescape")
    if text == "+" or "/+" in text or text.startswith("+/"):
        return Pattern(Kind.SEGMENT, raw)
    if raw.endswith(b"*"):
        return Pattern(Kind.PREFIX, raw[:-1])
    return Pattern(Kind.EXACT, raw)
