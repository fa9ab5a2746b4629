"""`podkeys policies can`, `explain`, `who-can`, `reach`, `test`: questions to a folder of policies and auth roles."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from policies.acl.language import TooManyError
from policies.apply.show import plain
from policies.errors import ProblemsError
from policies.review import advice, kubeconfig, options, show, source
from policies.review.beside import beside
from policies.review.dialect import chosen
from policies.review.doubt import doubt
from policies.review.errors import ReviewError
from policies.review.examples import failures
from policies.review.examples import read as read_examples
from policies.review.find import by_labels, named
from policies.review.inventory import Inventory
from policies.review.options import Unanswered
from policies.review.origin import origin
from policies.review.questions import OPERATIONS, Answer, ask, check
from policies.review.questions import who_can as askers
from policies.review.reach import reach as reached
from policies.review.subjects import Policies, Reading
from policies.review.templated import could


class _Advised(NamedTuple):
    """Each answer with the change that would allow what is refused; what besides isn't known; the dialect that decided."""

    answers: list[tuple[Answer, str]]
    unknown: list[str]
    dialect: str


def answer_options(command: Callable[..., int]) -> Callable[..., int]:
    return options.dialect(options.as_json(command))


def _some(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value.strip():
        return value
    raise click.BadParameter(
        f"got nothing, expected the API's {parameter.name}, such as kv/data/payments/stripe"
    )


_OPERATION = click.argument("operation", type=click.Choice(sorted(OPERATIONS)))
_PATH = click.argument("path", callback=_some)


def opened(dialect: str | None, folder: Path, **where: Any) -> tuple[Inventory, Policies]:  # noqa: ANN401 - click's own
    """Raises ReviewError."""
    its = {name: where.pop(name) for name in ("kubeconfig", "context", "auth_mounts") if name in where}
    inventory = kubeconfig.placed(source.opened(folder, **where), **its)
    reading = Reading(chosen(dialect, inventory.product), datetime.now(UTC))
    return inventory, Policies(inventory, reading)


def _answers(subject: str, question: tuple[str, str], **where: Any) -> _Advised:  # noqa: ANN401 - click's own
    operation, path = question
    try:
        inventory, policies = opened(**where)
        check(operation, policies.dialect)
        _labels(inventory, subject)
        answers = [ask(policies, found, operation, path) for found in named(inventory, subject)]
        _doubt(inventory, path)
    except ReviewError as error:
        raise Unanswered(str(error)) from None
    around = beside(where["folder"])
    advised = [
        (answer, advice.change(answer, operation, path, source=_source(inventory, answer), beside=around))
        for answer in answers
    ]
    had = dict.fromkeys(name for answer in answers if not answer.may for name in answer.subject.policies)
    unknown = [*inventory.identity.unknown, *could(inventory, policies, had, question)]
    return _Advised(advised, unknown, policies.dialect.name)


def _doubt(inventory: Inventory, path: str, where: str = "") -> None:
    """On standard error, so that the answer stays what programs read."""
    found = doubt(inventory, path)
    if found:
        click.echo(f"{where}Note: {plain(found)}", err=True)


def _labels(inventory: Inventory, subject: str) -> None:
    """On standard error too: whoever is told no must know that it may be yes."""
    for why, names in by_labels(inventory, subject).items():
        asked = f"Note: not counted, as they ask for labels of {subject}'s namespace ({why})"
        click.echo(plain(f"{asked}: {', '.join(names)}"), err=True)


def _source(inventory: Inventory, answer: Answer) -> str:
    """The role file that the deciding policy was generated from, else any of the subject's; or empty.

    What an entity or a group gives is another's: that one's role file is not to be changed for it.
    """
    others = {file for _, file, _ in answer.subject.ways}
    deciding = {stanza.policy for stanza in answer.stanzas} - others
    every = (inventory.policies[name] for name in answer.subject.policies)
    files = (file for file in every if file.file not in others)
    found = (origin(file).role_file for file in files if not deciding or file.file in deciding)
    return next((one for one in found if one), "")


@click.command(short_help="Whether a role, policy or service account can do something")
@click.argument("subject")
@_OPERATION
@_PATH
@source.options
@kubeconfig.options
@answer_options
def can(subject: str, operation: str, path: str, *, as_json: bool, **where: Any) -> int:  # noqa: ANN401 - click's own
    """Say whether SUBJECT can do OPERATION on PATH.

    SUBJECT is an auth role (MOUNT/NAME or NAME), a policy, an entity, or NAMESPACE/SERVICE-ACCOUNT. PATH is the API's, so
    kv/data/payments/stripe for a key-value store of version 2.

    \b
    Examples:
      podkeys policies can payments/payments-api read kv/data/payments/stripe
      podkeys policies can podkeys.payments.payments.payments-api update sys/leases/renew
      podkeys policies can payments/payments-api read kv/data/payments/stripe --policies exported --kubeconfig prod-a.kubeconfig

    Exit codes: 0 yes; 1 no, or not known; 64 usage; 69 no answer from the server or the API server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    answers, unknown, dialect = _answers(subject, (operation, path), **where)
    may = any(answer.may for answer, _ in answers)
    if as_json:
        found = [show.answer_json(answer) | {"unknown": unknown, "dialect": dialect} for answer, _ in answers]
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("yes" if may else "unknown" if unknown else "no")
    return int(not may)


@click.command(short_help="Why something is allowed or refused, and what would change it")
@click.argument("subject")
@_OPERATION
@_PATH
@source.options
@kubeconfig.options
@answer_options
def explain(subject: str, operation: str, path: str, *, as_json: bool, **where: Any) -> int:  # noqa: ANN401 - click's own
    """Name the stanza that decides whether SUBJECT can do OPERATION on PATH, with file and line, and those that lost.

    For a refusal, the smallest change that would allow it. SUBJECT and PATH as `can` has them.

    \b
    Example:
      podkeys policies explain payments/payments-api delete kv/data/payments/stripe

    Exit codes: 0 allowed; 1 refused, or not known; 64 usage; 69 no answer from the server or the API server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    answers, unknown, dialect = _answers(subject, (operation, path), **where)
    if as_json:
        more = {"unknown": unknown, "dialect": dialect}
        found = [show.answer_json(answer) | {"change": change} | more for answer, change in answers]
        click.echo(json.dumps(found, indent=2))
    else:
        untold = (f"unknown: {plain(what)}" for what in unknown)
        click.echo("\n".join([*(show.explain_text(answer, change) for answer, change in answers), *untold]))
    return int(not any(answer.may for answer, _ in answers))


@click.command("who-can", short_help="Who can do something")
@_OPERATION
@_PATH
@source.options
@kubeconfig.options
@answer_options
def who_can(operation: str, path: str, *, as_json: bool, **where: Any) -> int:  # noqa: ANN401 - click's own
    """List who can do OPERATION on PATH: auth roles, their service accounts and namespaces, and the stanzas that say so.

    Also entities, members of groups and token roles that give more than a login. Policies that nothing names are listed by
    themselves. PATH as `can` has it. With --kubeconfig, what is bound by a pattern or a label selector is followed by the
    namespaces that fit now; those made later are covered too.

    \b
    Examples:
      podkeys policies who-can read kv/data/payments/stripe
      podkeys policies who-can update auth/token/create --policies exported
      podkeys policies who-can read kv/data/payments/stripe --kubeconfig prod-a.kubeconfig --auth-mount jwt-eu-nl-prod-a

    Exit codes: 0 somebody, or not known; 1 nobody; 64 usage; 69 no answer from the server or the API server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        inventory, policies = opened(**where)
        check(operation, policies.dialect)
        answers = list(askers(inventory, policies, operation, path))
        unknown = [*inventory.unknown, *could(inventory, policies, inventory.policies, (operation, path))]
        _doubt(inventory, path)
    except ReviewError as error:
        raise Unanswered(str(error)) from None
    if as_json:
        found = [*map(show.answer_json, answers), *map(show.unknown_json, unknown)]
        click.echo(json.dumps([one | {"dialect": policies.dialect.name} for one in found], indent=2))
    else:
        click.echo(show.who_text(answers, operation, path, unknown))
    return int(not answers and not unknown)


@click.command(short_help="Everything that somebody can do")
@click.argument("subject")
@source.options
@kubeconfig.options
@answer_options
def reach(subject: str, *, as_json: bool, **where: Any) -> int:  # noqa: ANN401 - click's own
    """List what SUBJECT can do, as few path patterns, grouped by what it means.

    SUBJECT as `can` has it; for a service account, one list for each role that it may log in to.

    \b
    Example:
      podkeys policies reach payments/payments-api

    Exit codes: 0 done; 1 no such subject; 64 usage; 69 no answer from the server or the API server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        inventory, policies = opened(**where)
        _labels(inventory, subject)
        found = [(one, reached(policies.rules(one))) for one in named(inventory, subject)]
    except (ReviewError, TooManyError) as error:
        raise Unanswered(str(error)) from None
    if as_json:
        more = {"unknown": list(inventory.identity.unknown), "dialect": policies.dialect.name}
        click.echo(json.dumps([show.reach_json(*one) | more for one in found], indent=2))
    else:
        click.echo("\n".join(show.reach_text(*one) for one in found))
    return 0


@click.command("test", short_help="Unit tests for policies")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@source.options
@kubeconfig.options
@answer_options
def test(files: tuple[Path, ...], *, as_json: bool, **where: Any) -> int:  # noqa: ANN401 - click's own
    """Check that policies allow and deny what FILES say.

    \b
    Such a file:
      apiVersion: podkeys.dev/v1
      kind: PolicyTest
      tests:
      - {subject: payments/payments-api, operation: read, path: kv/data/payments/stripe, expected: allowed}
      - {subject: web/storefront, operation: read, path: kv/data/payments/stripe, expected: denied}

    \b
    Example:
      podkeys policies test policy-tests/*.yaml

    Exit codes: 0 all as expected; 1 not; 64 usage; 69 no answer from the server or the API server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        examples = [example for file in files for example in read_examples(file)]
        inventory, policies = opened(**where)
        for example in examples:
            check(example.operation, policies.dialect)
        failed = list(failures(inventory, policies, examples))
    except (ReviewError, ProblemsError) as error:
        raise Unanswered(str(error)) from None
    for subject in dict.fromkeys(example.subject for example in examples):
        _labels(inventory, subject)
    for example in examples:
        _doubt(inventory, example.path, f"{example.place.file}:{example.place.line}: ")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "dialect": policies.dialect.name,
                    "passed": len(examples) - len(failed),
                    "failed": list(map(show.failure_json, failed)),
                },
                indent=2,
            )
        )
    else:
        summary = f"{len(examples) - len(failed)} passed, {len(failed)} failed"
        click.echo("\n".join([*map(show.failure_text, failed), summary]))
    return int(bool(failed))
