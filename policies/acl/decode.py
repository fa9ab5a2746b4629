"""Values out of a tree, as the server's decoder takes them (github.com/hashicorp/hcl v1.0.1-vault-7, decoder.go)."""

from collections.abc import Iterable, Sequence

from policies.acl.errors import PlaceError
from policies.acl.stanza import Value
from policies.acl.tree import Item, Key, List, Literal, Node, Object

_INT = 2**63


def label(key: Key) -> str:
    if key.text is None:
        raise PlaceError(key.offset, "got a name with an escape that says nothing")
    return key.text


def attributes(body: Node, known: Iterable[str]) -> list[Item]:
    """The items of a stanza, all of whose names are known."""
    if not isinstance(body, Object):
        raise PlaceError(body.offset, "got a value, expected { }")
    for item in body.items:
        name, *_ = [label(key) for key in item.keys]
        if name not in known:
            raise PlaceError(item.keys[0].offset, f"got {name}, expected one of {', '.join(sorted(known))}")
    return list(body.items)


def named(items: Sequence[Item], name: str) -> tuple[list[Node], list[Item]]:
    """What is assigned to a name, and the blocks of that name that have labels, less the name."""
    found = [item for item in items if item.keys[0].text == name]
    values = [item.value for item in found if len(item.keys) == 1]
    return values, [Item(item.keys[1:], item.value) for item in found if len(item.keys) > 1]


def text(items: Sequence[Item], name: str) -> str:
    """Of an attribute that is one string, the last where it is set twice; empty where it isn't set."""
    values, blocks = named(items, name)
    if blocks:
        raise PlaceError(blocks[0].keys[0].offset, f"got a block for {name}, expected a string")
    return [_string(value, name) for value in values][-1] if values else ""


def number(items: Sequence[Item], name: str) -> int:
    values, blocks = named(items, name)
    if blocks:
        raise PlaceError(blocks[0].keys[0].offset, f"got a block for {name}, expected a number")
    return [_integer(value, name) for value in values][-1] if values else 0


def flag(items: Sequence[Item], name: str) -> bool:
    values, blocks = named(items, name)
    for wrong in (
        *blocks,
        *(value for value in values if not isinstance(value, Literal) or value.kind != "bool"),
    ):
        offset = wrong.keys[0].offset if isinstance(wrong, Item) else wrong.offset
        raise PlaceError(offset, f"got another kind of value for {name}, expected true or false")
    return bool(values) and isinstance(values[-1], Literal) and values[-1].text == "true"


def texts(items: Sequence[Item], name: str) -> tuple[str, ...]:
    """Of a list of strings; where it is set twice, one behind the other."""
    values, blocks = named(items, name)
    if blocks:
        raise PlaceError(blocks[0].keys[0].offset, f"got a block for {name}, expected a list of strings")
    found: list[str] = []
    for value in values:
        if isinstance(value, Object) and not value.items:
            continue
        if not isinstance(value, List):
            raise PlaceError(value.offset, f"got no list for {name}, expected a list of strings")
        found += [_string(element, name) for element in value.elements]
    return tuple(found)


def anything(items: Sequence[Item], name: str) -> Value | None:
    """Of an attribute that may be a string or a number; None where it isn't set.

    Where it is set twice, the second must fit the type of the first.
    """
    values, blocks = named(items, name)
    if blocks:
        return {"": ""}
    found: Value | None = None
    for value in values:
        found = _plain(value, name) if found is None else _fitted(found, value, name)
    return found


def _fitted(before: Value, value: Node, name: str) -> Value:
    if isinstance(before, str):
        return _string(value, name)
    if isinstance(before, int) and not isinstance(before, bool):
        return _integer(value, name)
    if isinstance(before, float):
        return _float(value, name)
    found = _plain(value, name)
    if type(found) is not type(before):
        raise PlaceError(value.offset, f"got another type for {name} than before, expected it once")
    return found


def lists(items: Sequence[Item], name: str) -> dict[str, tuple[Value, ...]] | None:
    """Of a map of lists; where a key is set twice, its lists are joined. None where the map isn't set.

    Names become lower case at the end, as the server compares them so.
    """
    values, blocks = named(items, name)
    if not values and not blocks:
        return None
    inner = list(blocks)
    for value in values:
        if not isinstance(value, Object):
            raise PlaceError(value.offset, f"got no map for {name}, expected {{ name = [values] }}")
        inner += value.items
    found: dict[str, tuple[Value, ...]] = {}
    for item in inner:
        if len(item.keys) > 1:
            raise PlaceError(item.keys[1].offset, f"got a block in {name}, expected name = [values]")
        key = label(item.keys[0])
        found[key] = found.get(key, ()) + _elements(item.value, name)
    return {key.lower(): value for key, value in found.items()}


def _elements(value: Node, name: str) -> tuple[Value, ...]:
    if isinstance(value, List):
        return tuple(_plain(element, name) for element in value.elements)
    if isinstance(value, Object):
        return (_plain(value, name),)
    raise PlaceError(value.offset, f"got {value.text} in {name}, expected a list")


def _plain(value: Node, name: str) -> Value:
    if isinstance(value, List):
        return [_plain(element, name) for element in value.elements]
    if isinstance(value, Object):
        return {label(item.keys[0]): _plain(item.value, name) for item in value.items}
    if value.kind == "string":
        return value.text
    if value.kind == "broken":
        raise PlaceError(value.offset, f"got a string with an escape that says nothing in {name}")
    if value.kind == "bool":
        return value.text == "true"
    return _float(value, name) if value.kind == "float" else _integer(value, name)


def _string(value: Node, name: str) -> str:
    if isinstance(value, Literal) and value.kind in ("string", "number"):
        return value.text
    got = value.text if isinstance(value, Literal) else "a list or a map"
    raise PlaceError(value.offset, f"got {got} for {name}, expected a string")


def _float(value: Node, name: str) -> float:
    if isinstance(value, Literal) and value.kind in ("number", "float"):
        try:
            return float(value.text)
        except ValueError:  # hexadecimal
            pass
    raise PlaceError(value.offset, f"got another kind of value for {name}, expected a decimal number")


def _integer(value: Node, name: str) -> int:
    if isinstance(value, Literal) and value.kind in ("string", "number"):
        found = _go_integer(value.text)
        if found is not None:
            return found
    got = value.text if isinstance(value, Literal) else "a list or a map"
    raise PlaceError(value.offset, f"got {got} for {name}, expected a whole number of 64 bits")


def _go_integer(given: str) -> int | None:
    """As Go's strconv.ParseInt with base 0: 0x, 0o, 0b and a leading 0 for octal, underscores between digits."""
    digits = given.lstrip("+-") if given[:1] in ("+", "-") and given[1:2] not in ("+", "-") else given
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567_":
        digits = f"0o{digits[1:]}"
    try:
        if not digits.isascii() or digits != digits.strip() or digits[:1] in ("+", "-"):
            return None
        found = int(digits, 0) * (-1 if given.startswith("-") else 1)
    except ValueError:
        return None
    return found if -_INT <= found < _INT else None
