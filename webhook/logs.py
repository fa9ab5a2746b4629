"""Logs as JSON lines on stderr: one object a line, texts bounded, exceptions by type and place, never by value.

Whatever else of the process writes to stderr becomes such a line too.
"""

import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

LEVELS = ("debug", "info", "warning", "error")
STDERR = 2  # its descriptor
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


class Handler(logging.StreamHandler[TextIO]):
    """A record that can't be written as it is becomes a line that says so: the library would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own
        error = sys.exc_info()[1]
        if error is None or isinstance(error, OSError):  # nobody reads stderr: there is nobody to tell
            return
        fields = {"event": "bug", "level": "error", "logger": record.name, **place(error)}
        self.stream.write(json.dumps(fields) + "\n")


class Stray(io.TextIOBase):
    """stderr for all that is not logged: libraries that print, and the interpreter itself. A line is an event."""

    def __init__(self) -> None:
        self._own = threading.local()

    def write(self, text: str) -> int:
        lines = (getattr(self._own, "begun", "") + text).split("\n")
        self._own.begun = lines.pop()[:MAX_TEXT]
        for line in filter(str.strip, lines):
            event(logging.ERROR, "stderr", {"message": line})
        return len(text)

    def flush(self) -> None:
        """Lines go out as they end."""

    def fileno(self) -> int:
        return STDERR


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (stderr) as JSON lines, from `level` (of LEVELS) up."""
    handler = Handler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def take_over() -> None:
    """From here on nothing but JSON lines reaches stderr, in this process and in those that are forked from it.

    An exception that nobody catches is logged by type and place: the interpreter would print its value, too.
    """
    sys.excepthook = lambda _kind, error, _traceback: _uncaught(error)
    threading.excepthook = lambda args: _uncaught(args.exc_value)
    sys.unraisablehook = lambda args: _uncaught(args.exc_value)
    logging.captureWarnings(capture=True)
    sys.stderr = Stray()


def _uncaught(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit):
        event(logging.ERROR, "bug", place(error))
