"""`podkeys policies replay`: a real audit log, decided under the policies of a folder."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from policies.apply.show import plain
from policies.review import options
from policies.review.dialect import decide
from policies.review.errors import ReviewError
from policies.review.folder import read
from policies.review.log_file import read_log
from policies.review.options import Unanswered
from policies.review.origin import Unused, unused, unused_json
from policies.review.replay import Found, Kind, Replay
from policies.review.replay_roles import RoleFiles
from policies.review.subjects import Policies, Reading

_SHOWN = 50  # kinds of requests in each list of the text; --json has all


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
@options.dialect
@options.as_json
def replay(audit_log: Path, against: Path, dialect: str | None, *, as_json: bool) -> int:
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
        chosen = decide(dialect, inventory.product)
        run = Replay(inventory, Policies(inventory, Reading(chosen, now)), dialect=chosen, now=now)
        wrong = read_log(audit_log, run)
    except (ReviewError, OSError) as error:
        raise Unanswered(str(error)) from None
    granted = list(unused(inventory, run.unused(), RoleFiles(against).places))
    if as_json:
        click.echo(json.dumps({"dialect": chosen.name} | _json(run, granted, wrong), indent=2))
    else:
        click.echo(_text(run, granted, wrong))
    return int(bool(run.found.breaks))


def _text(run: Replay, granted: list[Unused], wrong: int) -> str:
    found = run.found
    lines = [f"{found.requests} requests, {plain(found.first) or '-'} to {plain(found.last) or '-'}"]
    lines += _kinds("Would break", "red", found.breaks)
    lines += _kinds("Would be allowed, and were refused", "yellow", found.opens)
    lines += _kinds("Depends on a value that the log hides", "yellow", found.hidden)
    lines += [click.style(f"Granted and not used: {len(granted)}", bold=True)] if granted else []
    lines += [plain(f"  {one.file}:{one.line}: {one.path}{_entry(one)}") for one in granted]
    silent = run.silent()
    lines += (
        [f"Policies whose tokens did nothing: {len(silent)}", *(f"  {plain(name)}" for name in silent)]
        if silent
        else []
    )
    lines += [f"Not looked at: {count} {plain(why)}" for why, count in found.skipped.most_common()]
    lines += [f"Not looked at: {wrong} lines that are no entries"] if wrong else []
    return "\n".join(lines)


def _entry(one: Unused) -> str:
    return f" ({'; '.join(one.places)})" if one.places else ""


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


def _json(run: Replay, granted: list[Unused], wrong: int) -> dict[str, Any]:
    found: Found = run.found
    return {
        "requests": found.requests,
        "first": found.first,
        "last": found.last,
        "breaks": _kinds_json(found.breaks),
        "opens": _kinds_json(found.opens),
        "hidden": _kinds_json(found.hidden),
        "unused": list(map(unused_json, granted)),
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
