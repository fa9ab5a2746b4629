"""What became of clusters: JSON for programs, and a table of several for people. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from policies.acl.changes import Change as Meaning
from policies.apply.meaning import Effect
from policies.apply.outcome import (
    EXIT_CHANGES,
    EXIT_INTERRUPTED,
    EXIT_NO,
    EXIT_UNREACHABLE,
    EXIT_YES,
    Failure,
    Notes,
    Outcome,
    counts,
)
from policies.apply.plan import Change, Plan, Step
from policies.apply.show import plain
from policies.apply.tokens import Revocation

_ACTIONS = ("create", "update", "delete", "revoke")
_COLUMNS = ("cluster", *_ACTIONS, "unchanged", "conflicts", "time")
_RESULTS = {
    EXIT_YES: "ok",
    EXIT_NO: "refused",
    EXIT_CHANGES: "changes",
    EXIT_UNREACHABLE: "no answer",
    EXIT_INTERRUPTED: "interrupted",
}


def table(outcomes: Sequence[Outcome], *, applied: bool) -> str:
    """A line for each cluster, and one for all: of a plan what is to be done, of a run what was."""
    rows = [_row(outcome, applied=applied) for outcome in outcomes]
    results = [_RESULTS[outcome.exit_code(applied=applied)] for outcome in outcomes]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [
        _line(row, widths, last) for row, last in zip((_COLUMNS, *rows), ("result", *results), strict=True)
    ]
    by_result = ", ".join(f"{results.count(one)} {one}" for one in _RESULTS.values() if one in results)
    return "\n".join([*lines, "", click.style(f"{len(outcomes)} clusters: {by_result}", bold=True)])


def _row(outcome: Outcome, *, applied: bool) -> tuple[str, ...]:
    plan = outcome.plan
    time = f"{outcome.seconds:.1f} s"
    if plan is None:
        return (outcome.cluster, *["-"] * (len(_COLUMNS) - 2), time)
    found = counts(outcome.done if applied else plan.steps)
    numbers = (*(found[action] for action in _ACTIONS), plan.unchanged, len(plan.conflicts))
    return (outcome.cluster, *map(str, numbers), time)


def _line(row: Sequence[str], widths: Sequence[int], last: str) -> str:
    first, *others = row
    numbers = (text.rjust(width) for text, width in zip(others, widths[1:], strict=True))
    return "  ".join([plain(first).ljust(widths[0]), *numbers, last])


def one_line(outcome: Outcome, *, applied: bool) -> str:
    """For progress."""
    result = _RESULTS[outcome.exit_code(applied=applied)]
    return plain(f"{outcome.cluster}: {result} ({outcome.seconds:.1f} s)")


def as_json(outcome: Outcome, *, applied: bool) -> dict[str, Any]:
    return {
        "cluster": outcome.cluster,
        "exitCode": outcome.exit_code(applied=applied),
        "error": None if outcome.error is None else str(outcome.error),
        "seconds": round(outcome.seconds, 3),
        "unmatchedTargets": sorted(outcome.unmatched),
        **(_plan_json(outcome.plan) if outcome.plan else {}),
        **({"done": list(map(_done_json, outcome.done))} if applied else {}),
        **({"failed": list(map(_failure_json, outcome.failures))} if applied else {}),
        "lacks": list(outcome.notes.lacks),
        "stays": list(outcome.notes.stays),
        **({} if applied else _meanings(outcome.notes)),
    }


def _failure_json(failure: Failure) -> dict[str, Any]:
    return {
        "role": failure.role,
        "action": failure.action,
        "path": failure.path,
        "error": str(failure.error),
        "undone": list(failure.undone),
        "standing": list(failure.standing),
    }


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "changes": list(map(_step_json, plan.steps)),
        "conflicts": [
            {"path": one.path, "role": one.role, "file": one.file, "reason": one.reason, "remedy": one.remedy}
            for one in plan.conflicts
        ],
        "blocked": list(plan.blocked),
        "kept": list(plan.kept),
        "foreign": list(plan.foreign),
        "unchanged": plan.unchanged,
    }


def _step_json(step: Step) -> dict[str, Any]:
    if isinstance(step, Revocation):
        return _done_json(step)
    return _done_json(step) | {
        "file": step.item.file if step.item else None,
        "fields": {field: {"wanted": wanted, "got": got} for field, (wanted, got) in step.fields.items()},
    }


def _done_json(step: Step) -> dict[str, Any]:
    """An accessor ends its token, and is no one's to read here: only how many there are."""
    found: dict[str, Any] = {"action": step.action, "kind": step.kind, "path": step.path}
    if isinstance(step, Change):
        return found
    return found | {"roles": sorted(step.roles), "tokens": len(step.tokens)}


def _meanings(notes: Notes) -> dict[str, Any]:
    return {
        "server": notes.server,
        "dialect": notes.dialect,
        "meaning": list(_meaning(notes.effects)),
    }


def _meaning(effects: Sequence[Effect]) -> Iterator[dict[str, Any]]:
    for effect in effects:
        yield {"who": effect.who, "untold": effect.untold, "changes": list(map(_change, effect.changes))}


def _change(change: Meaning) -> dict[str, Any]:
    return {
        "path": change.witness,
        "where": dict(change.given),
        "gained": sorted(change.gained),
        "lost": sorted(change.lost),
        "limits": change.limits,
    }
