"""What a policy's text is made of, the same for HCL and JSON. Offsets are characters from its start."""

from typing import NamedTuple, TypeAlias


class Literal(NamedTuple):
    """`kind` is string, number, float, bool or, for a string whose escapes say nothing, broken: an error where it is needed.

    `text` is the value of a string, else the literal as written.
    """

    kind: str
    text: str
    offset: int


class Key(NamedTuple):
    """`text` is None where the name's escapes say nothing: an error where the name is needed."""

    text: str | None
    offset: int


class Item(NamedTuple):
    """`path "a" { … }` has two keys; `name = "x"` has one."""

    keys: tuple[Key, ...]
    value: "Node"


class Object(NamedTuple):
    items: tuple[Item, ...]
    offset: int


class List(NamedTuple):
    elements: tuple["Node", ...]
    offset: int


Node: TypeAlias = Literal | Object | List

# Deeper nesting than any policy has; the server's own parsers recurse without end.
DEEPEST = 200
