"""A server as the source of the questions."""

import os
from pathlib import Path

import click

from policies.apply.cli import progress, read_token
from policies.apply.errors import ApplyError
from policies.apply.server import anywhere, connect
from policies.apply.show import plain
from policies.review import live
from policies.review.errors import ReviewError
from policies.review.inventory import Inventory


def inventory(
    address: str, *, ca_file: Path | None, server_namespace: str, token_file: Path | None
) -> Inventory:
    """Raises ReviewError for a CA that can't be read; an ApplyError is printed and becomes its exit code."""
    try:
        ca_pem = ca_file.read_text() if ca_file else ""
    except (OSError, UnicodeDecodeError):
        raise ReviewError(f"--ca-file {ca_file}: can't be read, expected certificates in PEM") from None
    try:
        with connect(
            anywhere(address, server_namespace, ca_pem), read_token(token_file, os.environ)
        ) as server:
            return live.read(server, progress("Reading"))
    except ApplyError as error:
        click.echo("\n".join(map(plain, f"Error: {error}".split("\n"))), err=True)
        raise click.exceptions.Exit(error.exit_code) from error
