"""Answers as text for people and as JSON for programs. Pure.

What comes from files may hold control characters that would hide a line on a terminal: they are shown escaped.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import click

from policies.acl.changes import Change
from policies.acl.rules import Rule
from policies.acl.stanza import Stanza
from policies.apply.show import plain
from policies.review.diff import LoginChange
from policies.review.examples import Failure
from policies.review.questions import Answer
from policies.review.reach import Reach
from policies.review.subjects import Subject


def place(stanza: Stanza) -> str:
    return f"{stanza.policy}:{stanza.line}"


def who_text(answers: list[Answer], operation: str, path: str) -> str:
    if not answers:
        return f"Nobody can {operation} {path}."
    lines = [
        f"{plain(answer.subject.name)}{_condition(answer)}\n{_accounts(answer)}{_by(answer)}"
        for answer in answers
    ]
    return "\n".join([*lines, "", f"{len(answers)} can {operation} {path}."])


def _condition(answer: Answer) -> str:
    return f", {answer.condition}" if answer.condition else ""


def _accounts(answer: Answer) -> str:
    return "".join(f"    {plain(str(account))}\n" for account in answer.subject.accounts)


def _by(answer: Answer) -> str:
    return "".join(
        f"    by {plain(place(stanza))}: {plain(stanza.path)}\n" for stanza in answer.stanzas
    ).rstrip("\n")


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "subject": answer.subject.name,
        "allowed": answer.decision.allowed,
        "condition": answer.condition,
        "reason": answer.decision.reason.value,
        "serviceAccounts": _accounts_json(answer.subject),
        "by": [_stanza_json(stanza) for stanza in answer.stanzas],
        "lost": [_stanza_json(stanza) for rule in answer.decision.lost for stanza in rule.stanzas],
        "missingPolicies": list(answer.subject.missing),
    }


def _stanza_json(stanza: Stanza) -> dict[str, Any]:
    return {
        "file": stanza.policy,
        "line": stanza.line,
        "column": stanza.column,
        "path": stanza.path,
        "capabilities": sorted(stanza.capabilities),
    }


def explain_text(answer: Answer, advice: str) -> str:
    decision = answer.decision
    lines = [f"{plain(answer.subject.name)}: {_verdict(answer)}"]
    lines += [f"  decided by {_shown(rule)}" for rule in (decision.deciding,) if rule]
    lines += [f"  lost, as it is less close: {_shown(rule)}" for rule in decision.lost]
    lines += [f"  names a policy that isn't here: {plain(name)}" for name in answer.subject.missing]
    lines += [f"  to allow it: {plain(advice)}"] if advice else []
    return "\n".join(lines)


def _verdict(answer: Answer) -> str:
    if answer.decision.allowed:
        return click.style("yes", fg="green")
    if answer.may:
        return click.style(f"yes, {answer.condition}", fg="yellow")
    about = f" ({plain(answer.decision.about)})" if answer.decision.about else ""
    return click.style(f"no: {answer.decision.reason.value}", fg="red") + about


def _shown(rule: Rule) -> str:
    places = ", ".join(place(stanza) for stanza in rule.stanzas)
    return plain(f"{rule.pattern} [{', '.join(sorted(rule.capabilities))}] at {places}")


def reach_text(subject: Subject, found: list[Reach]) -> str:
    lines = [plain(f"{subject.name}{''.join(f', {account}' for account in subject.accounts)}")]
    for meaning, group in groupby(found, key=lambda one: one.meaning):
        lines += [f"  {meaning}", *(f"    {_reached(one)}" for one in group)]
    return "\n".join(lines if found else [*lines, "  nothing"])


def _reached(one: Reach) -> str:
    limits = ", limited" if one.limited else ""
    return plain(f"{one.rule.pattern} [{', '.join(sorted(one.rule.capabilities))}{limits}]")


def reach_json(subject: Subject, found: list[Reach]) -> dict[str, Any]:
    return {
        "subject": subject.name,
        "serviceAccounts": _accounts_json(subject),
        "reach": [
            {
                "meaning": one.meaning,
                "path": str(one.rule.pattern),
                "capabilities": sorted(one.rule.capabilities),
                "limited": one.limited,
                "by": [_stanza_json(stanza) for stanza in one.rule.stanzas],
            }
            for one in found
        ],
    }


def _accounts_json(subject: Subject) -> list[dict[str, str]]:
    return [
        {"namespace": account.namespace, "name": account.name, "selector": account.selector}
        for account in subject.accounts
    ]


def failure_json(failure: Failure) -> dict[str, Any]:
    example = failure.example
    return {
        "file": example.place.file,
        "line": example.place.line,
        "subject": example.subject,
        "operation": example.operation,
        "path": example.path,
        "expected": example.expected,
        "why": failure.why,
        "answers": [answer_json(answer) for answer in failure.answers],
    }


def failure_text(failure: Failure) -> str:
    example, place = failure.example, failure.example.place
    asked = plain(f"{example.subject} {example.operation} {example.path}")
    at = f"{place.file}:{place.line}:{place.column}: {asked}"
    if failure.why:
        return f"{at}: {plain(failure.why)}"
    got = "denied" if example.expected == "allowed" else "allowed"
    reasons = (line for one in failure.answers for line in explain_text(one, "").splitlines())
    return "\n".join([f"{at}: got {got}, expected {example.expected}", *(f"  {line}" for line in reasons)])


def diff_text(changes: Iterable[Change], logins: Iterable[LoginChange]) -> str:
    lines = [line for change in changes for line in _change_lines(change)]
    lines += [line for login in logins for line in _login_lines(login)]
    return "\n".join(lines) or "No change in what anybody can do."


def _change_lines(change: Change) -> list[str]:
    since = f", from {change.since.isoformat(timespec='seconds')} on" if change.since else ""
    where = plain(f"{change.subject}: {change.witness}{since}")
    rule = change.new or change.old
    by = plain(", ".join(place(stanza) for stanza in rule.stanzas)) if rule else ""
    found = (
        [click.style(f"+ {where}: gains {', '.join(sorted(change.gained))}", fg="red")]
        if change.gained
        else []
    )
    found += (
        [click.style(f"- {where}: loses {', '.join(sorted(change.lost))}", fg="green")] if change.lost else []
    )
    found += (
        [click.style(f"~ {where}: other limits on what is granted", fg="yellow")] if change.limits else []
    )
    return [*found, f"    by {by}"]


def _login_lines(change: LoginChange) -> list[str]:
    role = plain(change.role)
    found = [click.style(f"+ {role}: {plain(one)} may log in", fg="red") for one in change.gained]
    found += [
        click.style(f"- {role}: {plain(one)} may not log in any more", fg="green") for one in change.lost
    ]
    found += [
        click.style(f"+ {role}: names the policy {plain(one)}, which isn't in the folder", fg="red")
        for one in change.unknown
    ]
    other = click.style(f"~ {role}: asks something else of whoever logs in", fg="yellow")
    return [*found, other] if change.otherwise else found


def change_json(change: Change) -> dict[str, Any]:
    def stanzas(rule: Rule | None) -> list[dict[str, Any]]:
        return [_stanza_json(stanza) for stanza in rule.stanzas] if rule else []

    return {
        "subject": change.subject,
        "witness": change.witness,
        "gained": sorted(change.gained),
        "lost": sorted(change.lost),
        "limits": change.limits,
        "since": change.since.isoformat() if change.since else None,
        "old": stanzas(change.old),
        "new": stanzas(change.new),
    }
