"""A plan, and what became of it, as text for people. Pure.

What comes from the tree or the server may hold control characters that would hide a line on a terminal: they
are shown escaped.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from policies.acl.changes import Change as Meaning
from policies.apply.compare import ABSENT
from policies.apply.outcome import Notes, Outcome, counts
from policies.apply.plan import Change, Plan, Step
from policies.apply.tokens import Revocation
from policies.unified import unified

_COLOURS = {"create": "green", "update": "yellow", "delete": "red", "revoke": "red"}
_SIGNS = {"create": "+", "update": "~", "delete": "-", "revoke": "-"}
_PAST = {"create": "created", "update": "updated", "delete": "deleted", "revoke": "revoked"}


def plain(text: str) -> str:
    if text.isprintable():  # nearly all of the hundred thousands of lines
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def plan_text(plan: Plan, notes: Notes) -> str:
    """What is to be done."""
    lines = [line for step in plan.steps for line in _step_lines(step)]
    lines += [*_effect_lines(notes), *_note_lines(plan, notes)]
    return "\n".join([*lines, *([""] if lines else []), _summary(plan, "Plan", _to_do(plan), "no changes")])


def applied_text(plan: Plan, outcome: Outcome) -> str:
    """What was done, but for its steps. `plan` is the outcome's."""
    done = counts(outcome.done)
    said = [f"{_many(action, done[action])} {past}" for action, past in _PAST.items() if done[action]]
    title, nothing = ("Stopped", "nothing done") if outcome.error else ("Applied", "nothing to do")
    if outcome.failures:
        said.append(
            f"{len(outcome.failures)} service roles failed"
            if len(outcome.failures) > 1
            else "1 service role failed"
        )
    took = f" ({outcome.seconds:.1f} s)"
    failures = [click.style(f"! failed {plain(str(one))}", fg="red", bold=True) for one in outcome.failures]
    return "\n".join(
        [*failures, *_note_lines(plan, outcome.notes), _summary(plan, title, said, nothing) + took]
    )


def done_line(step: Step) -> str:
    what = _tokens(step) if isinstance(step, Revocation) else f"{step.kind} {plain(step.path)}"
    return click.style(f"{_SIGNS[step.action]} {_PAST[step.action]} {what}", fg=_COLOURS[step.action])


def _tokens(step: Revocation) -> str:
    by_role = Counter(step.tokens.values())
    of = ", ".join(f"{count} of {plain(role)}" for role, count in sorted(by_role.items()))
    return f"{_many(step.action, len(step.tokens))} given by {plain(step.path)}{f': {of}' if of else ''}"


def _many(action: str, number: int) -> str:
    """What is revoked are tokens; of the rest, the number says enough."""
    if action != "revoke":
        return str(number)
    return "1 token" if number == 1 else f"{number} tokens"


def _to_do(plan: Plan) -> list[str]:
    found = counts(plan.steps)
    return [f"{_many(action, found[action])} to {action}" for action in _SIGNS if found[action]]


def _summary(plan: Plan, title: str, said: list[str], nothing: str) -> str:
    said = said or [nothing]
    for number, text in (
        (plan.unchanged, "unchanged"),
        (len(plan.conflicts), "in conflict"),
        (len(plan.blocked), "blocked"),
        (len(plan.kept), "kept"),
    ):
        if number:
            said.append(f"{number} {text}")
    return click.style(f"{title} for {plan.cluster.name}: {', '.join(said)}", bold=True)


def _step_lines(step: Step) -> Iterator[str]:
    if isinstance(step, Revocation):
        yield click.style(f"{_SIGNS[step.action]} {step.action} {_tokens(step)}", fg=_COLOURS[step.action])
    else:
        yield from _change_lines(step)


def _effect_lines(notes: Notes) -> Iterator[str]:
    if notes.effects:
        decided = (
            f" (decided as {notes.dialect} does; the server is {plain(notes.server)})"
            if notes.dialect
            else ""
        )
        yield click.style(f"What this means{decided}:", bold=True)
    for effect in notes.effects:
        yield f"  {plain(effect.who)}"
        for change in effect.changes:
            yield from _meaning(change)
        if effect.untold:
            yield click.style(f"    ! can't be told: {plain(effect.untold)}", fg="yellow")


def _meaning(change: Meaning) -> Iterator[str]:
    where = plain(change.where)
    if change.gained:
        yield click.style(f"    + {where}: gains {', '.join(sorted(change.gained))}", fg="red")
    if change.lost:
        yield click.style(f"    - {where}: loses {', '.join(sorted(change.lost))}", fg="green")
    if change.limits:
        yield click.style(f"    ~ {where}: other limits on what is granted", fg="yellow")


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
    diff = unified(_lines(old), _lines(new), end="")
    for line in diff[2 if old else 3 :]:
        yield click.style(f"      {plain(line)}", fg=colours.get(line[:1]))


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, so that every other difference stays in a line and shows."""
    if not text:
        return []
    return text.removesuffix("\n").split("\n") + (
        [] if text.endswith("\n") else ["(no line feed at the end)"]
    )


def _note_lines(plan: Plan, notes: Notes) -> Iterator[str]:
    for found in plan.conflicts:
        text = f"! conflict {plain(found.path)} of service role {plain(found.role)}: {found.reason}; {found.remedy}"
        yield click.style(f"{text} ({plain(found.file)})", fg="red", bold=True)
    yield from (f"  blocked: {plain(path)} (its service role is in conflict)" for path in plan.blocked)
    yield from (f"  kept: {plain(path)} (--prune removes)" for path in plan.kept)
    yield from (f"  left alone: {plain(path)} (no policy with our mark owns it)" for path in plan.foreign)
    yield from (f"  stays: {plain(text)}" for text in notes.stays)
    yield from (click.style(f"! {text}", fg="yellow") for text in notes.lacks)


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return plain(value if value == ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False))
