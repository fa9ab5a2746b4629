"""Policies as JSON, read as loosely as github.com/hashicorp/hcl v1.0.1-vault-7 (json/parser) reads them."""

import re
from typing import NamedTuple

from policies.acl.errors import PlaceError
from policies.acl.quoting import unquoted
from policies.acl.tree import DEEPEST, Item, Key, List, Literal, Node, Object

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
    (?P<string>"(?:[^"\\\n\0]|\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*")
    |(?P<float>-?(?:[0-9]+(?:\.[0-9]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<number>-?[0-9]+)
    |(?P<word>[^\W\d][\w\-]*)
    |(?P<sign>[\[\]{},:.])
    |(?P<end>\Z|\0)
    )
    """,
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int


def parse(text: str) -> Object:
    """The first object of the text; what follows it is ignored, as the server ignores it.

    Raises PlaceError.
    """
    return _flat(_Parser(text).whole())


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.now = _Token("end", "", 0)

    def whole(self) -> Object:
        if self._next().text != "{":
            raise self._unexpected("{")
        return self._object()

    def _next(self) -> _Token:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            at = len(self._text) - len(self._text[self._at :].lstrip(" \t\n\r"))
            self.now = _Token("none", "", at)
            got = self._text[at]
            wrong = (
                "a string that isn't closed or has an escape that says nothing" if got == '"' else repr(got)
            )
            raise PlaceError(at, f"got {wrong}, expected JSON")
        kind = str(found.lastgroup)
        self._at = found.end()
        self.now = _Token(kind, found[kind], found.start(kind))
        self._check()
        return self.now

    def _check(self) -> None:
        kind, text, offset = self.now
        if kind == "word" and text not in ("true", "false", "null"):
            raise PlaceError(offset, f"got {text}, expected true, false, null or a string in quotes")
        if kind == "number" and re.match(r"-?0[0-9]", text):
            raise PlaceError(offset, f"got {text}, expected a number that doesn't start with 0")

    def _unexpected(self, expected: str) -> PlaceError:
        got = "the end" if self.now.kind == "end" else self.now.text
        return PlaceError(self.now.offset, f"got {got}, expected {expected}")

    def _object(self) -> Object:
        """Behind an item, anything but a comma ends the object, and what breaks off at its end is left out."""
        opening = self._open()
        depth = self._depth
        items: list[Item] = []
        while self._next().kind != "end" and self.now.text != "}":
            try:
                item = self._item()
            except PlaceError:
                if self.now.text != "}":
                    raise
                break
            if item is None:
                break
            items.append(item)
            if self._next().text != ",":
                break
        self._depth = depth - 1
        return Object(tuple(items), opening)

    def _item(self) -> Item | None:
        """None where the text ends behind the colon."""
        keys = []
        while self.now.kind == "string":
            keys.append(Key(unquoted(self.now.text, json=True), self.now.offset))
            self._next()
        if self.now.kind == "end":
            return None
        if self.now.text != ":" or not keys:
            raise self._unexpected(": or a string in quotes" if keys else "a string in quotes")
        if self._next().kind == "end":
            return None
        return Item(tuple(keys), self._value())

    def _value(self) -> Node:
        token = self.now
        if token.text == "{":
            return self._object()
        if token.text == "[":
            return self._list()
        if token.kind not in ("string", "number", "float", "word"):
            raise self._unexpected("a value")
        return self._literal()

    def _literal(self) -> Literal:
        kind, text, offset = self.now
        if kind == "string":
            value = unquoted(text, json=True)
            return Literal("broken", text, offset) if value is None else Literal("string", value, offset)
        if text == "null":
            return Literal("string", "", offset)
        return Literal("bool" if kind == "word" else kind, text, offset)

    def _list(self) -> List:
        """Booleans and the opening of a nested list are passed over, so that a nested list's end is this one's."""
        opening = self._open()
        elements: list[Node] = []
        while self._next().text != "]":
            kind, text, _ = self.now
            if text in (",", "[", "true", "false") and kind != "string":
                continue
            if text == "{":
                elements.append(self._object())
            elif kind in ("string", "number", "float"):
                elements.append(self._literal())
            else:
                raise self._unexpected("a string, a number, an object or ]")
        self._depth -= 1
        return List(tuple(elements), opening)

    def _open(self) -> int:
        self._depth += 1
        if self._depth > DEEPEST:
            raise PlaceError(self.now.offset, f"nested deeper than {DEEPEST}, expected a policy")
        return self.now.offset


def _flat(node: Object) -> Object:
    """`{"path": {"a": {…}}}` as `path "a" {…}`: an object of objects lends its keys to the one around it (json/flatten)."""
    items: list[Item] = []
    for item in node.items:
        items += _flat_item(item)
    return Object(tuple(Item(item.keys, _inside(item.value)) for item in items), node.offset)


def _flat_item(item: Item) -> list[Item]:
    value = item.value
    if (
        isinstance(value, Object)
        and value.items
        and all(isinstance(sub.value, Object) for sub in value.items)
    ):
        inner = [Item((*item.keys, *sub.keys), sub.value) for sub in value.items]
    elif isinstance(value, List) and value.elements and all(isinstance(e, Object) for e in value.elements):
        inner = [Item(item.keys, element) for element in value.elements]
    else:
        return [item]
    return [found for one in inner for found in _flat_item(one)]


def _inside(value: Node) -> Node:
    if isinstance(value, Object):
        return _flat(value)
    if isinstance(value, List):
        return List(tuple(_inside(element) for element in value.elements), value.offset)
    return value
