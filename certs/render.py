"""Reports as text for a person and as JSON for a program. Neither holds key material. Pure."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from certs.problem import Problem
from certs.report import Authority, Report

_LABEL = 13  # the longest code of a finding
_UNITS = ((86400 * 3, 86400, "days"), (3600 * 3, 3600, "hours"), (60 * 3, 60, "minutes"), (0, 1, "seconds"))


def as_json(reports: Sequence[Report], messages: Sequence[str]) -> str:
    """`{"good", "certificates": [...], "unreadable": [messages]}`; times in RFC 3339."""
    good = not messages and not any(report.findings for report in reports)
    certificates = [_document(report) for report in reports]
    return json.dumps({"good": good, "certificates": certificates, "unreadable": list(messages)}, indent=2)


def full(report: Report) -> Text:
    """Everything that is known of one certificate, aligned, findings last."""
    lines = [Text(safe(report.path), style="bold")]
    for label, values in _facts(report):
        for number, value in enumerate(values):
            lines.append(_line(label if number == 0 else "", safe(value)))
    lines.append(verdict(report))
    return Text("\n").join(lines)


def verdict(report: Report) -> Text:
    """`good`, or one line for each finding."""
    if not report.findings:
        return _line("good", f"{remaining(report.remaining_seconds)} left", "bold green")
    return Text("\n").join(_finding(problem) for problem in report.findings)


def short(report: Report) -> Text:
    return Text("\n").join([Text(safe(report.path), style="bold"), verdict(report)])


def unreadable(message: str) -> Text:
    return _line("unreadable", safe(message), "bold red")


def remaining(seconds: int) -> str:
    """A duration in its largest fitting unit: `45 minutes`."""
    size, unit = next((size, unit) for least, size, unit in _UNITS if abs(seconds) >= least)
    return f"{abs(seconds) // size} {unit}"


def safe(text: str) -> str:
    """No control characters: a certificate's names could otherwise drive the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _facts(report: Report) -> Iterator[tuple[str, list[str]]]:
    yield "names", [f"{kind} {value}" for kind, value in report.names] or ["none"]
    if report.subject:
        yield "subject", [report.subject]
    yield "issuer", [report.issuer]
    yield "serial", [report.serial]
    yield "valid", [f"{_time(report.not_before)} to {_time(report.not_after)}", _left(report)]
    yield "key", [report.key + {True: ", matches", False: ", does not match", None: ""}[report.key_matches]]
    yield "usages", [", ".join((*report.usages, *report.key_usages)) or "none said: every use"]
    if report.kind != "issuer":
        yield "chain", [_chain(report), *_authorities(report.chain)]
        yield "trusts", list(_authorities(report.bundle)) or ["nothing here; give --ca FILE"]


def _chain(report: Report) -> str:
    return {
        True: "verified up to a trusted issuer",
        False: "does not reach a trusted issuer",
        None: "not checked: no bundle beside it; give --ca FILE",
    }[report.chain_verified]


def _authorities(items: Iterable[Authority]) -> Iterator[str]:
    return (f"{item.subject or 'an issuer without a name'}, to {_time(item.not_after)}" for item in items)


def _left(report: Report) -> str:
    duration = remaining(report.remaining_seconds)
    return f"{duration} left" if report.remaining_seconds >= 0 else f"ended {duration} ago"


def _time(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _finding(problem: Problem) -> Text:
    return _line(problem.code, safe(problem.message), "bold red")


def _line(label: str, value: str, style: str = "cyan") -> Text:
    return Text.assemble("  ", (f"{label:<{_LABEL}}", style), "  ", value)


def _document(report: Report) -> dict[str, object]:
    return {
        "path": report.path,
        "kind": report.kind,
        "names": [{"kind": kind, "value": value} for kind, value in report.names],
        "subject": report.subject,
        "issuer": report.issuer,
        "serial": report.serial,
        "notBefore": _rfc3339(report.not_before),
        "notAfter": _rfc3339(report.not_after),
        "remainingSeconds": report.remaining_seconds,
        "key": report.key,
        "keyMatches": report.key_matches,
        "extendedKeyUsages": report.usages,
        "keyUsages": report.key_usages,
        "chain": [_authority(item) for item in report.chain],
        "bundle": [_authority(item) for item in report.bundle],
        "chainVerified": report.chain_verified,
        "findings": [{"code": problem.code, "message": problem.message} for problem in report.findings],
    }


def _authority(item: Authority) -> dict[str, str]:
    return {"subject": item.subject, "notAfter": _rfc3339(item.not_after)}


def _rfc3339(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
