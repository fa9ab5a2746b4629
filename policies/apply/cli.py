"""`podkeys policies plan` and `podkeys policies apply`."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from policies.apply import bundle as bundles
from policies.apply import plan as planning
from policies.apply import run, show, tree
from policies.apply.errors import ApplyError, TokenError
from policies.apply.options import server_options
from policies.apply.protections import lacking
from policies.apply.server import Server, connect
from policies.apply.state import Desired

EXIT_YES = 0
EXIT_NO = 1
EXIT_CHANGES = 2
TOKEN_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")  # the order of OpenBao's own command


def _options(command: Callable[..., int]) -> Callable[..., int]:
    prune = "Delete what is ours on the server and no longer in the tree."
    bundle = "Refuse a tree that isn't the one this bundle was signed for; with --public-key."
    keys = "Whose signature of --require-bundle counts, PEM; may be given several times."
    for option in (
        click.option(
            "--public-key", "public_keys", type=click.Path(path_type=Path), multiple=True, help=keys
        ),
        click.option("--require-bundle", type=click.Path(path_type=Path), help=bundle),
        click.option("--prune", is_flag=True, help=prune),
    ):
        command = option(command)
    return server_options(command)


@click.command()
@_options
def plan(*, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Show what apply would change, without changing anything.

    \b
    Examples:
      podkeys policies plan --cluster eu-nl-prod-a
      podkeys policies plan --cluster eu-nl-prod-a --prune --json

    Exit codes: 0 no changes, 1 refused (a conflict, a permission, a bad tree), 2 changes, 64 usage, 69 no answer
    from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    with _planned(**options) as (server, desired, decided):
        lacks = lacking(server.product, desired)
    if as_json:
        print_json(show.plan_json(decided, lacks))
    else:
        click.echo(show.plan_text(decided, lacks))
    if decided.conflicts:
        return EXIT_NO
    return EXIT_CHANGES if decided.changes else EXIT_YES


@click.command()
@_options
def apply(*, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Write the tree's policies and roles to the server, read each back and compare.

    Policies first, login roles last. A second run changes nothing; after a failure the next one goes on.
    Nothing is deleted without --prune, and never what is not ours.

    \b
    Examples:
      podkeys policies apply --cluster eu-nl-prod-a
      podkeys policies apply --cluster eu-nl-prod-a --token-file /run/apply-token

    Exit codes: 0 done, 1 refused (also in part, by a conflict), 64 usage, 69 no answer from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    with _planned(**options) as (server, desired, decided):
        lacks = lacking(server.product, desired)
        for change in run.execute(decided, server):
            if not as_json:
                click.echo(show.done_line(change))
    if as_json:
        print_json(show.plan_json(decided, lacks))
    else:
        click.echo(show.applied_text(decided, lacks))
    return EXIT_NO if decided.conflicts else EXIT_YES


@contextmanager
def _planned(
    *,
    cluster: str,
    generated: Path,
    prune: bool,
    token_file: Path | None,
    address: str,
    require_bundle: Path | None,
    public_keys: tuple[Path, ...],
) -> Iterator[tuple[Server, Desired, planning.Plan]]:
    """The session, the tree, and the plan; an ApplyError from within is printed and becomes its exit code."""
    try:
        desired = tree.read(generated, cluster, _reviewed(require_bundle, public_keys))
        with connect(desired.cluster, read_token(token_file, os.environ), address) as server:
            current = run.read_current(server, desired, progress("Reading"))
            yield server, desired, planning.decide(desired, current, prune=prune)
    except ApplyError as error:
        click.echo("\n".join(map(show.plain, f"Error: {error}".split("\n"))), err=True)
        raise click.exceptions.Exit(error.exit_code) from error


def _reviewed(bundle: Path | None, public_keys: tuple[Path, ...]) -> Mapping[str, str] | None:
    if (bundle is None) != (not public_keys):
        raise click.UsageError("expected --require-bundle FILE and --public-key FILE together")
    return bundles.verified(bundle, map(bundles.public_key, public_keys)).files if bundle else None


def read_token(file: Path | None, environment: Mapping[str, str]) -> str:
    """The token from the file, else from the environment. Raises TokenError; nothing else is looked at."""
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise TokenError(
                f"--token-file {file}: can't be read: {error.strerror}; expected a file that holds the token alone"
            ) from None
        except UnicodeDecodeError:
            raise TokenError(
                f"--token-file {file}: got no UTF-8 text, expected a file that holds the token alone"
            ) from None
    for variable in TOKEN_VARIABLES:
        if token := environment.get(variable, "").strip():
            return token
    raise TokenError(
        "no token; set BAO_TOKEN or VAULT_TOKEN, or give --token-file FILE (docs/apply.md says which policy it needs)"
    )


def progress(what: str) -> Callable[[Sequence[str]], Iterable[str]]:
    """A bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        return iter
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for terminals alone
    from rich.progress import track  # noqa: PLC0415

    return partial(track, description=what, transient=True, console=Console(stderr=True))


def print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, sort_keys=True))  # ASCII: no sign hides another
