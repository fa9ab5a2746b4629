"""Whether the server holds what was written. Pure."""

import re
from collections.abc import Mapping
from typing import Any

ABSENT = "(absent)"

_DURATION_FIELD = re.compile(r"(^|_)(ttl|leeway|duration|period)$")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def differences(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field → (wanted, got), sorted, for each field of `wanted` that `got` does not hold; ABSENT where it is missing.

    Fields that only the server knows are not looked at: it adds its defaults to what it is given. Durations
    are compared in seconds, lists without their order, and nothing is like an empty list.
    """
    return {
        field: (value, got.get(field, ABSENT))
        for field, value in sorted(wanted.items())
        if not _same(field, value, got.get(field))
    }


def _same(field: str, wanted: Any, got: Any) -> bool:  # noqa: ANN401 - any JSON value
    if wanted in _EMPTY and got in _EMPTY:
        return True
    if isinstance(wanted, list) and isinstance(got, list):
        return sorted(map(repr, wanted)) == sorted(map(repr, got))
    if _DURATION_FIELD.search(field):
        wanted, got = _seconds(wanted), _seconds(got)
    return type(wanted) is type(got) and bool(wanted == got)  # True is not 1


def _seconds(value: Any) -> Any:  # noqa: ANN401 - any JSON value; what is no duration stays as it is
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        return int(value) if isinstance(value, str) and value.isdecimal() else value
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
