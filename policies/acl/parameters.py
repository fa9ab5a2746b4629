"""Whether a request's value of a parameter is one of those that a policy allows, or denies (acl.go, valueInParameterList)."""

from collections.abc import Iterable

from policies.acl.stanza import Value

_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def is_allowed(value: object, values: tuple[Value, ...], *, each_item: bool) -> bool:
    """No values allow any. With `each_item`, none of its items may be another: what has no items passes."""
    if not values or _among(value, values):
        return True
    items = _items(value) if each_item else None
    return items is not None and all(_among(item, values) for item in items)


def is_denied(value: object, values: tuple[Value, ...], *, each_item: bool) -> bool:
    """No values deny any. With `each_item`, one of its items is enough."""
    if not values or _among(value, values):
        return True
    items = _items(value) if each_item else None
    return items is not None and any(_among(item, values) for item in items)


def _items(value: object) -> list[object] | None:
    """Of a list, or of a text with commas, as the server takes each text for one; None for what has no items."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [part.strip(_SPACE) for part in value.split(",")] if value else []
    return None


def _among(value: object, values: Iterable[Value]) -> bool:
    return any(
        _globbed(known, value) if isinstance(known, str) and isinstance(value, str) else _same(known, value)
        for known in values
    )


def _same(known: object, value: object) -> bool:
    """A number in a policy never equals one in a request: the server compares their types, too."""
    if isinstance(known, list) and isinstance(value, list):
        return len(known) == len(value) and all(map(_same, known, value))
    if isinstance(known, dict) and isinstance(value, dict):
        return known.keys() == value.keys() and all(_same(known[key], value[key]) for key in known)
    return type(known) is type(value) and isinstance(known, str | bool) and known == value


def _globbed(pattern: str, text: str) -> bool:
    """A `*` at either end stands for anything."""
    if len(pattern) < 2:  # noqa: PLR2004 - a lone star is itself
        return pattern == text
    starts, ends = pattern.endswith("*"), pattern.startswith("*")
    if starts and ends:
        return pattern[1:-1] in text
    if ends:
        return text.endswith(pattern[1:])
    return text.startswith(pattern[:-1]) if starts else text == pattern
