"""`podkeys policies boundaries`: who may claim what."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from policies.errors import ProblemsError
from policies.roles.folder import BOUNDARIES, NO_BOUNDARIES, boundaries_folder, read_boundaries
from policies.roles.texts import spoken
from policies.roles.types import Boundary, SecretsBelow

HEADER = ("NAMESPACE", "CLUSTERS", "OWNERS", "MAY CLAIM", "WHAT", "SAID BY")


folder_option = click.option(
    "--boundaries",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help=f"Folder of the boundary files; a missing one is refused.  [default: {BOUNDARIES}, if it is there]",
)


@click.command(name="boundaries", short_help="Show who may claim which paths and names")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="The boundaries as JSON on standard output.")
def show(boundaries: Path | None, *, as_json: bool) -> int:
    """Show who may claim what: one line for each namespace and claim.

    {namespace} is filled in; {cluster} is where the pod runs.

    \b
    Examples:
      podkeys policies boundaries
      podkeys policies boundaries | grep kv/payments
      podkeys policies boundaries --json

    Exit codes: 0 shown; 1 something is wrong with a file; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    where = boundaries_folder(boundaries)
    try:
        found = _read(where) if where else []
    except ProblemsError as error:
        click.echo(json.dumps(error.as_json(), indent=2) if as_json else str(error), err=not as_json)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"boundaries": [_json(boundary) for boundary in found]}, indent=2))
    elif where:
        click.echo(_table([HEADER, *sorted(row for boundary in found for row in _rows(boundary))]))
    if where is None:
        click.echo(NO_BOUNDARIES, err=True)
    return 0


def _read(folder: Path) -> list[Boundary]:
    drafts, problems = read_boundaries(folder)
    problems += [problem for draft in drafts for problem in draft.fields.problems]
    if problems:
        raise ProblemsError(problems)
    return [draft.boundary for draft in drafts]


def _rows(boundary: Boundary) -> Iterator[tuple[str, ...]]:
    clusters, owners = _listed(boundary.clusters), _listed(boundary.owners)
    for namespace in boundary.namespaces:
        for limit, kind, what in _claims(boundary):
            by = f"{boundary.file}:{boundary.lines[limit]}"
            yield namespace, clusters, owners, kind, what.replace("{namespace}", namespace), by


def _claims(boundary: Boundary) -> Iterator[tuple[str, str, str]]:
    """The limit's path in the file, the kind of claim, and what may be claimed."""
    for index, entry in enumerate(boundary.secrets):
        notes = [note for note in (entry.engine == "kv1" and "kv1", entry.env and "env") if note]
        yield f"secrets[{index}]", "secret", _path(entry) + (f" ({', '.join(notes)})" if notes else "")
    for index, path in enumerate(boundary.databases):
        yield f"databases[{index}]", "database", path
    limits = boundary.certificates
    if limits:
        how = f"at most {spoken(limits.max_ttl)}" + (", pod addresses" if limits.pod_ip else "")
        for service in limits.services or ("any Service",):
            yield "certificates", "certificate", f"{service} ({how})"
    if boundary.identity_ttl:
        yield "identity", "identity", f"at most {spoken(boundary.identity_ttl)}"
    if not (boundary.secrets or boundary.databases or limits or boundary.identity_ttl):
        yield "owners", "nothing", ""


def _path(entry: SecretsBelow) -> str:
    return "/".join(filter(None, (entry.mount, entry.path)))


def _listed(names: Iterable[str] | None) -> str:
    return "all" if names is None else ",".join(names)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def _json(boundary: Boundary) -> dict[str, Any]:
    """As in the file, and with the file's name."""
    limits = boundary.certificates
    return {
        "name": boundary.name,
        "file": boundary.file,
        "namespaces": list(boundary.namespaces),
        "clusters": "all" if boundary.clusters is None else list(boundary.clusters),
        "owners": list(boundary.owners),
        "secrets": [
            {"path": _path(entry), "engine": entry.engine, "env": entry.env} for entry in boundary.secrets
        ],
        "databases": [{"path": path} for path in boundary.databases],
        "certificates": limits
        and {
            "services": "all" if limits.services is None else list(limits.services),
            "maxTTL": spoken(limits.max_ttl),
            "podIP": limits.pod_ip,
        },
        "identity": {"maxTTL": spoken(boundary.identity_ttl)} if boundary.identity_ttl else None,
    }
