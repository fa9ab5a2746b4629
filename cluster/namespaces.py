"""The namespaces of a cluster and their labels. `podkeys.py` hands `labels` to `policies`, which imports nothing of here."""

from collections.abc import Mapping
from http import HTTPStatus

import click

from cluster.errors import ClusterError, RefusedError, UnreachableError, UsageError
from cluster.kube import Kube, connect
from policies.apply.show import plain

Labels = dict[str, Mapping[str, str]]  # by the namespace's name


def read(kube: Kube) -> Labels:
    items = kube.items("/api/v1/namespaces")
    return {item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in items}


def labels(kubeconfig: str | None, context: str | None) -> Labels:
    """An error becomes its message and exit code: 64, or 69 where the API server doesn't answer."""
    try:
        return read(connect(kubeconfig, context))
    except RefusedError as error:
        raise _ended(_said(error), _code(error)) from error
    except ClusterError as error:
        raise _ended(str(error), error.exit_code) from error


def _said(error: RefusedError) -> str:
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{error}; expected that its namespaces may be listed: give whoever asks the verb list on namespaces, or another --kubeconfig"
    return f"{error}; expected its namespaces: check the kubeconfig's server"


def _code(error: RefusedError) -> int:
    down = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.TOO_MANY_REQUESTS
    return UnreachableError.exit_code if down else UsageError.exit_code


def _ended(message: str, code: int) -> click.exceptions.Exit:
    click.echo(plain(f"Error: {message}"), err=True)
    return click.exceptions.Exit(code)
