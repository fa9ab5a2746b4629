"""HCL 1 to a tree, accepting and refusing what github.com/hashicorp/hcl v1.0.1-vault-7 (hcl/parser) does."""

from collections.abc import Iterator

from policies.acl.errors import PlaceError
from policies.acl.hcl_tokens import Token, tokens
from policies.acl.quoting import heredoc, unquoted
from policies.acl.tree import DEEPEST, Item, Key, List, Literal, Node, Object

_SHOWN = 40  # characters of a token in a message
_LITERALS = ("string", "number", "float", "bool", "heredoc")


def parse(text: str, *, duplicates: bool) -> Object:
    """The tree; without `duplicates`, an attribute that is assigned twice is refused, as newer servers do.

    Raises PlaceError.
    """
    return _Parser(tokens(text), duplicates=duplicates).whole()


class _Parser:
    """`now` is the token that is looked at."""

    def __init__(self, found: Iterator[Token], *, duplicates: bool) -> None:
        self._tokens = found
        self._duplicates = duplicates
        self._depth = 0
        self.now = next(found)

    def whole(self) -> Object:
        items = self._items(until="end")
        return Object(items, 0)

    def _next(self) -> Token:
        """The token that was looked at; `end` stays."""
        passed = self.now
        if passed.kind != "end":
            self.now = next(self._tokens)
        return passed

    def _items(self, until: str) -> tuple[Item, ...]:
        items: list[Item] = []
        assigned: set[str] = set()
        while self.now.kind != until:
            if self.now.kind == "end":
                break
            item = self._item(assigned)
            if item is None:
                break
            items.append(item)
            if self.now.kind == ",":
                self._next()
        return tuple(items)

    def _item(self, assigned: set[str]) -> Item | None:
        """None where the text ends behind `=`: the server takes that for the end of all."""
        keys = self._keys()
        if self.now.kind == "{":
            return Item(keys, self._object())
        sign = self._next()
        if sign.kind != "=":
            names = " ".join(str(key.text) for key in keys)
            raise PlaceError(sign.offset, f"got {_shown(sign)} behind {names}, expected {{ or =")
        if len(keys) > 1:
            raise PlaceError(sign.offset, "got = behind several names, expected {")
        if not self._duplicates:
            name = str(keys[0].text)
            if name in assigned:
                raise PlaceError(keys[0].offset, f"got {name} twice, expected it once")
            assigned.add(name)
        if self.now.kind == "end":
            return None
        return Item(keys, self._value())

    def _keys(self) -> tuple[Key, ...]:
        keys = []
        while self.now.kind in ("ident", "string"):
            token = self._next()
            text = token.text if token.kind == "ident" else unquoted(token.text, json=False)
            keys.append(Key(text, token.offset))
        if not keys:
            raise PlaceError(self.now.offset, f"got {_shown(self.now)}, expected a name")
        return tuple(keys)

    def _value(self) -> Node:
        token = self.now
        if token.kind in _LITERALS:
            return _literal(self._next())
        if token.kind == "{":
            return self._object()
        if token.kind == "[":
            return self._list()
        raise PlaceError(token.offset, f"got {_shown(token)}, expected a value")

    def _object(self) -> Object:
        opening = self._open()
        items = self._items(until="}")
        self._close("}", opening)
        return Object(items, opening.offset)

    def _list(self) -> List:
        """A nested list needs no comma behind it; that is how the server's parser is."""
        opening = self._open()
        elements: list[Node] = []
        comma = False
        while self.now.kind != "]":
            token = self.now
            if comma and token.kind != ",":
                raise PlaceError(token.offset, f"got {_shown(token)} in a list, expected , or ]")
            if token.kind == ",":
                self._next()
                comma = False
                continue
            comma = token.kind != "["
            elements.append(self._value())
        self._close("]", opening)
        return List(tuple(elements), opening.offset)

    def _open(self) -> Token:
        self._depth += 1
        if self._depth > DEEPEST:
            raise PlaceError(self.now.offset, f"nested deeper than {DEEPEST}, expected a policy")
        return self._next()

    def _close(self, sign: str, opening: Token) -> None:
        closing = self._next()
        if closing.kind != sign:
            raise PlaceError(
                closing.offset, f"got {_shown(closing)}, expected {sign} for the {opening.text} before"
            )
        self._depth -= 1


def _shown(token: Token) -> str:
    if token.kind == "end":
        return "the end"
    return token.text if len(token.text) <= _SHOWN else f"{token.text[:_SHOWN]}…"


def _literal(token: Token) -> Literal:
    if token.kind == "string":
        value = unquoted(token.text, json=False)
        return (
            Literal("broken", token.text, token.offset)
            if value is None
            else Literal("string", value, token.offset)
        )
    if token.kind == "heredoc":
        return Literal("string", heredoc(token.text), token.offset)
    return Literal(token.kind, token.text, token.offset)
