"""What became of one cluster in one run. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from policies.apply.errors import ApplyError
from policies.apply.meaning import Effect
from policies.apply.plan import Plan, Step
from policies.apply.tokens import Revocation

EXIT_YES = 0
EXIT_NO = 1
EXIT_CHANGES = 2
EXIT_UNREACHABLE = 69
EXIT_INTERRUPTED = 130
_WORSE = (EXIT_YES, EXIT_CHANGES, EXIT_UNREACHABLE, EXIT_NO, EXIT_INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Notes:
    """What is said besides. `lacks`: what is known to hold less on the server; `stays`: what outlives its removal.

    `effects` were decided by the rules of `dialect`, those of `server`.
    """

    lacks: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    dialect: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A service role, NAMESPACE/ROLE, that could not be applied, at which step and why; the others were.

    `undone`: paths of its other changes that are as before again. `standing`: `PATH: why` of those that could not be undone.
    """

    role: str
    action: str
    path: str
    error: ApplyError
    undone: tuple[str, ...]
    standing: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"service role {self.role}: {self.action} {self.path}: {self.error}"]
        if self.undone:
            parts.append(f"its changes before that were undone: {', '.join(self.undone)}")
        if self.standing:
            parts.append(f"these could not be undone, and stand: {'; '.join(self.standing)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`plan` is None where it didn't come to one; `done` is empty where nothing was to be written.

    `unmatched`: targets that name no service role, in the tree or on the server.
    """

    cluster: str
    plan: Plan | None
    notes: Notes
    done: tuple[Step, ...]
    unmatched: frozenset[str]
    error: ApplyError | None
    seconds: float
    failures: tuple[Failure, ...] = ()

    def exit_code(self, *, applied: bool) -> int:
        failed = [failure.error.exit_code for failure in self.failures]
        if self.error is not None:
            return worst([self.error.exit_code, *failed]) if failed else self.error.exit_code
        if self.plan is not None and self.plan.conflicts:
            return EXIT_NO
        if failed:
            return worst(failed)
        return EXIT_CHANGES if self.plan is not None and self.plan.steps and not applied else EXIT_YES


def worst(codes: Iterable[int]) -> int:
    """A refusal needs a person, a server that doesn't answer another run."""
    return max(codes, key=_WORSE.index, default=EXIT_YES)


def counts(steps: Iterable[Step]) -> Counter[str]:
    """By action; of revocations, the tokens."""
    found: Counter[str] = Counter()
    for step in steps:
        found[step.action] += len(step.tokens) if isinstance(step, Revocation) else 1
    return found
