"""An audit log, in a file or on standard input, read into a replay; on a terminal with a progress bar."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TimeRemainingColumn

from policies.review import auditlog
from policies.review.errors import ReviewError
from policies.review.replay import Replay

_MANY_WRONG = 1000
_GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1


def read_log(audit_log: Path, run: Replay) -> int:
    """How many lines are no entries. Raises ReviewError where none or nearly none is one: all would look unused."""
    wrong = right = 0
    with _opened(audit_log) as file, _progress(audit_log) as advance:
        for line in auditlog.lines(file):
            advance(len(line))
            try:
                entry = auditlog.entry(line)
            except ValueError:
                wrong += 1
                if wrong + right == 1 and line.startswith(_GZIP):
                    raise _packed(audit_log) from None
                if wrong > _MANY_WRONG and wrong > run.found.requests:
                    raise ReviewError(
                        f"{audit_log}: got {wrong} lines that are no entries, expected a JSON object a line"
                    ) from None
                continue
            right += 1
            if entry:
                run.add(entry)
    if not right:
        raise ReviewError(
            f"{audit_log}: got {wrong} lines and no entry of an audit log, expected a JSON object a line"
        )
    return wrong


def _packed(audit_log: Path) -> ReviewError:
    name = "FILE" if str(audit_log) == "-" else shlex.quote(str(audit_log))
    return ReviewError(
        f"{audit_log}: got what gzip packed, expected a JSON object a line; "
        f"unpack it on the way, with - for the log: zcat {name} | podkeys policies replay - …"
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ReviewError(f"{path}: can't be read: {error.strerror}; expected a server's audit log") from None
    with file:
        yield file


@contextmanager
def _progress(path: Path) -> Iterator[Any]:
    """A bar on a terminal; the total isn't known of standard input."""
    console = Console(stderr=True)
    total = path.stat().st_size if str(path) != "-" else None
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task: TaskID = progress.add_task("", total=total)
        yield lambda size: progress.advance(task, size)
