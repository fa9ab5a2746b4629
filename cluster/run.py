"""What the commands do: read, decide, print. Errors become exit codes here."""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from cluster import check as checks
from cluster import gather, generated, preparation, report, vault
from cluster.check import Read, Stored
from cluster.errors import ClusterError
from cluster.finding import Unread
from cluster.generated import Tree
from cluster.kube import Kube, connect
from cluster.preparation import Plan, Step
from cluster.server_facts import ServerFacts
from policies.apply import server as servers
from policies.apply.cli import print_json, progress
from policies.apply.credentials import read_token
from policies.apply.errors import ApplyError, StoppedError, TokenError, UnreachableError
from policies.apply.namespaces import check_namespace
from policies.apply.outcome import EXIT_CHANGES, EXIT_NO, EXIT_YES
from policies.apply.server import Server
from policies.apply.show import plain

USES = ("serving", "identity")
_NO_TOKEN = Unread(
    "not asked: no server token",
    "set BAO_TOKEN or VAULT_TOKEN, or give --token-file FILE",
    "skipped",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that both commands have."""

    cluster: str
    generated: Path
    kubeconfig: Path | None
    context: str | None
    token_file: Path | None
    address: str
    as_json: bool


def check(asked: Asked, *, pre: bool, certificates: bool) -> int:
    """The exit code."""
    with _exit_codes():
        tree, kube = _start(asked)
        facts = gather.read(kube, tree, installed=not pre)
        issuer = gather.issuer(kube)
        found, stored, code = _ask_server(tree, asked, certificates=certificates)
    everything = Read(tree, facts, issuer, found, stored)
    findings = list(checks.findings(everything, dt.datetime.now(dt.UTC)))
    if asked.as_json:
        print_json(report.as_json(asked.cluster, findings))
    else:
        click.echo(report.text(findings))
    return code or (EXIT_NO if any(item.result in ("failed", "unknown") for item in findings) else EXIT_YES)


def _start(asked: Asked) -> tuple[Tree, Kube]:
    """The tree, and a session with an API server that answers."""
    tree = generated.read(asked.generated, asked.cluster)
    kube = connect(None if asked.kubeconfig is None else str(asked.kubeconfig), asked.context)
    kube.get("/version")
    return tree, kube


def _ask_server(
    tree: Tree, asked: Asked, *, certificates: bool
) -> tuple[ServerFacts, dict[str, Stored], int]:
    """What the server holds, and the exit code where it does not answer: the cluster's findings are shown all the same."""
    uses = USES if certificates else ()
    try:
        token = read_token(asked.token_file, os.environ)
    except TokenError:
        if asked.token_file or asked.address:  # named, so a missing token is a mistake
            raise
        return _without(_NO_TOKEN), dict.fromkeys(uses, _NO_TOKEN), 0
    try:
        with servers.connect(tree.cluster, token, asked.address) as session:
            check_namespace(session.product, tree.cluster.vault_namespace)
            found = vault.read(session, tree.cluster)
            mounts = {use: getattr(tree.cluster, f"{use}_mount") for use in uses}
            stored = {use: _stored(session, mount) for use, mount in mounts.items()}
    except UnreachableError as error:
        lost = Unread(str(error), "as said there, then run it again; or give another --address")
        return _without(lost), dict.fromkeys(uses, lost), error.exit_code
    return found, stored, 0


def _stored(session: Server, mount: str) -> Stored:
    return vault.attempt(partial(vault.issued, session, mount, progress(f"Reading {mount}")))


def _without(reason: Unread) -> ServerFacts:
    return ServerFacts(reason, reason, reason, reason, reason)


def bootstrap(asked: Asked, *, discovery: bool, carry_out: bool) -> int:
    """The exit code."""
    with _exit_codes():
        tree, kube = _start(asked)
        issuer = gather.issuer(kube)
        token = read_token(asked.token_file, os.environ)
        with servers.connect(tree.cluster, token, asked.address) as session:
            check_namespace(session.product, tree.cluster.vault_namespace)
            plan = preparation.decide(tree, vault.read(session, tree.cluster), issuer, discovery=discovery)
            done = [*_made(plan, session, shown=not asked.as_json)] if carry_out else []
            if done:  # read back: what is not as it was written shows as missing or different
                left = preparation.decide(
                    tree, vault.read(session, tree.cluster), issuer, discovery=discovery
                )
                plan = replace(
                    left,
                    differs=(
                        *left.differs,
                        *(f"{step.path}: was written, and is not there" for step in left.steps),
                    ),
                )
    if asked.as_json:
        print_json(report.plan_json(asked.cluster, plan, done))
    else:
        click.echo(report.plan_text(plan, done))
    if plan.differs:
        return EXIT_NO
    return EXIT_CHANGES if plan.steps else EXIT_YES


def _made(plan: Plan, session: Server, *, shown: bool) -> Iterator[Step]:
    for number, step in enumerate(plan.steps):
        try:
            session.write(step.path, step.fields)
        except ApplyError as error:
            raise StoppedError(
                f"stopped at {number + 1} of {len(plan.steps)}, {step.says}: {error}\n"
                f"made before it, and standing: {number}; once the cause is gone, run it again: it goes on from there",
                error,
            ) from error
        if shown:
            click.echo(report.made_line(step))
        yield step


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except (ClusterError, ApplyError) as error:
        click.echo("\n".join(map(plain, f"Error: {error}".split("\n"))), err=True)
        raise click.exceptions.Exit(error.exit_code) from error
