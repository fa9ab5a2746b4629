"""Representatives of all paths: finitely many, such that any path is decided as one of them is.

Each pattern is a small deterministic automaton over bytes. Their product is walked with the bytes that some pattern waits for and
one that none does; two paths that lead to one state are matched by the same patterns, whatever follows.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policies.acl.paths import Kind, Pattern

SLASH = ord("/")
_PLUS = 256
_MOST = 4_000_000  # steps of patterns; some seconds
# What stands for bytes that no pattern waits for: readable in a message, and enough that one is always left.
_OTHERS = (*b"xyzwvuqjk0123456789", *range(1, SLASH), *range(SLASH + 1, 256))
State = frozenset[tuple[int, int]]


class TooManyError(Exception):
    """The patterns divide paths into more classes than can be looked at."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """`steps`: bytes, or `_PLUS` for a segment of anything; behind the last, `glob` takes whatever comes."""

    steps: tuple[int, ...]
    glob: bool

    @staticmethod
    def of(pattern: Pattern) -> "Automaton":
        if pattern.kind is not Kind.SEGMENT:
            return Automaton(tuple(pattern.text), pattern.globbed)
        steps: list[int] = []
        for number, segment in enumerate(pattern.stem.split(b"/")):
            steps += [SLASH] * (number > 0)
            steps += [_PLUS] if segment == b"+" else segment
        return Automaton(tuple(steps), pattern.globbed)

    def accepts(self, at: int) -> bool:
        return at == len(self.steps) or (at == len(self.steps) - 1 and self.steps[at] == _PLUS)

    def after(self, at: int, byte: int) -> int:
        """The place behind a byte; -1 where the path can't match any more."""
        if at == len(self.steps):
            return at if self.glob else -1
        step = self.steps[at]
        if step == _PLUS and byte != SLASH:
            return at
        if step == _PLUS:
            return at + 2 if at + 1 < len(self.steps) else -1
        return at + 1 if step == byte else -1

    def awaited(self, at: int) -> int:
        """The byte that leads on; the slash where anything does or nothing."""
        return self.steps[at] if at < len(self.steps) and self.steps[at] != _PLUS else SLASH


def representatives(patterns: Iterable[Pattern]) -> Iterator[bytes]:
    """One path of each class, among the shortest, without a leading slash, as the server strips it.

    LIST is decided by a path with its last slash and by the same path without, so a class is what both are matched by.

    Raises TooManyError.
    """
    known = dict.fromkeys(patterns)
    told: set[tuple[object, object]] = set()
    for path, bare, slashed in _exact(known) if all(map(_is_exact, known)) else _wild(known):
        if not path.endswith(b"/") and (bare, None) not in told:
            told.add((bare, None))
            yield path
        if (bare, slashed) not in told:
            told.add((bare, slashed))
            yield path + b"/"


def _is_exact(pattern: Pattern) -> bool:
    return pattern.kind is Kind.EXACT


def _exact(patterns: Iterable[Pattern]) -> Iterator[tuple[bytes, frozenset[bytes], frozenset[bytes]]]:
    """As `_wild`, without a walk: nothing is matched but what is written, so those paths and another are enough."""
    texts = frozenset(pattern.text for pattern in patterns)
    asked = {text for text in texts if text and not text.startswith(b"/")}
    asked |= {text.removesuffix(b"/") for text in asked}
    other = b"x"
    while other in asked:
        other += b"x"
    for path in sorted({*asked, other}, key=lambda one: (len(one), one)):
        yield path, texts & {path}, texts & {path + b"/"}


def _wild(patterns: Iterable[Pattern]) -> Iterator[tuple[bytes, State, State]]:
    """Paths, which patterns match each, and which the same with a slash more."""
    automata = _automata(patterns)
    for path, here, behind in _walked(automata):
        yield path, _matching(automata, here), _matching(automata, behind)


def states(patterns: Iterable[Pattern]) -> Iterator[bytes]:
    """As representatives, and one path of whatever a class begins with: most classes several times.

    For who asks about other patterns besides these: one of them may decide about one path of a class and not about another.
    """
    for path, _, _ in _walked(_automata(patterns)):
        if not path.endswith(b"/"):
            yield path
        yield path + b"/"


def _automata(patterns: Iterable[Pattern]) -> list[Automaton]:
    return [Automaton.of(pattern) for pattern in dict.fromkeys(patterns)]


def _walked(automata: list[Automaton]) -> Iterator[tuple[bytes, State, State]]:
    """A path to each state, the shortest first; the state, and the one behind a slash more."""
    seen: set[tuple[State, bool]] = set()
    steps = 0
    waiting: deque[tuple[State, bytes]] = deque()
    waiting.append((frozenset((number, 0) for number in range(len(automata))), b""))
    while waiting:
        state, path = waiting.popleft()
        after = {byte: _step(automata, state, byte) for byte in _bytes(automata, state, first=not path)}
        if path:
            yield path, state, after[SLASH]
        for byte, found in after.items():
            if (found, byte == SLASH) not in seen:
                seen.add((found, byte == SLASH))
                waiting.append((found, path + bytes([byte])))
        steps += len(state) * len(after)
        if steps > _MOST:
            raise TooManyError(
                f"got {len(automata)} patterns that divide paths too finely, expected fewer with +"
            )


def _matching(automata: list[Automaton], state: State) -> State:
    """The patterns that match a path that ends here."""
    return frozenset([(number, 0) for number, at in state if automata[number].accepts(at)])


def _bytes(automata: list[Automaton], state: State, *, first: bool) -> list[int]:
    """Those that lead to different states; a path never begins with a slash, as the server strips it."""
    awaited = {automata[number].awaited(at) for number, at in state} | {SLASH}
    other = next(byte for byte in _OTHERS if byte not in awaited)
    return [*sorted(awaited - ({SLASH} if first else set())), other]


def _step(automata: list[Automaton], state: State, byte: int) -> State:
    moved = [(number, automata[number].after(at, byte)) for number, at in state]
    return frozenset([one for one in moved if one[1] >= 0])
