"""Unit tests for policies: files of what somebody should and shouldn't be able to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yaml.nodes import MappingNode, Node

from policies.errors import Problem, ProblemsError
from policies.review.errors import ReviewError
from policies.review.find import named
from policies.review.inventory import Inventory
from policies.review.questions import OPERATIONS, Answer, ask
from policies.review.subjects import Policies
from policies.roles import document
from policies.roles.fields import Fields, header

_WORDS = ("allowed", "denied")


@dataclass(frozen=True, slots=True)
class Example:
    """`place`: where in which file it is written."""

    subject: str
    operation: str
    path: str
    expected: str
    place: Problem


@dataclass(frozen=True, slots=True)
class Failure:
    """`answers`: one for each role that the subject may log in to; none where `why` says why there is no answer."""

    example: Example
    answers: tuple[Answer, ...]
    why: str = ""


def read(file: Path) -> list[Example]:
    """Raises ProblemsError with all that is wrong, ReviewError where the file can't be read."""
    try:
        content = file.read_bytes()
    except IsADirectoryError:
        raise ReviewError(
            f"{file}: got a folder, expected files with tests; name them: {file}/*.yaml"
        ) from None
    except OSError as error:
        raise ReviewError(f"{file}: can't be read: {error.strerror}") from None
    fields = Fields(str(file))
    found = list(_examples(fields, document.load(str(file), content)))
    if fields.problems:
        raise ProblemsError(fields.problems)
    return found


def _examples(fields: Fields, top: MappingNode) -> Iterator[Example]:
    given = fields.mapping(top, "", ("apiVersion", "kind", "tests"))
    header(fields, given, "PolicyTest")
    for at, node in fields.items(given.get("tests"), "tests", needed=True):
        yield _example(fields, node, at)


def _example(fields: Fields, node: Node, at: str) -> Example:
    given = fields.mapping(node, at, ("subject", "operation", "path", "expected"))
    subject = fields.text(given.get("subject"), f"{at}.subject", _some)
    operation = fields.word(given.get("operation"), f"{at}.operation", tuple(OPERATIONS), "read")
    path = fields.text(given.get("path"), f"{at}.path", _some)
    expected = fields.word(given.get("expected"), f"{at}.expected", _WORDS, "denied")
    return Example(subject, operation, path, expected, fields.place(at))


def _some(text: str) -> str | None:
    return None if text.strip() else "a text"


def failures(inventory: Inventory, policies: Policies, examples: list[Example]) -> Iterator[Failure]:
    """Raises ReviewError for a policy that can't be parsed."""
    for example in examples:
        try:
            subjects = named(inventory, example.subject)
        except ReviewError as error:
            yield Failure(example, (), str(error))
            continue
        answers = tuple(ask(policies, subject, example.operation, example.path) for subject in subjects)
        may = any(answer.may for answer in answers)
        if not may and inventory.identity.unknown:
            yield Failure(
                example, (), f"not known, expected {example.expected}; {inventory.identity.unknown[0]}"
            )
        elif may != (example.expected == "allowed"):
            yield Failure(example, answers)
