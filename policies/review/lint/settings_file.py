"""The file of severities and waivers: the option that names it, and reading it."""

from pathlib import Path

import click

from policies.review.errors import ReviewError
from policies.review.lint.settings import Settings, parse

DEFAULT_FILE = Path("podkeys-lint.yaml")

option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Severities and waivers of lint. Default: {DEFAULT_FILE}, where it is there.",
)


def read_settings(file: Path | None) -> Settings:
    """Of the file that was named; else of the default one, if it is there. Raises ReviewError, ProblemsError."""
    path = file or DEFAULT_FILE
    try:
        return parse(str(path), path.read_bytes())
    except FileNotFoundError:
        if file is None:
            return Settings()
        raise ReviewError(f"{path}: no such file, expected severities and waivers") from None
    except OSError as error:
        raise ReviewError(f"{path}: can't be read: {error.strerror}") from None
