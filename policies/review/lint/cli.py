"""`podkeys policies lint`: what a security reviewer must be told about a folder of policies and auth roles."""

import json
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from policies.apply.credentials import Target, target
from policies.errors import ProblemsError
from policies.review import options, source
from policies.review.dialect import chosen as chosen_dialect
from policies.review.errors import ReviewError
from policies.review.lint import report, run, sarif, settings, settings_file
from policies.review.lint.limits import limits
from policies.review.lint.tree import Reading, Tree, tree
from policies.roles.cli import folder_option
from policies.roles.folder import NO_BOUNDARIES
from policies.roles.inside import OPEN


@click.command(short_help="What a security reviewer must be told")
@source.options
@folder_option
@settings_file.option
@click.option(
    "--severity",
    "severities",
    multiple=True,
    metavar="ID=SEVERITY",
    help="Another severity, or off; repeatable.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["critical", "high", "medium", "low"]),
    help="Exit 1 from this severity on. Default: medium.",
)
@options.dialect
@options.as_json
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    help="sarif for code hosts. Default: text.",
)
def lint(
    folder: Path,
    *,
    boundaries: Path | None,
    file: Path | None,
    severities: tuple[str, ...],
    fail_on: str | None,
    dialect: str | None,
    as_json: bool,
    form: str | None,
    **server: Any,  # noqa: ANN401 - click's own
) -> int:
    """List what policies and auth roles let happen that nobody would want, each with its place and what to do.

    docs/lint has a page for each rule.

    \b
    Examples:
      podkeys policies lint
      podkeys policies lint --policies exported --fail-on high --severity PK115=off
      podkeys policies lint --address https://vault.example.com:8200 --severity PK214=off
      podkeys policies lint --format sarif > lint.sarif

    Exit codes: 0 nothing from --fail-on on; 1 findings; 64 usage, or what can't be read; 69 no answer from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"got --json and --format {form}, expected one of them")
    now = datetime.now(UTC)
    try:
        chosen = _overridden(settings_file.read_settings(file), severities, fail_on)
        looked = _looked(boundaries, dialect, now, folder, **server)
    except (ReviewError, ProblemsError) as error:
        raise options.Unanswered(str(error)) from None
    found = run.lint(looked, chosen, now.date())
    address = target(Target(server["address"], "", None), os.environ).address
    where = address or folder.as_posix()
    shown = _shown(looked, found, where, file or settings_file.DEFAULT_FILE, "json" if as_json else form)
    click.echo(shown)
    return int(found.fails(chosen.fail_on))


def _overridden(
    written: settings.Settings, severities: tuple[str, ...], fail_on: str | None
) -> settings.Settings:
    try:
        return settings.overridden(written, severities, fail_on or "")
    except ReviewError as error:
        raise click.UsageError(str(error)) from None


def _looked(
    boundaries: Path | None,
    dialect: str | None,
    now: datetime,
    folder: Path,
    **server: Any,  # noqa: ANN401 - click's own
) -> Tree:
    """Raises ReviewError, ProblemsError. On standard error it is said where nothing bounds a generated policy."""
    bounds = limits(boundaries)
    inventory = source.opened(folder, **server)
    found = tree(inventory, Reading(chosen_dialect(dialect, inventory.product), now), bounds)
    if bounds is OPEN and any(policy.generated for policy in found.policies.values()):
        click.echo(NO_BOUNDARIES, err=True)
    return found


def _shown(looked: Tree, found: run.Report, where: str, file: Path, form: str | None) -> str:
    if form == "sarif":
        return json.dumps(sarif.document(found, where, version("podkeys")), indent=2)
    if form == "json":
        return json.dumps({"dialect": looked.reading.dialect.name} | report.as_json(found), indent=2)
    return report.text(found, where, str(file))
