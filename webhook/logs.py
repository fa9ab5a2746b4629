"""Logs as JSON lines on stderr: one object a line, texts bounded, exceptions by type and place, never by value."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

LEVELS = ("debug", "info", "warning", "error")
MAX_TEXT = 500  # characters of one field: what a caller sends must not fill a disk

logger = logging.getLogger("podkeys")


def event(level: int, message: str, fields: Mapping[str, Any]) -> None:
    """One line: what happened, and named values. Numbers and booleans stay what they are."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", message, extra={"fields": fields})


def place(error: BaseException) -> dict[str, str]:
    """An exception as fields: its type and where it was raised. Its text may hold what a caller sent."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "at": at}


class JsonLines(logging.Formatter):
    """Ours and gunicorn's records alike. JSON escapes line breaks, so a caller cannot forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage() if record.name == logger.name else record.name,
        }
        if record.name != logger.name:
            line["message"] = record.getMessage()
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            line |= place(record.exc_info[1])
        return json.dumps({name: _bounded(value) for name, value in line.items()})


def _bounded(value: Any) -> bool | float | str:  # noqa: ANN401 - whatever a library passes to its logger
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (stderr) as JSON lines, from `level` (of LEVELS) up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
