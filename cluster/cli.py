"""`podkeys cluster`: check a cluster, and prepare its server. What they do is imported only when they are called."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from policies.apply.options import server_options

F = TypeVar("F", bound=Callable[..., int])


def _kube_options(command: F) -> F:
    for option in (
        click.option(
            "--context", metavar="NAME", help="A context of the kubeconfig, in place of its current one."
        ),
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Leads to the API server; else as for kubectl: KUBECONFIG, ~/.kube/config, or a pod's own account.",
        ),
    ):
        command = option(command)
    return command


@click.group(name="cluster")
def group() -> None:
    """Check a cluster, and prepare its server.

    \b
    Examples, in the order of a new cluster:
      podkeys cluster check --cluster eu-nl-prod-a --pre
      podkeys cluster bootstrap --cluster eu-nl-prod-a
      podkeys cluster bootstrap --cluster eu-nl-prod-a --apply
      podkeys cluster check --cluster eu-nl-prod-a
    """  # noqa: D301 - \b is click's mark for lines as they stand


@group.command(short_help="Check cluster, server and chart")
@server_options
@_kube_options
@click.option("--pre", is_flag=True, help="Before the chart is installed: leave out what it brings.")
@click.option(
    "--certificates", is_flag=True, help="Look through the PKI mounts for certificates that were not renewed."
)
def check(*, pre: bool, certificates: bool, **shared: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Check a cluster, its server and the installed chart against the generated tree. Changes nothing.

    Each check has a name and says what was got, what was expected, and what to do. One that can't be made is
    unknown, and says which permission is missing. Without a server token, checks of the server are skipped.

    \b
    Examples:
      podkeys cluster check --cluster eu-nl-prod-a --pre
      podkeys cluster check --cluster eu-nl-prod-a --kubeconfig prod-a.kubeconfig --certificates
      podkeys cluster check --cluster eu-nl-prod-a --json

    Exit codes: 0 all is ok or skipped, 1 something failed or is unknown, 64 usage, 69 no answer from the API server
    or from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    from cluster import run  # noqa: PLC0415 - the kubernetes client and hvac take a third of a second

    return run.check(run.Asked(**shared), pre=pre, certificates=certificates)


@group.command(short_help="Make what an empty server lacks")
@server_options
@_kube_options
@click.option(
    "--discovery", is_flag=True, help="jwt: let the server fetch the issuer's keys, by its URL and CA."
)
@click.option(
    "--apply", "carry_out", is_flag=True, help="Make what is missing; without it, only say what that is."
)
def bootstrap(*, discovery: bool, carry_out: bool, **shared: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Say what an empty server lacks before `podkeys policies apply`, and make it with --apply.

    These are key-value mounts that roles name, the login mount with this cluster's issuer, and the two PKI mounts,
    each with a root of its own. What exists is never changed: where it differs, that is said.

    \b
    Examples:
      podkeys cluster bootstrap --cluster eu-nl-prod-a
      podkeys cluster bootstrap --cluster eu-nl-prod-a --apply
      podkeys cluster bootstrap --cluster eu-nl-prod-a --discovery --apply

    Exit codes: 0 nothing is missing, or --apply has made it; 1 refused, or something that exists differs; 2 something is
    missing; 64 usage; 69 no answer from the API server or from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    from cluster import run  # noqa: PLC0415 - the kubernetes client and hvac take a third of a second

    return run.bootstrap(run.Asked(**shared), discovery=discovery, carry_out=carry_out)
