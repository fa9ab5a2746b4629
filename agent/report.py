"""What the agent says: one line an event on standard error, and the last word in the termination log."""

import json
import os
import sys
import time

from agent.errors import AgentError, one_line


def log(level: str, event: str, **fields: object) -> None:
    """`time=… level=… event=… key=value`; values with spaces or quotes are JSON strings. Never a secret."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    pairs = {"time": stamp, "level": level, "event": event, **fields}
    say(" ".join(f"{key}={_logfmt(str(value))}" for key, value in pairs.items() if value is not None))


def say(line: str) -> None:
    os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="replace"))  # one write: lines never interleave


def last_word(error: AgentError, termination_log: str) -> None:
    """The same line on standard error and in the termination log; a log that can't be written is said."""
    say(error.line)
    try:
        leave_message(termination_log, error.line)
    except OSError as problem:
        log("warning", "termination-log", problem=problem.strerror or type(problem).__name__)


def leave_message(termination_log: str, line: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(termination_log, flags, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode(errors="replace"))
    finally:
        os.close(descriptor)


def _logfmt(value: str) -> str:
    text = one_line(value)
    return text if text and not set(text) & set(' "=\\') else json.dumps(text, ensure_ascii=False)
