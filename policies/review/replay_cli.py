"""`podkeys policies replay`: a real audit log, decided under the policies of a folder."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TimeRemainingColumn

from policies.acl.dialects import DIALECTS, NEWEST
from policies.acl.stanza import Stanza
from policies.apply.show import plain
from policies.review import auditlog
from policies.review.errors import ReviewError
from policies.review.inventory import Inventory, read
from policies.review.replay import Found, Kind, Replay
from policies.review.subjects import Policies, Reading

_SHOWN = 50  # kinds of requests in each list of the text; --json has all
_MANY_WRONG = 1000


@click.command(short_help="Decide a server's audit log under other policies")
@click.argument("audit_log", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    default=Path("generated"),
    show_default=True,
    help="Folder of the policies.",
)
@click.option(
    "--dialect",
    type=click.Choice(sorted(DIALECTS)),
    default=NEWEST.name,
    show_default=True,
    help="The server's.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output.")
def replay(audit_log: Path, against: Path, dialect: str, *, as_json: bool) -> int:
    """Read AUDIT_LOG (- is standard input) and say what policies would break, open, and what they grant in vain.

    Lines are JSON, as the server's audit devices write them. A token's policies are found by their names in the folder.
    Values that the log hides as HMACs are not guessed: where they decide, it is said.

    \b
    Examples:
      podkeys policies replay /var/log/openbao/audit.log --against generated
      zcat audit.log.*.gz | podkeys policies replay - --json

    Exit codes: 0 nothing would break; 1 something would; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        inventory = read(against)
        now = datetime.now(UTC)
        chosen = DIALECTS[dialect]
        run = Replay(inventory, Policies(inventory, Reading(chosen, now)), dialect=chosen, now=now)
        wrong = read_log(audit_log, run)
    except (ReviewError, OSError) as error:
        raise click.ClickException(str(error)) from None
    granted = [unused(inventory, stanza) for stanza in run.unused()]
    if as_json:
        click.echo(json.dumps(_json(run, granted, wrong), indent=2))
    else:
        click.echo(_text(run, granted, wrong))
    return int(bool(run.found.breaks))


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


def unused(inventory: Inventory, stanza: Stanza) -> dict[str, Any]:
    """With the role file and its entry, where the policy was generated: the comment above a stanza says it."""
    text = next(file.text for file in inventory.policies.values() if file.file == stanza.policy).decode(
        "utf-8", "replace"
    )
    lines = text.splitlines()
    above = lines[stanza.line - 2] if stanza.line > 1 else ""
    source = next(
        (line.removeprefix("# source: ") for line in lines[:10] if line.startswith("# source: ")), ""
    )
    asked_by = above.removeprefix("# ") if source and above.startswith("# ") else ""
    return {
        "file": stanza.policy,
        "line": stanza.line,
        "path": stanza.path,
        "roleFile": source,
        "entry": asked_by,
    }


def _text(run: Replay, granted: list[dict[str, Any]], wrong: int) -> str:
    found = run.found
    lines = [f"{found.requests} requests, {plain(found.first) or '-'} to {plain(found.last) or '-'}"]
    lines += _kinds("Would break", "red", found.breaks)
    lines += _kinds("Would be allowed, and were refused", "yellow", found.opens)
    lines += _kinds("Depends on a value that the log hides", "yellow", found.hidden)
    own = [one for one in granted if not one["entry"].startswith("the agent:")]
    lines += [click.style(f"Granted and not used: {len(own)}", bold=True)] if own else []
    lines += [plain(f"  {one['file']}:{one['line']}: {one['path']}{_entry(one)}") for one in own]
    silent = run.silent()
    lines += (
        [f"Policies whose tokens did nothing: {len(silent)}", *(f"  {plain(name)}" for name in silent)]
        if silent
        else []
    )
    lines += [f"Not looked at: {count} {plain(why)}" for why, count in found.skipped.most_common()]
    lines += [f"Not looked at: {wrong} lines that are no entries"] if wrong else []
    return "\n".join(lines)


def _entry(one: dict[str, Any]) -> str:
    return f" ({one['roleFile']}: {one['entry']})" if one["entry"] else ""


def _kinds(title: str, colour: str, kinds: Counter[Kind]) -> list[str]:
    if not kinds:
        return []
    lines = [click.style(f"{title}: {kinds.total()}", fg=colour)]
    for kind, count in kinds.most_common(_SHOWN):
        lines.append(
            plain(
                f"  {count} x {kind.operation} {kind.path}: {kind.why.value}; with {', '.join(kind.policies)}"
            )
        )
    more = len(kinds) - _SHOWN
    return [*lines, f"  and {more} more kinds; --json has them"] if more > 0 else lines


def _json(run: Replay, granted: list[dict[str, Any]], wrong: int) -> dict[str, Any]:
    found: Found = run.found
    return {
        "requests": found.requests,
        "first": found.first,
        "last": found.last,
        "breaks": _kinds_json(found.breaks),
        "opens": _kinds_json(found.opens),
        "hidden": _kinds_json(found.hidden),
        "unused": granted,
        "silentPolicies": run.silent(),
        "skipped": dict(found.skipped),
        "wrongLines": wrong,
    }


def _kinds_json(kinds: Counter[Kind]) -> list[dict[str, Any]]:
    return [
        {
            "count": count,
            "operation": kind.operation,
            "path": kind.path,
            "policies": kind.policies,
            "why": kind.why.value,
        }
        for kind, count in kinds.most_common()
    ]
