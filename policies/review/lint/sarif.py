"""Findings as SARIF 2.1.0, as code hosts take them. Pure.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; section numbers below are its.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from policies.review.lint.catalogue import RULES
from policies.review.lint.finding import Finding, Rule, Severity
from policies.review.lint.run import Report
from policies.review.lint.settings import Waiver

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
_NUMBERS = {rule.id: number for number, rule in enumerate(RULES)}
# How GitHub sorts security findings: a number as text, at least 9 critical, 7 high, 4 medium.
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0"}


def document(report: Report, folder: str, version: str) -> dict[str, Any]:
    """`folder`: that of the policies, as the code host knows it, so relative to the repository; or the server."""
    results = [_result(finding, folder) for finding in report.findings]
    results += [_result(finding, folder) | _suppressed(waiver) for finding, waiver in report.waived]
    driver = {"name": "podkeys", "semanticVersion": version, "rules": [_rule(rule) for rule in RULES]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": f"docs/lint/{rule.id}.md says why, with a bad and a good example."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["security"], "security-severity": _SCORES[rule.severity]},
    }


def _result(finding: Finding, folder: str) -> dict[str, Any]:
    hit = finding.hit
    note = f" ({finding.note})" if finding.note else ""
    location = {
        "artifactLocation": {"uri": quote(f"{folder}/{hit.file}", safe="/:", errors="surrogateescape")},
        "region": {"startLine": hit.line, "startColumn": hit.column},
    }
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": _NUMBERS[finding.rule.id],
        "level": _LEVELS[finding.severity],
        "message": {"text": _unicode(f"{hit.message}{note}. {hit.fix[:1].upper()}{hit.fix[1:]}.")},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"subjectAndPath/v1": _fingerprint(finding)},
    }


def _fingerprint(finding: Finding) -> str:
    """The same as long as it is the same finding, wherever its line moves (3.27.17)."""
    hit = finding.hit
    said = json.dumps([finding.rule.id, hit.file, hit.subject, hit.path])
    return hashlib.sha256(said.encode()).hexdigest()


def _suppressed(waiver: Waiver) -> dict[str, Any]:
    until = waiver.until.isoformat()
    text = _unicode(f"{waiver.reason} ({waiver.owner}, until {until})")
    return {"suppressions": [{"kind": "external", "status": "accepted", "justification": text}]}


def _unicode(text: str) -> str:
    """Bytes that are no UTF-8 in a path stand as surrogates here, which JSON doesn't take."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
