"""Rules and waivers over a tree. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from policies.review.lint.catalogue import RULES
from policies.review.lint.finding import Finding, Severity
from policies.review.lint.settings import NEW_ACCESS, Settings, Waiver
from policies.review.lint.tree import Tree


@dataclass(frozen=True, slots=True)
class Report:
    """`findings`, by file, line and rule, are what fails or may; `waived` those that a waiver covers at this time.

    `unused`: waivers that cover nothing.
    """

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]
    unused: tuple[Waiver, ...]

    def fails(self, least: Severity) -> bool:
        return any(finding.severity >= least for finding in self.findings)


def lint(tree: Tree, settings: Settings, today: date) -> Report:
    findings: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    used: set[Waiver] = set()
    by_rule: dict[str, list[Waiver]] = {}
    for waiver in settings.waivers:
        by_rule.setdefault(waiver.rule, []).append(waiver)
    for finding in found(tree, settings):
        covering = [waiver for waiver in by_rule.get(finding.rule.id, ()) if waiver.covers(finding.hit)]
        used.update(covering)
        current = next((waiver for waiver in covering if today <= waiver.until), None)
        if current:
            waived.append((finding, current))
        else:
            findings.append(_ended(finding, covering))
    unused = tuple(waiver for waiver in settings.waivers if waiver not in used and waiver.rule != NEW_ACCESS)
    return Report(tuple(sorted(findings, key=_order)), tuple(waived), unused)


def found(tree: Tree, settings: Settings) -> Iterator[Finding]:
    """Each once, though several tokens lead to it."""
    for rule in RULES:
        severity = settings.severities.get(rule.id, rule.severity)
        if severity is not Severity.OFF:
            yield from (Finding(rule, severity, hit) for hit in dict.fromkeys(rule.check(tree)))


def _ended(finding: Finding, covering: Iterable[Waiver]) -> Finding:
    notes = [f"the waiver of {waiver.owner} ended on {waiver.until.isoformat()}" for waiver in covering]
    return Finding(finding.rule, finding.severity, finding.hit, "; ".join(notes))


def _order(finding: Finding) -> tuple[str, int, int, str]:
    return finding.hit.file, finding.hit.line, finding.hit.column, finding.rule.id
