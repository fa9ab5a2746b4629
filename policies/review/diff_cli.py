"""`podkeys policies diff`: what a change of policies gives and takes, and a gate for pull requests."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import click

from policies.acl.changes import Change
from policies.acl.language import TooManyError
from policies.apply.show import plain
from policies.errors import ProblemsError
from policies.review import show
from policies.review.cli import answer_options, opened
from policies.review.diff import LoginChange, Side, changes, login_changes
from policies.review.errors import ReviewError
from policies.review.lint.settings import NEW_ACCESS, Waiver
from policies.review.lint.settings_file import DEFAULT_FILE, read_settings
from policies.review.options import Unanswered


@click.command(short_help="What a change of policies gives and takes")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--no-new-access",
    is_flag=True,
    help="Exit 1 where anybody gains what no waiver covers: a gate for pull requests.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help=f"Waivers with the id {NEW_ACCESS}, as lint has them. Default: {DEFAULT_FILE}, where it is there.",
)
@answer_options
def diff(
    old: Path, new: Path, dialect: str, config: Path | None, *, no_new_access: bool, as_json: bool
) -> int:
    """Compare two folders by what their policies allow, over all paths, not by their text.

    For each gain and loss of an auth role, or of a policy that none names, one path that shows it. What is reordered or
    reformatted shows nothing. Other limits (parameters, wrapping, pages, control groups) on what is granted count as a gain, and so does
    a service account that may log in to a role, or another demand on who does.

    \b
    Example:
      git worktree add ../before main
      podkeys policies diff ../before/generated generated --no-new-access

    Exit codes: 0 no change; 2 changes; 1 gains that no waiver covers, with --no-new-access; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        waivers = read_settings(config).waivers
        before, after = (Side(*opened(dialect, folder)) for folder in (old, new))
        access = list(changes(before, after))
        logins = list(login_changes(before.inventory, after.inventory))
    except (ReviewError, ProblemsError, TooManyError) as error:
        raise Unanswered(str(error)) from None
    click.echo(_json(access, logins) if as_json else show.diff_text(access, logins))
    if not no_new_access:
        return 2 if access or logins else 0
    waived = [waiver for waiver in waivers if waiver.rule == NEW_ACCESS]
    today = datetime.now(UTC).date()
    gains = _gains(access, logins)
    open_ones = _uncovered(gains, waived, today)
    if open_ones and not as_json:
        idle = [waiver for waiver in waived if len(_uncovered(gains, [waiver], today)) == len(gains)]
        click.echo("\n".join(_told(open_ones, idle, config or DEFAULT_FILE, today)), err=True)
    return int(bool(open_ones))


def _json(access: list[Change], logins: list[LoginChange]) -> str:
    document = {
        "access": [show.change_json(change) for change in access],
        "logins": list(map(asdict, logins)),
    }
    return json.dumps(document, indent=2)


def _gains(access: Iterable[Change], logins: Iterable[LoginChange]) -> list[tuple[str, str]]:
    """Who, and the pattern; none for who may log in."""
    gains = [(change.subject, change.pattern) for change in access if change.gained or change.limits]
    return gains + [
        (change.role, "") for change in logins if change.gained or change.otherwise or change.unknown
    ]


def _uncovered(
    gains: Iterable[tuple[str, str]], waivers: Iterable[Waiver], today: date
) -> list[tuple[str, str]]:
    current = [waiver for waiver in waivers if today <= waiver.until]
    return [gain for gain in gains if not any(_covers(waiver, *gain) for waiver in current)]


def _told(gains: list[tuple[str, str]], waivers: Iterable[Waiver], file: Path, today: date) -> Iterator[str]:
    """What is open as a waiver would name it, and each waiver that somebody may have counted on."""
    yield f"Gains that no waiver covers: {len(gains)}"
    yield from (plain(f"    {subject}: {path or 'who may log in'}") for subject, path in gains)
    for waiver in waivers:
        if today > waiver.until and any(_covers(waiver, *gain) for gain in gains):
            why = f"ended on {waiver.until.isoformat()}"
        elif all(waiver.subject != subject for subject, _ in gains):
            why = f"is for {waiver.subject or 'no subject'}, not for one of these"
        else:
            continue
        yield plain(f"{file}:{waiver.line}: the waiver of {waiver.owner} {why}")


def _covers(waiver: Waiver, subject: str, path: str) -> bool:
    """A waiver of a path covers that pattern alone, and no login."""
    return waiver.subject == subject and waiver.path.removeprefix("/") in ("", path)
