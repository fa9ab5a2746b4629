"""Options that have patterns of namespaces looked up in a real cluster, and what becomes of an inventory with them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

import click

from policies.review.clusters import Cluster, Labels
from policies.review.errors import ReviewError
from policies.review.inventory import Inventory

# By kubeconfig and context. `policies` may not import `cluster`: whoever joins the commands hands it in as click's object.
Reader: TypeAlias = Callable[[str | None, str | None], Labels]


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Parameters `kubeconfig`, `context` and `auth_mounts`."""
    found = (
        click.option(
            "--kubeconfig",
            type=click.Path(dir_okay=False),
            help="Look up in this cluster which namespaces fit what roles bind by a pattern or a label selector.",
        ),
        click.option(
            "--context",
            metavar="NAME",
            help="A context of the kubeconfig; without --kubeconfig, of the one that kubectl would take.",
        ),
        click.option(
            "--auth-mount",
            "auth_mounts",
            multiple=True,
            metavar="MOUNT",
            help="The auth mount of that cluster, where there are several; may be given several times.",
        ),
    )
    for option in reversed(found):
        command = option(command)
    return command


def placed(
    inventory: Inventory,
    kubeconfig: str | None = None,
    context: str | None = None,
    auth_mounts: Iterable[str] = (),
) -> Inventory:
    """With the cluster, where one is asked about. Raises ReviewError; an error of the cluster becomes its exit code."""
    mounts = frozenset(mount.strip("/").removeprefix("auth/") for mount in auth_mounts)
    if kubeconfig is None and context is None:
        if mounts:
            raise ReviewError("--auth-mount: got no cluster; give --kubeconfig, or --context, with it")
        return inventory
    mounts = _of_one_cluster(inventory, mounts)
    read: Reader = click.get_current_context().obj
    return replace(inventory, cluster=Cluster(read(kubeconfig or None, context), mounts))


def _of_one_cluster(inventory: Inventory, mounts: frozenset[str]) -> frozenset[str]:
    """The mounts that are asked for, else the only one. Another cluster's roles would be shown with namespaces that aren't theirs."""
    known = sorted({role.mount for role in inventory.roles if role.accounts})
    unknown = mounts.difference(known)
    if unknown:
        raise ReviewError(
            f"--auth-mount: got {', '.join(sorted(unknown))}, expected one with roles for service accounts: {', '.join(known) or 'there is none'}"
        )
    if not mounts and len(known) > 1:
        raise ReviewError(
            f"got roles for service accounts on the auth mounts {', '.join(known)}, expected to be told which are of the kubeconfig's "
            "cluster; give --auth-mount MOUNT, once for each"
        )
    return mounts or frozenset(known)
