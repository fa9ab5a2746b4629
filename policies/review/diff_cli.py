"""`podkeys policies diff`: what a change of policies gives and takes, and a gate for pull requests."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
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
from policies.review.diff_waivers import Gain, Marked, covers, for_gains, gain, marked
from policies.review.errors import ReviewError
from policies.review.lint.report import covered_json
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
    old: Path, new: Path, dialect: str | None, config: Path | None, *, no_new_access: bool, as_json: bool
) -> int:
    """Compare two folders by what their policies allow, over all paths, not by their text.

    For each gain and loss of an auth role, or of a policy that none names, one path that shows it. What is reordered or
    reformatted shows nothing. Other limits (parameters, wrapping, pages, control groups) on what is granted count as a gain, and so does
    a service account that may log in to a role, or another demand on who does.

    \b
    Example:
      git worktree add --detach ../before main
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
    today = datetime.now(UTC).date()
    found = Found(marked(access, waivers, today), marked(logins, waivers, today))
    click.echo(_json(found) if as_json else _text(found))
    if not no_new_access:
        return 2 if access or logins else 0
    if found.open and not as_json:
        told = _told(found, for_gains(waivers), config or DEFAULT_FILE, today)
        click.echo("\n".join(told), err=True)
    return int(bool(found.open))


@dataclass(frozen=True, slots=True)
class Found:
    access: list[Marked[Change]]
    logins: list[Marked[LoginChange]]

    @property
    def gains(self) -> list[tuple[Gain, Waiver | None]]:
        every: list[Marked[Change] | Marked[LoginChange]] = [*self.access, *self.logins]
        return [(one, waiver) for change, waiver in every if (one := gain(change))]

    @property
    def open(self) -> list[Gain]:
        """Those that no waiver covers."""
        return [one for one, waiver in self.gains if not waiver]


def _json(found: Found) -> str:
    document = {
        "access": [show.change_json(change) | covered_json(waiver) for change, waiver in found.access],
        "logins": [asdict(change) | covered_json(waiver) for change, waiver in found.logins],
    }
    return json.dumps(document, indent=2)


def _text(found: Found) -> str:
    text = show.diff_text((change for change, _ in found.access), (change for change, _ in found.logins))
    waived = dict.fromkeys((one, waiver) for one, waiver in found.gains if waiver)
    lines = [plain(f"    {one}, {waiver.words}") for one, waiver in waived]
    return "\n".join([text, *([f"Gains that a waiver covers: {len(lines)}", *lines] if lines else [])])


def _told(found: Found, waivers: Iterable[Waiver], file: Path, today: date) -> Iterator[str]:
    """What is open as a waiver would name it, and each waiver that somebody may have counted on."""
    yield f"Gains that no waiver covers: {len(found.open)}"
    yield from (plain(f"    {one}") for one in found.open)
    used = {waiver for _, waiver in found.gains}
    for waiver in waivers:
        if waiver in used:
            continue
        if today > waiver.until and any(covers(waiver, one) for one in found.open):
            why = f"ended on {waiver.until.isoformat()}"
        elif all(waiver.subject != one.subject for one, _ in found.gains):
            why = f"is for {waiver.subject or 'no subject'}, not for one of these"
        else:
            continue
        yield plain(f"{file}:{waiver.line}: the waiver of {waiver.owner} {why}")
