"""Findings as text for people and as JSON for programs. Pure.

What clusters and servers say may hold control characters that would hide a line on a terminal: they are shown escaped.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import click

from cluster.finding import Finding, Result
from cluster.preparation import Plan, Step
from policies.apply.show import plain

_COLOURS: dict[Result, str] = {"ok": "green", "failed": "red", "unknown": "yellow", "skipped": "bright_black"}
_INDENT = " " * 8


def text(findings: Sequence[Finding]) -> str:
    lines = [line for names, item in _grouped(findings) for line in _lines(names, item)]
    return "\n".join([*lines, "", summary(findings)])


def _grouped(findings: Sequence[Finding]) -> Iterator[tuple[str, Finding]]:
    """Checks that could not be made for one reason are one entry, where the first of them stands."""
    groups: dict[Finding, list[str]] = {}
    for item in findings:
        groups.setdefault(replace(item, name=""), []).append(item.name)
    return ((", ".join(names), item) for item, names in groups.items())


def _lines(names: str, item: Finding) -> Iterator[str]:
    yield f"{click.style(f'{item.result:8}{names}', fg=_COLOURS[item.result])}: {plain(item.got)}"
    if item.expected:
        yield f"{_INDENT}expected: {plain(item.expected)}"
    if item.remedy:
        yield f"{_INDENT}to do: {plain(item.remedy)}"


def summary(findings: Sequence[Finding]) -> str:
    counts = Counter(item.result for item in findings)
    return ", ".join(f"{counts[result]} {result}" for result in _COLOURS if counts[result])


def as_json(cluster: str, findings: Sequence[Finding]) -> dict[str, Any]:
    fields = ("name", "result", "got", "expected", "remedy")
    return {
        "cluster": cluster,
        "checks": [{field: getattr(item, field) for field in fields} for item in findings],
    }


def plan_text(plan: Plan, done: Sequence[Step]) -> str:
    """What is missing, or after making it, what is left."""
    lines = [click.style(f"+ {plain(step.says)}", fg="green") for step in plan.steps]
    lines += [click.style(f"! differs, left as it is: {plain(text)}", fg="yellow") for text in plan.differs]
    lines += [f"  yours: {plain(text)}" for text in plan.yours]
    return "\n".join([*lines, *([""] if lines else []), _plan_summary(plan, done)])


def _plan_summary(plan: Plan, done: Sequence[Step]) -> str:
    differs = f", {len(plan.differs)} differ" if plan.differs else ""
    if done:
        return f"{len(done)} made{differs}"
    if plan.steps:
        return f"{len(plan.steps)} to make (--apply makes them){differs}"
    return f"nothing is missing{differs}"


def made_line(step: Step) -> str:
    return click.style(f"+ made: {plain(step.says)}", fg="green")


def plan_json(cluster: str, plan: Plan, done: Sequence[Step]) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "made": [step.path for step in done],
        "missing": [{"path": step.path, "fields": step.fields, "says": step.says} for step in plan.steps],
        "differs": list(plan.differs),
        "yours": list(plan.yours),
    }
