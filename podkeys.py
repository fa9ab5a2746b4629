"""The `podkeys` command: joins the packages' command groups, loads each only when it is called, maps exit codes."""

import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import version
from typing import NoReturn

import click

EXIT_USAGE = 64
EXIT_BUG = 70
EXIT_DISK = 74  # sysexits.h, EX_IOERR: what was asked has no answer, and it is no bug

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

GROUPS = {
    "certs": ("certs.cli", "Show and verify certificates and SVIDs"),
    "cluster": ("cluster.cli", "Check a cluster, and prepare its server"),
    "policies": ("policies.cli", "Role files to Vault policies: new, generate, plan, apply"),
    "webhook": ("webhook.cli", "Serve the admission webhook, or try its decision offline"),
}


class UnreadError(Exception):
    """Nobody reads the output on, as behind `| head`."""


class LazyGroups(click.Group):
    """`podkeys certs show` shouldn't pay for Flask: a group's module is imported when the group is used."""

    def invoke(self, ctx: click.Context) -> object:
        """Raises UnreadError for EPIPE, on which click itself would end with 1: that is an answer."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise UnreadError from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in GROUPS:
            return None
        group: click.Command = importlib.import_module(GROUPS[cmd_name][0]).group
        return group

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(GROUPS.items())])


def _namespaces(kubeconfig: str | None, context: str | None) -> Mapping[str, Mapping[str, str]]:
    """Labels of a cluster's namespaces by name, for questions to policies: `policies` may not import `cluster`."""
    from cluster import namespaces  # noqa: PLC0415 - the kubernetes client takes a third of a second

    return namespaces.labels(kubeconfig, context)


@click.group(cls=LazyGroups, context_settings={"help_option_names": ["-h", "--help"], "obj": _namespaces})
@click.version_option(version("podkeys"), prog_name="podkeys")
def cli() -> None:
    """Secrets, SSL certificates and identity keys for every pod, scoped by reviewed policies.

    \b
    Examples:
      podkeys policies new payments --cluster eu-nl-prod-a -o roles/payments.yaml
      podkeys policies generate --clusters clusters --roles roles --out generated
      podkeys policies plan --cluster eu-nl-prod-a
      podkeys cluster check --cluster eu-nl-prod-a
      podkeys webhook inject -f pod.yaml --catalog generated/eu-nl-prod-a/catalog --cluster generated/eu-nl-prod-a/cluster.json
      podkeys certs show /var/run/podkeys/certs/serving

    \b
    Exit codes: 0 yes, 1 no (refused, stale, findings), 2 changes (plan), 64 usage,
    69 server unreachable, 70 bug, 74 disk full.
    """  # noqa: D301 - click reads the character


def _end(number: int, frame: object) -> NoReturn:
    """Leave nothing behind when told to end; a server sets its own handler."""
    del frame
    sys.exit(128 + number)


def main() -> None:
    """Run the command. Click's own usage errors exit with 64: its 2 would read as "changes"."""
    signal.signal(signal.SIGTERM, _end)
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UnreadError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still to be flushed
        sys.exit(128 + signal.SIGPIPE)
    except ModuleNotFoundError as error:
        click.echo(
            f"Error: this command needs the Python package {error.name}, which isn't here: the image has only what the webhook "
            "and the agent need; run it where Podkeys was installed with pip",
            err=True,
        )
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last resort
        sys.exit(_failed(error))
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: Exception) -> int:
    """Say that a disk is full or broken, else that it is a bug, without any value. The exit code."""
    if isinstance(error, OSError) and error.errno in _DISK:
        where = error.filename or "the output"
        click.echo(
            f"Error: {where}: can't be written: {error.strerror}; write it where there is room", err=True
        )
        return EXIT_DISK
    place = traceback.extract_tb(error.__traceback__)[-1]
    click.echo(
        f"podkeys: bug: {type(error).__name__} at {place.filename}:{place.lineno}; please report it", err=True
    )
    return EXIT_BUG


if __name__ == "__main__":
    main()
