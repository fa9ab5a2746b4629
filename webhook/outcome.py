"""What the webhook decides about a pod: outcomes are values, each with a reason code that metrics can count."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

from webhook.wording import meant

Reason = Literal[
    # allowed
    "injected",
    "not-annotated",
    "opted-out",
    "not-a-pod-creation",
    # refused
    "malformed",  # the review or the pod could not be read
    "leftovers",  # the pod already carries something of ours, or could read our token
    "annotation",  # unknown, not together with inject, or its value is wrong
    "nothing-asked",
    "pod",  # the pod's own shape: shared processes, host network with podIP, Windows
    "namespace",  # no role runs in this namespace
    "role",  # no such role here, or several
    "service-account",  # no role lists it, or the named role doesn't
    "undeclared",  # the role doesn't declare what is asked for
    "not-selected",  # file, format, key, template or mode of something that isn't asked for
    "env",  # not allowed as environment variable
    "collision",  # two files, variables or mounts in one place
    "containers",  # none, or one that can't have the mounts
    "too-big",
    "no-catalog",  # none could be loaded yet: the server refuses
    "internal",  # a bug of ours: the server refuses
]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Misnamed:
    """A name that may be a slip for one of `known`; where it is near none of them, `otherwise` is said."""

    name: str
    known: tuple[str, ...]
    prefix: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change; `message` says what was got, what was expected and what to do.

    `misnamed`: where a name is wrong, what the message ends with depends on the names that are near.
    """

    reason: Reason
    message: str
    misnamed: Misnamed | None = None


@dataclass(frozen=True, slots=True)
class Inject:
    """Allowed, with JSON Patch operations (RFC 6902, `add` only, in a fixed order)."""

    patch: tuple[dict[str, Any], ...]
    role: str
    warnings: tuple[str, ...] = ()
    reason: Reason = "injected"


@dataclass(frozen=True, slots=True)
class Skip:
    """Allowed, untouched: the pod did not ask. `reason` is not-annotated, opted-out or not-a-pod-creation."""

    reason: Reason


MAX_REPORTED = 20
# Each compares a name with many, all of which may be the pod's; who has read five knows where to look
MAX_HINTS = 5


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused. `problems`, at least one, say what to change."""

    reason: Reason
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        """The first problems as one text, a line each."""
        if len(self.problems) == 1:
            return self.problems[0]
        shown = self.problems[:MAX_REPORTED]
        head = f"{len(self.problems)} problems:"
        if len(shown) < len(self.problems):
            head = f"more than {MAX_REPORTED} problems, the first of them:"
        return "\n".join([head, *(f"{number}. {problem}" for number, problem in enumerate(shown, 1))])


Outcome = Inject | Skip | Deny


def first(problems: Iterable[Problem]) -> list[Problem]:
    """One more than is reported, so that no pod can make the webhook look for thousands of hints."""
    return list(islice(problems, MAX_REPORTED + 1))


def refuse(problems: Sequence[Problem]) -> Deny:
    """All problems in one refusal, under the first one's reason; at least one is given."""
    return Deny(problems[0].reason, tuple(_messages(problems[: MAX_REPORTED + 1])))


def _messages(problems: Iterable[Problem]) -> Iterator[str]:
    hints = MAX_HINTS
    for problem in problems:
        slip = problem.misnamed
        if slip is None:
            yield problem.message
            continue
        hint = meant(slip.name, slip.known, slip.prefix) if hints else ""
        hints -= bool(hints)
        yield problem.message + (hint or slip.otherwise)
