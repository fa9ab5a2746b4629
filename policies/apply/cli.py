"""`podkeys policies plan` and `podkeys policies apply`."""

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from policies.apply import bundle as bundles
from policies.apply import derived, report, scope, session, several, show
from policies.apply.credentials import read_token
from policies.apply.errors import ApplyError, InterruptError, TargetError
from policies.apply.options import servers_options
from policies.apply.outcome import Outcome, worst
from policies.apply.plan import Plan, Step
from policies.apply.session import Asked, Outside

T = TypeVar("T")
_INTERRUPTED = b"\nInterrupted: ends after what is under way, and begins nothing else; with a server that does not answer, within a minute\n"
Work = Callable[[str, Asked, Outside], Outcome]


def _options(command: Callable[..., int]) -> Callable[..., int]:
    prune = "Delete what is ours on the server and no longer in the tree."
    revoke = "With --prune: end the tokens of logins that are no longer in the tree, and their leases."
    target = "Only this service role, or all of a namespace; may be given several times."
    bundle = "Refuse a tree that isn't the one this bundle was signed for; with --public-key."
    keys = "Whose signature of --require-bundle counts, PEM; may be given several times."
    for option in (
        click.option(
            "--public-key", "public_keys", type=click.Path(path_type=Path), multiple=True, help=keys
        ),
        click.option("--require-bundle", type=click.Path(path_type=Path), help=bundle),
        click.option("--revoke", is_flag=True, help=revoke),
        click.option("--prune", is_flag=True, help=prune),
        click.option("--target", "targets", multiple=True, metavar="NAMESPACE[/ROLE]", help=target),
    ):
        command = option(command)
    return servers_options(command)


@click.command()
@_options
def plan(**options: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Show what apply would change, and what that means for whom, without changing anything.

    \b
    Examples:
      podkeys policies plan --cluster eu-nl-prod-a
      podkeys policies plan --cluster eu-nl-prod-a --target payments/payments
      podkeys policies plan --all --prune --json

    Exit codes: 0 no changes, 1 refused (a conflict, a permission, a bad tree), 2 changes, 64 usage, 69 no answer
    from the server. Of several clusters the worst: 1, then 69, then 2.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    return _run(session.plan, applied=False, **options)


@click.command()
@_options
def apply(**options: Any) -> int:  # noqa: ANN401 - click's own, passed on whole
    """Write the tree's policies and roles to the server, read each back and compare.

    Policies first, login roles last. A second run changes nothing; after a failure the next one goes on.
    Nothing is deleted without --prune, and never what is not ours.

    \b
    Examples:
      podkeys policies apply --cluster eu-nl-prod-a
      podkeys policies apply --cluster eu-nl-prod-a --token-file /run/apply-token
      podkeys policies apply --all --token-file '/run/tokens/{cluster}'
      podkeys policies apply --cluster eu-nl-prod-a --prune --revoke

    Exit codes: 0 done, 1 refused (also in part, by a conflict), 64 usage, 69 no answer from the server. Of several
    clusters the worst: 1, then 69.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    return _run(session.apply, applied=True, **options)


def _run(
    work: Work,
    *,
    applied: bool,
    clusters: tuple[str, ...],
    every: bool,
    parallel: int,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's own, passed on whole
) -> int:
    """The exit code."""
    alone = len(clusters) == 1 and not every
    _check_usage(clusters, every=every, **options)
    try:
        asked = _asked(**options)
        named = several.clusters(asked.generated) if every else list(dict.fromkeys(clusters))
        _check_token(asked.token_file, alone=alone)
        _check_targets(asked, named, parallel)
    except ApplyError as error:
        _tell(error)
        return error.exit_code
    with interruptible() as interrupted:
        if alone:
            outside = _outside(interrupted, shown=applied and not as_json, tracked=True)
            outcomes = [work(named[0], asked, outside)]
        else:
            begun = several.each(named, parallel, lambda name: work(name, asked, _outside(interrupted)))
            outcomes = sorted(_watched(begun, len(named), applied=applied), key=lambda one: one.cluster)
    _print(outcomes, alone=alone, applied=applied, as_json=as_json)
    return worst(outcome.exit_code(applied=applied) for outcome in outcomes)


def _asked(
    *,
    generated: Path,
    targets: tuple[str, ...],
    require_bundle: Path | None,
    public_keys: tuple[Path, ...],
    **options: Any,  # noqa: ANN401 - click's own, passed on whole
) -> Asked:
    """Raises ApplyError. A signature says more than the files beside the tree, which may have gone on since."""
    reviewed = _reviewed(require_bundle, public_keys)
    edited = derived.edited(generated) if reviewed is None else ()
    return Asked(generated=generated, reviewed=reviewed, edited=edited, scope=scope.parse(targets), **options)


def _check_token(file: Path | None, *, alone: bool) -> None:
    """One that all clusters lack is told once. Raises TokenError."""
    if not alone and file is None:
        read_token(
            None,
            os.environ,
            "`podkeys policies plan --cluster NAME` without one prints the policy that it needs",
        )


def _check_targets(asked: Asked, clusters: Sequence[str], parallel: int) -> None:
    """Raises TargetError, before anything is written, for what is neither in a tree nor on a server.

    A server is asked only where no tree knows it: a role that is to be pruned is there alone.
    """
    known = several.service_roles(asked.generated, clusters) if asked.scope.targets else frozenset()
    looking = replace(asked, scope=asked.scope.outside(known), prune=False, revoke=False)
    if not looking.scope.targets:
        return
    found = several.each(clusters, parallel, lambda name: session.plan(name, looking, _outside()))
    unknown = sorted(several.unmatched(tuple(found)))
    if unknown:
        near = [name for target in unknown for name in scope.nearest(target, known)]
        meant = f"; the nearest there: {', '.join(dict.fromkeys(near))}" if near else ""
        raise TargetError(
            f"--target {', '.join(unknown)}: got no such service role in {asked.generated} nor on the server, "
            f"expected NAMESPACE or NAMESPACE/ROLE as in the tree{meant}; nothing was done"
        )


def _check_usage(
    clusters: tuple[str, ...], *, every: bool, prune: bool, revoke: bool, address: str, **_: object
) -> None:
    if bool(clusters) == every:
        raise click.UsageError("expected --cluster NAME, once or several times, or --all")
    if revoke and not prune:
        raise click.UsageError("--revoke ends the tokens of logins that --prune deletes: expected both")
    if address and (every or len(clusters) > 1):
        raise click.UsageError("--address is for one cluster: each has its own in cluster.json")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. It ends the work between two steps, so that what was done is told; pressed again, as ever."""
    before = signal.getsignal(signal.SIGINT)
    pressed = threading.Event()

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        pressed.set()
        os.write(2, _INTERRUPTED)  # a stream may be in use at this moment

    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _outside(
    interrupted: Callable[[], bool] = lambda: False, *, shown: bool = False, tracked: bool = False
) -> Outside:
    return Outside(
        environment=os.environ,
        clock=time.monotonic,
        run=lambda: uuid.uuid4().hex,
        track=progress if tracked else lambda _: iter,
        said=_show if shown else lambda _: None,
        interrupted=interrupted,
    )


def _show(step: Step) -> None:
    click.echo(show.done_line(step))


def _watched(outcomes: Iterable[Outcome], total: int, *, applied: bool) -> Iterator[Outcome]:
    """A bar on a terminal, else a line for each cluster that has ended: both on standard error."""
    if sys.stderr.isatty():
        yield from progress("Clusters", total)(outcomes)
        return
    for number, outcome in enumerate(outcomes, 1):
        click.echo(f"[{number} of {total}] {report.one_line(outcome, applied=applied)}", err=True)
        yield outcome


def _print(outcomes: Sequence[Outcome], *, alone: bool, applied: bool, as_json: bool) -> None:
    if as_json:
        documents = [report.as_json(outcome, applied=applied) for outcome in outcomes]
        print_json(documents[0] if alone else {"clusters": documents})
    for outcome in () if as_json else outcomes:
        if applied and not alone:
            for step in outcome.done:
                _show(step)
        if outcome.plan is not None:
            click.echo(_text(outcome.plan, outcome, applied=applied))
    for outcome in outcomes:
        # Of those that had not begun, the table says so.
        if outcome.error is not None and (alone or not isinstance(outcome.error, InterruptError)):
            _tell(outcome.error, "" if alone else f" in {outcome.cluster}")
    if not alone and not as_json:
        click.echo(f"\n{report.table(outcomes, applied=applied)}")


def _text(found: Plan, outcome: Outcome, *, applied: bool) -> str:
    return show.applied_text(found, outcome) if applied else show.plan_text(found, outcome.notes)


def _tell(error: ApplyError, where: str = "") -> None:
    click.echo("\n".join(map(show.plain, f"Error{where}: {error}".split("\n"))), err=True)


def _reviewed(bundle: Path | None, public_keys: tuple[Path, ...]) -> Mapping[str, str] | None:
    if (bundle is None) != (not public_keys):
        raise click.UsageError("expected --require-bundle FILE and --public-key FILE together")
    return bundles.verified(bundle, map(bundles.public_key, public_keys)).files if bundle else None


def progress(what: str, total: float | None = None) -> Callable[[Iterable[T]], Iterable[T]]:
    """A bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        return iter
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for terminals alone
    from rich.progress import track  # noqa: PLC0415

    return partial(track, description=what, total=total, transient=True, console=Console(stderr=True))


def print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, sort_keys=True))  # ASCII: no sign hides another
