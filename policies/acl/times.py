"""Durations and points in time as the server reads them (go-secure-stdlib/parseutil)."""

import re
from datetime import UTC, datetime, timedelta, timezone

from policies.acl.stanza import Value

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_LONGEST = 2**63 / 1e9  # a duration is 64 bits of nanoseconds
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d?:\d\d:\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)


def seconds(value: Value) -> float | None:
    """Of `90`, `"90"`, `"1m30s"`, `"2d"`; None for what is no duration."""
    found = _text_seconds(value) if isinstance(value, str) else _number_seconds(value)
    return found if found is not None and abs(found) < _LONGEST else None


def _number_seconds(value: Value) -> float | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text_seconds(text: str) -> float | None:
    if not text or text in ("0", "+0", "-0"):
        return 0
    if re.fullmatch(r"[+-]?\d+d?", text, re.ASCII):
        return int(text.rstrip("d")) * (86400 if text.endswith("d") else 1)
    if not re.fullmatch(rf"[+-]?(?:{_PART})+", text, re.ASCII):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
    return -total if text.startswith("-") else total


def moment(text: str) -> datetime | None:
    """Of RFC 3339 or of seconds since 1970; None for anything else."""
    if re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII):
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(text))
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    date, clock, fraction, sign, hours, minutes = found.groups()
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        micro = int((fraction or "0")[:6].ljust(6, "0"))
        return datetime.fromisoformat(f"{date}T{clock:0>8}").replace(
            microsecond=micro, tzinfo=timezone(ahead)
        )
    except ValueError:
        return None
