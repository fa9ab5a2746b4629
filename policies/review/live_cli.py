"""A server as the source of the questions, and `podkeys policies drift`."""

import json
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from policies.acl.language import TooManyError
from policies.apply.cli import progress
from policies.apply.credentials import FROM_ENVIRONMENT, Target, read_token, target
from policies.apply.errors import ApplyError
from policies.apply.server import anywhere, connect
from policies.apply.show import plain
from policies.review import live, options
from policies.review.dialect import chosen
from policies.review.diff import Side
from policies.review.drift import Drift
from policies.review.drift import drift as drifted
from policies.review.errors import ReviewError
from policies.review.folder import read
from policies.review.inventory import Inventory
from policies.review.options import UNANSWERED, Unanswered, folder_of
from policies.review.subjects import Policies, Reading


def inventory(
    address: str, *, ca_file: Path | None, server_namespace: str, token_file: Path | None
) -> Inventory:
    """Raises ReviewError for a CA that can't be read; an ApplyError is printed and becomes its exit code."""
    try:
        place = target(Target(address, server_namespace, ca_file), os.environ)
        cluster = anywhere(place.address, place.namespace, _pem(place.ca_file))
        with connect(cluster, read_token(token_file, os.environ)) as server:
            found = live.read(server, progress("Reading"))
    except ApplyError as error:
        click.echo("\n".join(map(plain, f"Error: {error}".split("\n"))), err=True)
        raise click.exceptions.Exit(UNANSWERED if error.exit_code == 1 else error.exit_code) from error
    for what in found.identity.unknown:
        click.echo(f"Unknown: {plain(what)}", err=True)
    return replace(found, product=server.product)


def _pem(ca_file: Path | None) -> str:
    try:
        return ca_file.read_text() if ca_file else ""
    except (OSError, UnicodeDecodeError):
        raise ReviewError(f"--ca-file {ca_file}: can't be read, expected certificates in PEM") from None


@click.command(short_help="What a server has that the files don't say, and the other way round")
@click.option(
    "--address",
    required=True,
    metavar="URL",
    help=f"The server; {FROM_ENVIRONMENT} takes BAO_ADDR or VAULT_ADDR.",
)
@folder_of("Folder of policies and auth roles that the server should have, such as generated/eu-nl-prod-a.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="The server's CA, PEM; else the system's.")
@click.option("--server-namespace", default="", help="The server's namespace.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the server token; else BAO_TOKEN, else VAULT_TOKEN.",
)
@options.dialect
@options.as_json
def drift(
    address: str,
    folder: Path,
    ca_file: Path | None,
    server_namespace: str,
    token_file: Path | None,
    *,
    dialect: str | None,
    as_json: bool,
) -> int:
    """Compare the policies and auth roles of a server with those of a folder, both ways.

    Also policies that entities, groups and token roles give, and what nobody owns: policies that nothing names, and names of
    policies that aren't there.

    \b
    Example:
      podkeys policies drift --policies generated/eu-nl-prod-a --address https://vault.example.com:8200

    Exit codes: 0 the same access; 1 not; 64 usage; 69 no answer from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        there = inventory(address, ca_file=ca_file, server_namespace=server_namespace, token_file=token_file)
        reading = Reading(chosen(dialect, there.product), datetime.now(UTC))
        found = list(drifted(*(Side(one, Policies(one, reading)) for one in (there, read(folder)))))
    except (ReviewError, TooManyError) as error:
        raise Unanswered(str(error)) from None
    if as_json:
        rows = [asdict(one) | {"dialect": reading.dialect.name} for one in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        lines = [_line(one) for one in found]
        click.echo("\n".join(lines) or "The server has what the files say.")
    return int(any(one.access for one in found))


def _line(one: Drift) -> str:
    return plain(" ".join(filter(None, ("!" if one.access else "-", one.kind, one.name, one.what))))
