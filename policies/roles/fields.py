"""Reads the fields of one document and collects all that is wrong with them. A wrong field yields a blank value."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from policies.errors import Problem
from policies.nearest import nearest
from policies.roles.document import shown
from policies.roles.texts import Check, duration

Word = TypeVar("Word", bound=str)

MAX_ITEMS = 200  # a role that needs more is several roles; places times entries stay few
MAX_UNKNOWN = 20  # keys of one mapping that are named; a file has room for a hundred thousand


class Fields:
    """The document's problems, and where each of its fields stands by its path such as `spec.runsAs[0].cluster`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._places: dict[str, Node] = {}
        self._wrong: set[str] = set()

    def report(self, at: str, message: str) -> None:
        """A problem at the field `at`, or at the nearest one around it; only the first about one field is kept."""
        self._wrong.add(at)
        self.problems.append(replace(self.place(at), message=f"{at}: {message}" if at else message))

    def place(self, at: str) -> Problem:
        """Where a field stands, or the nearest one around it, for a problem that shows only beside other files."""
        place = at
        while place not in self._places and place:
            place = _around(place)
        mark = self._places[place].start_mark
        return Problem(self.file, mark.line + 1, mark.column + 1, at)

    def is_wrong(self, at: str) -> bool:
        """Whether the field, one around it, or one in it has been reported."""
        if at in self._wrong or any(wrong.startswith((f"{at}.", f"{at}[")) for wrong in self._wrong):
            return True
        while at:
            at = _around(at)
            if at in self._wrong:
                return True
        return False

    def mapping(
        self, node: Node, at: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> dict[str, Node]:
        """The fields of a mapping by name; unknown, repeated and missing ones are reported."""
        self._places[at] = node
        if not isinstance(node, MappingNode):
            self.report(at, f"got {shown(node)}, expected a mapping with {', '.join(required or optional)}")
            return {}
        known = required + optional
        found: dict[str, Node] = {}
        unknown = 0
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else ""
            if name not in known:
                unknown += 1
                if unknown > MAX_UNKNOWN:
                    continue
                self._report_key(key, at, f"unknown key: got {shown(key)}, expected {_expected(name, known)}")
            elif name in found:
                self._report_key(key, at, f"duplicate key: got {name} again, expected it once; remove one")
            else:
                found[name] = self._places[_join(at, name)] = value
        if unknown > MAX_UNKNOWN:
            self.report(at, f"got {unknown} unknown keys, expected none; the first {MAX_UNKNOWN} are named")
        missing = [name for name in required if name not in found]
        if missing:
            self.report(at, f"got no {' and no '.join(missing)}, expected {', '.join(required)}")
            self._wrong.discard(at)
            self._wrong.update(_join(at, name) for name in missing)
        return found

    def items(self, node: Node | None, at: str, *, needed: bool = False) -> Iterator[tuple[str, Node]]:
        """The items of a list with their paths."""
        if node is None:
            return
        if not isinstance(node, SequenceNode):
            self.report(at, f"got {shown(node)}, expected a list{_listed(node)}")
        elif needed and not node.value:
            self.report(at, "got an empty list, expected at least one item")
        elif len(node.value) > MAX_ITEMS:
            self.report(at, f"got {len(node.value)} items, expected at most {MAX_ITEMS}")
        else:
            for index, item in enumerate(node.value):
                place = f"{at}[{index}]"
                self._places[place] = item
                yield place, item

    def text(self, node: Node | None, at: str, check: Check, default: str = "") -> str:
        """A text that passes `check`. YAML's numbers, booleans and dates are none: 1.30 would read as 1.3."""
        if node is None:
            return default
        if not isinstance(node, ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            self.report(at, f"got {shown(node)}, expected {_as_text(node, check)}")
            return ""
        expected = check(node.value)
        if expected is None:
            return str(node.value)
        self.report(at, f"got {shown(node)}, expected {expected}")
        return ""

    def texts(self, node: Node | None, at: str, check: Check, *, needed: bool = True) -> tuple[str, ...]:
        """A list of texts, none of them twice."""
        found: list[str] = []
        for place, item in self.items(node, at, needed=needed):
            text = self.text(item, place, check)
            if text and text in found:
                self.report(place, f"got {text!r} again, expected it once; remove one")
            found.append(text)
        return tuple(found)

    def word(self, node: Node | None, at: str, words: tuple[Word, ...], default: Word) -> Word:
        """One of a few words."""
        found = self.text(node, at, lambda text: None if text in words else _expected(text, words), default)
        return cast("Word", found or default)

    def words(self, node: Node | None, at: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        found = self.texts(node, at, lambda text: None if text in words else _expected(text, words))
        return tuple(word for word in words if word in found)

    def flag(self, node: Node | None, at: str) -> bool:
        """`true` or `false`, and none of YAML's other spellings: yes and on are told apart by no other reader."""
        if node is None:
            return False
        if (
            isinstance(node, ScalarNode)
            and node.tag == "tag:yaml.org,2002:bool"
            and node.value in {"true", "false"}
        ):
            return bool(node.value == "true")
        self.report(at, f"got {shown(node)}, expected true or false")
        return False

    def seconds(self, node: Node | None, at: str, check: Check, default: int = 0) -> int:
        """A duration; 0 where it is wrong."""
        text = self.text(node, at, check)
        return default if node is None else duration(text) or 0

    def _report_key(self, key: Node, at: str, message: str) -> None:
        mark = key.start_mark
        self.problems.append(
            Problem(self.file, mark.line + 1, mark.column + 1, f"{at}: {message}" if at else message)
        )


def unique(fields: Fields, named: Mapping[str, str], what: str) -> None:
    """Report each name that stands a second time. `named`: path of the name → the name."""
    first: dict[str, str] = {}
    for at, name in named.items():
        if name and first.setdefault(name, at) != at:
            fields.report(
                at, f"got {name!r} again, expected {what}: it is {_around(first[name])}'s name; rename one"
            )


def header(fields: Fields, top: dict[str, Node], kind: str) -> None:
    """The keys apiVersion and kind, which tell a reader of any file what it is."""
    fields.text(top.get("apiVersion"), "apiVersion", _exactly("podkeys.dev/v1"))
    fields.text(top.get("kind"), "kind", _exactly(kind))


def _listed(node: Node) -> str:
    """One text where a list belongs is the commonest slip: say how it is written."""
    is_plain = isinstance(node, ScalarNode) and re.fullmatch(r"[A-Za-z0-9./-]{1,60}", node.value)
    return f", such as [{node.value}]" if is_plain else ""


def _as_text(node: Node, check: Check) -> str:
    """What a text should be where YAML sees a number, a boolean or no scalar at all."""
    if not isinstance(node, ScalarNode):
        return "a text"
    return check(node.value) or "a text; put it in quotes"


def _exactly(wanted: str) -> Callable[[str], str | None]:
    return lambda text: None if text == wanted else wanted


def _expected(name: str, known: tuple[str, ...]) -> str:
    near = nearest(name, known) or [word for word in known if name and word.startswith(name)]
    expected = f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    return f"{expected}; did you mean {near[0]}?" if near else expected


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _around(at: str) -> str:
    """`a.b[0]` → `a.b` → `a` → ``."""
    return at[: max(at.rfind("."), at.rfind("["), 0)]
