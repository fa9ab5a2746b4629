"""Where the questions look: a folder, or a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from policies.apply.credentials import FROM_ENVIRONMENT
from policies.review.errors import ReviewError
from policies.review.folder import has_files, read
from policies.review.inventory import Inventory
from policies.review.options import folder as folder_option


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Parameters `folder`, and those of `opened`."""
    found = (
        folder_option,
        click.option(
            "--address",
            default="",
            metavar="URL",
            help=f"Ask this server instead of a folder; {FROM_ENVIRONMENT} takes BAO_ADDR or VAULT_ADDR.",
        ),
        click.option(
            "--ca-file", type=click.Path(path_type=Path), help="The server's CA, PEM; else the system's."
        ),
        click.option("--server-namespace", default="", help="The server's namespace."),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Holds the server token; else BAO_TOKEN, else VAULT_TOKEN.",
        ),
    )
    for option in reversed(found):
        command = option(command)
    return command


def opened(folder: Path, address: str = "", **server: Any) -> Inventory:  # noqa: ANN401 - click's own
    """Raises ReviewError; an ApplyError is printed and becomes its exit code.

    A folder without any such file is refused: a gate that looks at the wrong one would be green for ever.
    """
    if not address:
        found = read(folder)
        if not has_files(folder):
            raise ReviewError(
                f"{folder}: got no *.hcl and no *.json file, expected policies and auth roles; name their folder with --policies"
            )
        return found
    if click.get_current_context().get_parameter_source("folder") is not ParameterSource.DEFAULT:
        raise ReviewError(
            f"got --policies {folder} and --address {address}, expected one of them: a folder, or a server that is asked in its place"
        )
    from policies.review import live_cli  # noqa: PLC0415 - the client is slow to import

    return live_cli.inventory(address, **server)
