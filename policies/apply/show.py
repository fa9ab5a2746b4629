"""A plan as text for people and as JSON for programs. Pure.

What comes from the tree or the server may hold control characters that would hide a line on a terminal: they
are shown escaped.
"""

import difflib
import json
from collections.abc import Iterator
from typing import Any

import click

from policies.apply.compare import ABSENT
from policies.apply.plan import Change, Plan

_COLOURS = {"create": "green", "update": "yellow", "delete": "red"}
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_PAST = {"create": "created", "update": "updated", "delete": "deleted"}


def plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def plan_text(plan: Plan, lacks: tuple[str, ...]) -> str:
    lines = [line for change in plan.changes for line in _change_lines(change)]
    lines += _note_lines(plan, lacks)
    return "\n".join([*lines, *([""] if lines else []), _plan_summary(plan)])


def applied_text(plan: Plan, lacks: tuple[str, ...]) -> str:
    return "\n".join([*_note_lines(plan, lacks), _done_summary(plan)])


def done_line(change: Change) -> str:
    return click.style(
        f"{_SIGNS[change.action]} {_PAST[change.action]} {change.kind} {plain(change.path)}",
        fg=_COLOURS[change.action],
    )


def _plan_summary(plan: Plan) -> str:
    counts = [f"{_count(plan, action)} to {action}" for action in _SIGNS if _count(plan, action)]
    return _summary(plan, "Plan", counts, "no changes")


def _done_summary(plan: Plan) -> str:
    counts = [f"{_count(plan, action)} {past}" for action, past in _PAST.items() if _count(plan, action)]
    return _summary(plan, "Applied", counts, "nothing to do")


def plan_json(plan: Plan, lacks: tuple[str, ...]) -> dict[str, Any]:
    return {
        "cluster": plan.cluster.name,
        "changes": [_change_json(change) for change in plan.changes],
        "conflicts": [
            {"path": found.path, "file": found.file, "reason": found.reason} for found in plan.conflicts
        ],
        "blocked": list(plan.blocked),
        "kept": list(plan.kept),
        "foreign": list(plan.foreign),
        "lacks": list(lacks),
        "unchanged": plan.unchanged,
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "action": change.action,
        "kind": change.kind,
        "path": change.path,
        "file": change.item.file if change.item else None,
        "fields": {field: {"wanted": wanted, "got": got} for field, (wanted, got) in change.fields.items()},
    }


def _count(plan: Plan, action: str) -> int:
    return sum(change.action == action for change in plan.changes)


def _summary(plan: Plan, title: str, counts: list[str], nothing: str) -> str:
    counts = counts or [nothing]
    for number, text in (
        (plan.unchanged, "unchanged"),
        (len(plan.conflicts), "in conflict"),
        (len(plan.blocked), "blocked"),
        (len(plan.kept), "kept"),
    ):
        if number:
            counts.append(f"{number} {text}")
    return click.style(f"{title} for {plan.cluster.name}: {', '.join(counts)}", bold=True)


def _change_lines(change: Change) -> Iterator[str]:
    head = f"{_SIGNS[change.action]} {change.action} {change.kind} {plain(change.path)}"
    yield click.style(head, fg=_COLOURS[change.action])
    off = 0
    for field, (wanted, got) in change.fields.items():
        if change.kind == "policy":
            yield from _policy_lines("" if got == ABSENT else got, wanted)
        elif change.stored is not None:
            yield f"    ~ {field}: {_value(got)} -> {_value(wanted)}"
        elif wanted:
            yield f"      {field} = {_value(wanted)}"
        else:
            off += 1
    if off:  # a role names every field, so that no server fills one in; what is off would hide the rest
        yield f"      {off} more are off, empty or 0 (--json shows them)"


def _policy_lines(old: str, new: str) -> Iterator[str]:
    """The unified diff without its two file names: the line above says which policy. New: all its lines."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    diff = list(difflib.unified_diff(_lines(old), _lines(new), lineterm=""))
    for line in diff[2 if old else 3 :]:
        yield click.style(f"      {plain(line)}", fg=colours.get(line[:1]))


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, so that every other difference stays in a line and shows."""
    if not text:
        return []
    return text.removesuffix("\n").split("\n") + (
        [] if text.endswith("\n") else ["(no line feed at the end)"]
    )


def _note_lines(plan: Plan, lacks: tuple[str, ...]) -> Iterator[str]:
    for found in plan.conflicts:
        text = (
            f"! conflict {plain(found.path)}: {found.reason}; remove or rename it there, then run this again"
        )
        yield click.style(f"{text} ({plain(found.file)})", fg="red", bold=True)
    yield from (f"  blocked: {plain(path)} (its service role is in conflict)" for path in plan.blocked)
    yield from (f"  kept: {plain(path)} (--prune removes)" for path in plan.kept)
    yield from (f"  left alone: {plain(path)} (no policy with our mark owns it)" for path in plan.foreign)
    yield from (click.style(f"! {text}", fg="yellow") for text in lacks)


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return plain(value if value == ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False))
