"""`podkeys policies audit`: one report of a folder of policies, for people to read and for programs."""

from datetime import UTC, datetime
from pathlib import Path

import click

from policies.acl.language import TooManyError
from policies.errors import ProblemsError
from policies.review import options
from policies.review.dialect import decide
from policies.review.errors import ReviewError
from policies.review.lint import settings_file
from policies.review.lint.limits import limits
from policies.review.lint.tree import Reading
from policies.review.report import write
from policies.review.report.collect import Sources, collected
from policies.review.report.document import document
from policies.review.report.facts import Facts
from policies.roles.cli import folder_option


@click.command(short_help="Write a report: who can read what, findings, changes, unused access")
@options.folder
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    required=True,
    help="Folder to write audit.html, audit.md and audit.json to; made if need be.",
)
@click.option(
    "--since",
    "ref",
    metavar="COMMIT",
    help="With what changed since this commit, tag or branch, such as the last reviewed one.",
)
@click.option(
    "--audit-log",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="With what was granted and not used, by this audit log of the server; - is standard input.",
)
@folder_option
@settings_file.option
@click.option(
    "--now",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    metavar="TIME",
    help="Write the report of this time, such as 2030-01-31T12:00:00Z. Default: now.",
)
@options.dialect
def audit(
    folder: Path,
    *,
    out: Path,
    ref: str | None,
    audit_log: Path | None,
    boundaries: Path | None,
    file: Path | None,
    now: datetime | None,
    dialect: str | None,
) -> int:
    """Write one report of a folder: inventory, who can read what, findings and waivers, changes, unused access.

    audit.html is one file that loads nothing, and works without scripts; audit.md and audit.json say the same. The same files
    and the same --now give the same bytes.

    \b
    Examples:
      podkeys policies audit --out report
      podkeys policies audit --out report --since reviewed --audit-log /var/log/openbao/audit.log

    Exit codes: 0 written; 1 something can't be read or written; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    time = now.replace(tzinfo=UTC) if now else datetime.now(UTC).replace(microsecond=0)
    try:
        settings = settings_file.read_settings(file)
    except (ReviewError, ProblemsError) as error:
        raise options.Unanswered(str(error)) from None
    try:
        sources = Sources(folder, settings, limits(boundaries), ref, audit_log)
        facts = collected(sources, Reading(decide(dialect, None), time))
        written = _write(out, facts)
    except (ReviewError, ProblemsError, TooManyError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        if not error.filename:
            raise
        raise click.ClickException(f"{error.filename}: can't be read: {error.strerror}") from None
    click.echo(f"Wrote {', '.join(map(str, written))}.")
    return 0


def _write(out: Path, facts: Facts) -> list[Path]:
    """Raises ReviewError."""
    texts = {"html": write.html(facts), "md": write.markdown(facts), "json": document(facts)}
    written: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for ending, text in texts.items():
            written.append(out / f"audit.{ending}")
            written[-1].write_text(text, encoding="utf-8")
    except OSError as error:  # a full disk names no file
        where = error.filename or written[-1]
        raise ReviewError(
            f"{where}: can't be written: {error.strerror}; name another folder with --out"
        ) from None
    return written
