"""Findings as text for people and as JSON for programs. Pure."""

from collections import Counter
from typing import Any

import click

from policies.apply.show import plain
from policies.review.lint.finding import Finding, Severity
from policies.review.lint.run import Report
from policies.review.lint.settings import Waiver

_COLOURS = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan"}


def text(report: Report, folder: str, settings_file: str) -> str:
    """One line a finding and one for what to do; then waivers that cover nothing, and the sum."""
    lines = [line for finding in report.findings for line in _lines(finding, folder)]
    lines += [
        plain(
            f"{settings_file}:{waiver.line}: the waiver of {waiver.rule} by {waiver.owner} covers nothing any more; remove it"
        )
        for waiver in report.unused
    ]
    return "\n".join([*lines, _sum(report)])


def _lines(finding: Finding, folder: str) -> list[str]:
    hit = finding.hit
    severity = click.style(str(finding.severity), fg=_COLOURS[finding.severity])
    note = f" ({finding.note})" if finding.note else ""
    place = plain(f"{folder}/{hit.file}:{hit.line}:{hit.column}")
    return [
        f"{place}: {finding.rule.id} {severity} {plain(hit.message + note)}",
        f"    fix: {plain(hit.fix)}",
    ]


def _sum(report: Report) -> str:
    found = severities(report)
    waived = f"; {len(report.waived)} waived" if report.waived else ""
    return (f"{len(report.findings)} found: {found}" if found else "Nothing found") + f"{waived}."


def severities(report: Report) -> str:
    """Such as `2 high, 1 low`."""
    counts = Counter(finding.severity for finding in report.findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in sorted(counts, reverse=True))


def as_json(report: Report) -> dict[str, Any]:
    return {
        "findings": [_finding(finding) for finding in report.findings],
        "waived": [_finding(finding) | {"waiver": waiver_json(waiver)} for finding, waiver in report.waived],
        "unusedWaivers": [waiver_json(waiver) for waiver in report.unused],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    hit = finding.hit
    return {
        "id": finding.rule.id,
        "severity": str(finding.severity),
        "title": finding.rule.title,
        "file": hit.file,
        "line": hit.line,
        "column": hit.column,
        "subject": hit.subject,
        "path": hit.path,
        "message": hit.message,
        "fix": hit.fix,
        "note": finding.note,
    }


def covered_json(waiver: Waiver | None) -> dict[str, Any]:
    """Beside what a waiver may cover."""
    return {"waiver": waiver_json(waiver) if waiver else None}


def waiver_json(waiver: Waiver) -> dict[str, Any]:
    return {
        "id": waiver.rule,
        "line": waiver.line,
        "reason": waiver.reason,
        "owner": waiver.owner,
        "until": waiver.until.isoformat(),
    }
