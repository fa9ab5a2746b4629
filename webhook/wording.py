"""How refusals quote what they were given: short, on one line, whatever a pod holds. Pure."""

from collections.abc import Iterable

from policies.nearest import nearest

MAX_QUOTED = 60
MAX_LISTED = 12


def clip(text: str, length: int) -> str:
    """At most `length` characters, and what would not show on a terminal, or change it, as an escape."""
    cut = text if len(text) <= length else text[: length - 3] + "..."
    return cut if cut.isprintable() else clip(cut.encode("unicode_escape").decode(), length)


def quote(text: str) -> str:
    """The text in double quotes, cut after 60 characters."""
    return f'"{clip(text, MAX_QUOTED)}"'


def describe(value: object) -> str:
    """A JSON value of the wrong type: what it is, and its text where that is short by nature."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"{str(value).lower()} (not in quotes)"
    if isinstance(value, int | float):
        return f"{value} (a number)"
    if isinstance(value, str):
        return quote(value)
    return "a list" if isinstance(value, list) else "an object"


def listed(names: Iterable[str], *, nothing: str = "none") -> str:
    """Names in order, at most 12 of them: `a, b, c` or `a, b and 40 more`."""
    found = sorted(names)
    if not found:
        return nothing
    shown = ", ".join(clip(name, MAX_QUOTED) for name in found[:MAX_LISTED])
    return shown if len(found) <= MAX_LISTED else f"{shown} and {len(found) - MAX_LISTED} more"


def meant(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean X?`, or nothing when no known name is close."""
    close = nearest(name, known)
    return f"; did you mean {prefix}{clip(close[0], MAX_QUOTED)}?" if close else ""
