"""`podkeys policies`: start a role file, generate what the server needs, plan and apply it."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from policies.errors import ProblemsError, TreeError
from policies.generate import run, tree
from policies.roles import cli as roles_cli
from policies.roles import start
from policies.roles.folder import NO_BOUNDARIES, boundaries_folder
from policies.roles.texts import few

LAZY = {
    "plan": ("policies.apply.cli", "Show what apply would change on the server"),
    "apply": ("policies.apply.cli", "Make the server as the generated tree says"),
    "bundle": ("policies.apply.bundle_cli", "Sign the generated tree as it was reviewed"),
    "verify": ("policies.apply.bundle_cli", "Check that a tree is the one that was reviewed"),
    "can": ("policies.review.cli", "Whether a role, policy or service account can do something"),
    "explain": ("policies.review.cli", "Why something is allowed or refused, and what would change it"),
    "who-can": ("policies.review.cli", "Who can do something"),
    "reach": ("policies.review.cli", "Everything that somebody can do"),
    "test": ("policies.review.cli", "Unit tests for policies"),
    "drift": (
        "policies.review.live_cli",
        "What a server has that the files don't say, and the other way round",
    ),
    "replay": ("policies.review.replay_cli", "Decide a server's audit log under other policies"),
    "audit": (
        "policies.review.report.cli",
        "Write a report: who can read what, findings, changes, unused access",
    ),
    "diff": ("policies.review.diff_cli", "What a change of policies gives and takes"),
    "lint": ("policies.review.lint.cli", "What a security reviewer must be told"),
}


SHOWN_FROM = 500  # role files; fewer are done at once


class Commands(click.Group):
    """Modules that take long to import are imported only when their commands are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LAZY])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LAZY:
            module = importlib.import_module(LAZY[cmd_name][0])
            command: click.Command = getattr(module, cmd_name.replace("-", "_"))
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        own = {name: command.get_short_help_str(100).rstrip(".") for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted((own | {name: text for name, (_, text) in LAZY.items()}).items()))


@click.group(cls=Commands, name="policies")
def group() -> None:
    """Role files to Vault policies.

    \b
    Examples, in the order of a new service:
      podkeys policies new payments --cluster eu-nl-prod-a -o roles/payments.yaml
      podkeys policies generate
      podkeys policies plan --cluster eu-nl-prod-a
      podkeys policies apply --cluster eu-nl-prod-a
    """  # noqa: D301 - \b is click's mark for lines as they stand


group.add_command(roles_cli.show)


def _folder(flag: str, text: str, default: str = "") -> Callable[[Callable[..., int]], Callable[..., int]]:
    """An option for a folder; without `default`, its own name is the default."""
    where = Path(default or flag.removeprefix("--"))
    return click.option(
        flag,
        type=click.Path(path_type=Path),
        metavar="DIRECTORY",
        default=where,
        show_default=True,
        help=text,
    )


@group.command()
@_folder("--clusters", "Folder of the cluster files.")
@_folder("--roles", "Folder of the role files.")
@roles_cli.folder_option
@_folder("--out", "Folder to write to; commit it.", "generated")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and list the files that are stale.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output.")
def generate(
    clusters: Path, roles: Path, boundaries: Path | None, out: Path, *, check: bool, as_json: bool
) -> int:
    """Write policies, auth and PKI roles and the catalog from role and cluster files.

    Only files that changed are written.

    \b
    Examples:
      podkeys policies generate
      podkeys policies generate --check
      podkeys policies generate --clusters clusters --roles roles --out generated
      podkeys policies generate --check --boundaries boundaries

    Exit codes: 0 done, or current; 1 something is wrong, or stale; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        with _progress() as progress:
            folders = run.Folders(clusters, roles, out, boundaries_folder(boundaries))
            result = run.compare(folders, progress)
        if not check:
            tree.write(out, result.changed, result.removed)
    except ProblemsError as error:
        _refuse(error, as_json=as_json)
    except TreeError as error:
        raise click.ClickException(str(error)) from None
    if folders.boundaries is None:
        click.echo(NO_BOUNDARIES, err=True)
    for item in result.shared if not as_json else ():
        click.echo(_shared(item), err=True)
    is_stale = check and bool(result.changed or result.removed)
    click.echo(_as_json(result) if as_json else _summary(result, check=check))
    if is_stale and not as_json:
        click.echo("Run `podkeys policies generate` and commit what it writes.", err=True)
    return int(is_stale)


@group.command()
@click.argument("name")
@click.option("--namespace", help="Where the service runs. Default: NAME.")
@click.option("--cluster", default="my-cluster", show_default=True, help="The cluster's name in its file.")
@click.option("--owner", help="The team that answers for the role. Default: team-NAME.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write here, in a folder that is made if need be; an existing file is kept.",
)
def new(name: str, namespace: str | None, cluster: str, owner: str | None, output: Path | None) -> None:
    """Print a role file to start from, with comments.

    \b
    Example:
      podkeys policies new payments --cluster eu-nl-prod-a -o roles/payments.yaml
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        text = start.role_file(name, namespace or name, cluster, owner or f"team-{name}")
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if isinstance(error, FileExistsError) and output.exists():
            raise click.ClickException(
                f"{output}: exists already and is kept; give another name with -o"
            ) from None
        raise click.ClickException(f"{output}: can't be written: {error.strerror}") from None
    click.echo(f"Wrote {output}. Change what it says, then: podkeys policies generate")


def _refuse(error: ProblemsError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps(error.as_json(), indent=2))
    else:
        click.echo(str(error), err=True)
        click.echo(f"{_count(len(error.problems), 'problem')}; nothing was written.", err=True)
    sys.exit(1)


def _as_json(result: run.Result) -> str:
    return json.dumps(
        {
            "clusters": result.clusters,
            "roles": result.roles,
            "unchanged": result.unchanged,
            "changed": sorted(result.changed),
            "removed": list(result.removed),
            "sharedServiceAccounts": [
                {
                    "cluster": item.cluster,
                    "namespace": item.namespace,
                    "serviceAccount": item.service_account,
                    "files": list(item.files),
                }
                for item in result.shared
            ],
        },
        indent=2,
    )


def _shared(item: run.Shared) -> str:
    return (
        f"Note: service account {item.service_account} of {item.namespace} on {item.cluster} stands in "
        f"{few(item.files)}: its pods are refused unless podkeys.dev/role says which role they mean."
    )


def _summary(result: run.Result, *, check: bool) -> str:
    lines = []
    if check:
        lines += [f"stale: {path}" for path in sorted(result.changed)]
        lines += [f"no longer generated: {path}" for path in result.removed]
    changed, removed = len(result.changed), len(result.removed)
    words = ("stale", "to remove") if check else ("written", "removed")
    lines.append(
        f"{_count(result.roles, 'role')}, {_count(result.clusters, 'cluster')}: "
        f"{_count(changed, 'file')} {words[0]}, {removed} {words[1]}, {result.unchanged} current"
    )
    return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A line on a terminal that goes away; nothing where the output is kept."""
    is_terminal = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if is_terminal and total > SHOWN_FROM:
            click.echo(f"\r{done} of {total} role files", nl=False, err=True)

    yield show
    if is_terminal:
        click.echo("\r\033[K", nl=False, err=True)
