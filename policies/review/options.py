"""Options that several commands take, in the same words."""

from collections.abc import Callable
from pathlib import Path

import click

from policies.acl.dialects import DIALECTS, NEWEST


def folder_of(text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Parameter `folder`."""
    return click.option(
        "--policies",
        "folder",
        type=click.Path(path_type=Path),
        metavar="DIRECTORY",
        default=Path("generated"),
        show_default=True,
        help=text,
    )


folder = folder_of("Folder of policies (*.hcl, *.json) and auth roles (*.json), generated or not.")
dialect = click.option(
    "--dialect",
    type=click.Choice(sorted(DIALECTS)),
    help=f"Whose rules are followed: a server of that version, or older than the next. Without it, the server's, else {NEWEST.name}.",
)
UNANSWERED = 64  # not 1, which is an answer: no, or something was found


class Unanswered(click.ClickException):
    """The question could not be decided: of a subject that isn't there, of a folder that can't be read, by a token without the right."""

    exit_code = UNANSWERED


as_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output.")
