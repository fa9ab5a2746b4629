"""Options of every command that reads a generated tree and speaks to its server. Light: `--help` imports no client."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., int])

_CLUSTER = click.option("--cluster", required=True, metavar="NAME", help="The cluster's folder in the tree.")
_SEVERAL = (
    click.option(
        "--cluster",
        "clusters",
        multiple=True,
        metavar="NAME",
        help="The cluster's folder in the tree; may be given several times.",
    ),
    click.option("--all", "every", is_flag=True, help="All clusters of the tree."),
    click.option(
        "--parallel",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        help="How many clusters at once.",
    ),
)
_OPTIONS = (
    click.option(
        "--generated",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("generated"),
        show_default=True,
        help="The tree that `podkeys policies generate` writes.",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Holds the server token; else BAO_TOKEN, else VAULT_TOKEN. ~/.vault-token is not read.",
    ),
    click.option("--address", default="", metavar="URL", help="Another address than cluster.json's."),
    click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output."),
)


def server_options(command: F) -> F:
    """`cluster`, `generated`, `token_file`, `address` and `as_json`."""
    return _with(command, (_CLUSTER, *_OPTIONS))


def servers_options(command: F) -> F:
    """`clusters`, `every` and `parallel` in place of `cluster`; `{cluster}` in `token_file` is for the caller to fill in."""
    return _with(command, (*_SEVERAL, *_OPTIONS))


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
