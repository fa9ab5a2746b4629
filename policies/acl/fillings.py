"""What values of templates are worth a look: finitely many, such that any token's policies decide as with one of them.

A value matters by how a path that it is filled into meets another pattern: as the same, as its beginning, as what goes on behind it, or
not at all. So each template is filled with what stands in its place in other patterns, and with a text that stands nowhere.

Where old and new differ, what decides in one of them is another than in the other, so something that was changed is one of the two. So what
didn't change is looked at only beside that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import prod

from policies.acl.holes import Hole, lengths
from policies.acl.language import TooManyError
from policies.acl.paths import Pattern, pattern
from policies.acl.rules import Rules
from policies.acl.stanza import Stanza
from policies.acl.templates import filled, may_be, only, pieces

_MOST = 4000
_MOST_TOGETHER = 8
_WIDE = ("/", "*", "+")


@dataclass(frozen=True, slots=True)
class Template:
    """`path` without a leading slash; `blocked`: what may not be filled in."""

    path: str
    blocked: tuple[str, ...]

    @property
    def selectors(self) -> list[str]:
        return [selector for selector, _ in pieces(self.path)[1]]

    @property
    def wide(self) -> bool:
        """Whether a value may hold more than a part of one segment."""
        return any(text not in self.blocked for text in _WIDE)


@dataclass(frozen=True, slots=True)
class Filling:
    """`values` by selector; `usual`: those that stand nowhere else. Without a value, there is none, and stanzas are dropped."""

    values: Mapping[str, str]
    usual: Mapping[str, str]

    def particular(self, stanzas: Iterable[Stanza]) -> dict[str, str]:
        """Values that these stanzas are filled with and that aren't just any; what is as another template is, as that."""
        selectors = {selector for stanza in stanzas for selector, _ in pieces(stanza.path)[1]}
        return {
            selector: self.written(value)
            for selector, value in self.values.items()
            if selector in selectors and value != self.usual.get(selector)
        }

    def written(self, path: str) -> str:
        """With the template in the place of a value that stands nowhere else."""
        for selector, value in self.usual.items():
            if value == self.values[selector]:
                path = path.replace(value, f"{{{{{selector}}}}}")
        return path


def fillings(old: Rules, new: Rules) -> Iterator[Filling]:
    """The usual values first, then ever more others. Raises TooManyError."""
    sides = templates_of(old), templates_of(new)
    every = sorted({*sides[0], *sides[1]}, key=lambda one: (one.path, one.blocked))
    selectors = dict.fromkeys(selector for one in every for selector in one.selectors)
    texts = (*(one.path for one in every), *(str(rule.pattern) for rules in (old, new) for rule in rules))
    usual = _usual(selectors, "".join(texts))
    yield Filling(usual, usual)
    if every:
        others: dict[str, dict[str, None]] = {}
        comparison = _Comparison(old, new, sides, usual)
        for selector, value in comparison.values():
            if value != usual.get(selector) and may_be(selector, value):
                others.setdefault(selector, {})[value] = None
        together = comparison.together()
        yield from (Filling({**usual, **chosen}, usual) for chosen in _chosen(together, others))


def templates_of(rules: Rules) -> list[Template]:
    found = (Template(stanza.path.removeprefix("/"), blocked) for stanza, blocked in rules.templates)
    return list(dict.fromkeys(found))


def _usual(selectors: Iterable[str], texts: str) -> dict[str, str]:
    """Of those that may have any value one that none begins with, and that stands nowhere in the texts."""
    found: dict[str, str] = {}
    numbers = (f"{number:08}" for number in range(1, 10**8))
    free = (number for number in numbers if number not in texts)
    for selector in selectors:
        number = next(free)
        forms = (f"v{number}v", number, f"{number}-0000-0000-0000-000000000000")
        value = next((one for one in forms if may_be(selector, one)), None)
        if value is not None:
            found[selector] = value
    return found


class _Comparison:
    """`shown`: values for all that can have one, so that each path stands for its kind."""

    def __init__(
        self, old: Rules, new: Rules, sides: tuple[list[Template], list[Template]], usual: Mapping[str, str]
    ) -> None:
        self._sides = sides
        self._usual = frozenset(usual.values())
        self._templates = list(dict.fromkeys((*sides[0], *sides[1])))
        selectors = (selector for one in self._templates for selector in one.selectors)
        self._shown = {**{name: own for name in selectors if (own := only(name)) is not None}, **usual}
        before, after = (
            {rule.pattern: (rule.capabilities, rule.constraints) for rule in rules.given(self._shown)}
            for rules in (old, new)
        )
        self._every = list(dict.fromkeys((*before, *after)))
        looser = self._blocked(sides[0]) ^ self._blocked(sides[1])
        self._differing = {one for one in self._every if before.get(one) != after.get(one)}
        self._differing |= {one for one, _ in looser if one}
        self._changed = [one for one in self._templates if self._pattern(one) in self._differing]

    def _pattern(self, template: Template) -> Pattern | None:
        """None where it never has a value, or the path is one that the server refuses."""
        path = filled(template.path, self._shown.get, ())
        return pattern(path) if path is not None else None

    def _blocked(self, side: Iterable[Template]) -> set[tuple[Pattern | None, tuple[str, ...]]]:
        return {(self._pattern(one), one.blocked) for one in side}

    def values(self) -> Iterator[tuple[str, str]]:
        """By selector."""
        near = self._near() if self._differing else []
        for template in self._templates:
            mine = self._pattern(template)
            if mine in self._differing:
                yield from self._filled_as(template, near, near)
            elif mine in near:
                yield from self._filled_as(template, list(self._differing), near)
        yield from _refused(*self._sides)

    def together(self) -> set[frozenset[str]]:
        """What has to have values at once."""
        changed = {frozenset(one.selectors) for one in self._changed} | {frozenset[str]()}
        return {frozenset(one.selectors) | other for one in self._templates for other in changed}

    def _near(self) -> list[Pattern]:
        """Those that can match a path which something that differs matches; others have no say there."""
        if any(one.wide for one in self._templates):
            return self._every
        return [
            one
            for one in self._every
            if any(_meet(self._segments(one), self._segments(other)) for other in self._differing)
        ]

    def _segments(self, found: Pattern) -> list[str]:
        segments = _written_segments(found)
        return ["+" if any(value in segment for value in self._usual) else segment for segment in segments]

    def _filled_as(
        self, template: Template, patterns: Sequence[Pattern], near: Sequence[Pattern]
    ) -> Iterator[tuple[str, str]]:
        ends = lengths(near)
        head, rest = pieces(template.path)
        for number, (selector, behind) in enumerate(rest):
            tail = behind + "".join(self._shown.get(name, "") + text for name, text in rest[number + 1 :])
            hole = Hole(head, tail, template.blocked, self._usual)
            found = dict.fromkeys(["", *(value for one in patterns for value in hole.values(one, ends))])
            own = only(selector)
            wanted = (*found, *hole.wide(found), *(() if own is None else (own,)))
            yield from ((selector, value) for value in wanted if hole.takes(value))
            head += self._shown.get(selector, "") + behind


def meets(template: Template, found: Pattern) -> bool:
    """Whether both can match one path, whatever the values are; rather once too often."""
    mine = ["+" if "{{" in segment else segment for segment in template.path.removesuffix("*").split("/")]
    if template.wide:
        mine = mine[: mine.index("+") + 1]
    return _meet(mine, _written_segments(found))


def _written_segments(found: Pattern) -> list[str]:
    return found.stem.decode("utf-8", "surrogateescape").split("/")


def _meet(first: list[str], second: list[str]) -> bool:
    *heads, (last, other) = zip(first, second, strict=False)
    return all("+" in pair or pair[0] == pair[1] for pair in heads) and (
        "+" in (last, other) or last.startswith(other) or other.startswith(last)
    )


def _refused(old: Iterable[Template], new: Iterable[Template]) -> Iterator[tuple[str, str]]:
    """By selector, a value with which the server refused whatever a token asked, and does so no more."""
    before, after = _blocking(old), _blocking(new)
    for selector in sorted({selector for selector, _ in before}):
        freed = (text for text in _WIDE if (selector, text) in before - after)
        yield from ((selector, f"x{text}x") for text in islice(freed, 1))


def _blocking(templates: Iterable[Template]) -> set[tuple[str, str]]:
    return {(selector, text) for one in templates for selector in one.selectors for text in one.blocked}


def _chosen(
    together: Iterable[frozenset[str]], others: Mapping[str, Mapping[str, None]]
) -> Iterator[dict[str, str]]:
    """Combinations, those of few first."""
    groups = {tuple(sorted(names & others.keys())) for names in together}
    if (most := max(map(len, groups), default=0)) > _MOST_TOGETHER:
        raise TooManyError(
            f"got two paths with {most} templates, expected at most {_MOST_TOGETHER}; write fewer in one path"
        )
    sets = {
        names for group in groups for size in range(1, len(group) + 1) for names in combinations(group, size)
    }
    count = sum(prod(len(others[name]) for name in names) for names in sets)
    if count > _MOST:
        raise TooManyError(
            f"got {len(others)} templates with {count} combinations of values that matter, expected at most {_MOST}; "
            "divide the policy, or write fewer templates beside names in their place"
        )
    for names in sorted(sets, key=lambda one: (len(one), one)):
        for values in product(*(others[name] for name in names)):
            yield dict(zip(names, values, strict=True))
