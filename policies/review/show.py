"""Answers as text for people and as JSON for programs. Pure.

What comes from files may hold control characters that would hide a line on a terminal: they are shown escaped.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import click

from policies.acl.changes import Change
from policies.acl.logins import Account
from policies.acl.rules import Rule
from policies.acl.stanza import Stanza
from policies.apply.show import plain
from policies.review.clusters import Now
from policies.review.diff import LoginChange
from policies.review.examples import Failure
from policies.review.questions import Answer
from policies.review.reach import Reach
from policies.review.subjects import Subject

_NOWHERE = "fits no namespace of this cluster now"


def place(stanza: Stanza) -> str:
    return f"{stanza.policy}:{stanza.line}"


def who_text(answers: list[Answer], operation: str, path: str, unknown: Iterable[str] = ()) -> str:
    """`unknown`: who else may be able to, in words."""
    lines = [
        f"{plain(answer.subject.name)}{_condition(answer)}\n{_accounts(answer)}{_by(answer)}"
        for answer in answers
    ]
    untold = [f"unknown: {plain(what)}" for what in unknown]
    some = f"{len(answers)} can" if answers else "Nobody can"
    end = f"{some} {operation} {path}{', as far as is known' if untold else ''}."
    return "\n".join([*lines, *untold, *([""] if lines or untold else []), end])


def _condition(answer: Answer) -> str:
    return f", {answer.condition}" if answer.condition else ""


def _accounts(answer: Answer) -> str:
    subject = answer.subject
    who = (subject.who,) if subject.who else ()
    accounts = (_account(one, subject) for one in subject.accounts)
    return "".join(f"    {plain(one)}\n" for one in (*accounts, *who))


def _account(one: Account, subject: Subject) -> str:
    """With the namespaces that a pattern or a selector fits now; it will fit those that are made later, too."""
    if not subject.cluster:
        return str(one)
    now = subject.cluster.now(one)
    if now.namespaces == (one.namespace,):
        return str(one)
    found = f"now {', '.join(now.namespaces)}" if now.namespaces else _NOWHERE
    return f"{one}: {now.why or found}"


def _by(answer: Answer) -> str:
    return "\n".join(
        plain(f"    by {place(stanza)}: {stanza.path}{_from(stanza, answer.subject)}")
        for stanza in answer.stanzas
    )


def _from(stanza: Stanza, subject: Subject) -> str:
    way = _way(stanza, subject)
    return f", from {way}" if way else ""


def _way(stanza: Stanza, subject: Subject) -> str:
    """From what the stanza's policy comes, where it isn't the login."""
    return next((str(way) for _, file, way in subject.ways if file == stanza.policy), "")


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "subject": answer.subject.name,
        "who": answer.subject.who,
        "allowed": answer.decision.allowed,
        "condition": answer.condition,
        "reason": answer.decision.reason.value,
        "serviceAccounts": _accounts_json(answer.subject),
        "by": _given_json(answer.stanzas, answer.subject),
        "lost": [
            found for rule in answer.decision.lost for found in _given_json(rule.stanzas, answer.subject)
        ],
        "missingPolicies": list(answer.subject.missing),
    }


def unknown_json(what: str) -> dict[str, Any]:
    """In place of an answer about whoever couldn't be asked about."""
    nothing: dict[str, list[object]] = {"serviceAccounts": [], "by": [], "lost": [], "missingPolicies": []}
    return {"subject": "unknown", "who": what, "allowed": None, "condition": "", "reason": what, **nothing}


def _given_json(stanzas: Iterable[Stanza], subject: Subject) -> list[dict[str, Any]]:
    return [_stanza_json(stanza) | {"from": _way(stanza, subject)} for stanza in stanzas]


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
    lines += [f"  decided by {_shown(rule, answer.subject)}" for rule in (decision.deciding,) if rule]
    lines += [f"  lost, as it is less close: {_shown(rule, answer.subject)}" for rule in decision.lost]
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


def _shown(rule: Rule, subject: Subject) -> str:
    places = ", ".join(f"{place(stanza)}{_from(stanza, subject)}" for stanza in rule.stanzas)
    return plain(f"{rule.pattern} [{', '.join(sorted(rule.capabilities))}] at {places}")


def reach_text(subject: Subject, found: list[Reach]) -> str:
    accounts = "".join(f", {_account(one, subject)}" for one in subject.accounts)
    lines = [plain(f"{subject.name}{accounts}")]
    lines += [f"  {plain(subject.who)}"] if subject.who else []
    for meaning, group in groupby(found, key=lambda one: one.meaning):
        lines += [f"  {meaning}", *(f"    {_reached(one, subject)}" for one in group)]
    return "\n".join(lines if found else [*lines, "  nothing"])


def _reached(one: Reach, subject: Subject) -> str:
    limits = ", limited" if one.limited else ""
    ways = "".join(dict.fromkeys(_from(stanza, subject) for stanza in one.rule.stanzas))
    filled = "".join(f", {selector}: {said}" for selector, said in one.filled.items())
    return plain(f"{one.rule.pattern} [{', '.join(sorted(one.rule.capabilities))}{limits}]{ways}{filled}")


def reach_json(subject: Subject, found: list[Reach]) -> dict[str, Any]:
    return {
        "subject": subject.name,
        "who": subject.who,
        "serviceAccounts": _accounts_json(subject),
        "reach": [
            {
                "meaning": one.meaning,
                "path": str(one.rule.pattern),
                "capabilities": sorted(one.rule.capabilities),
                "limited": one.limited,
                "templates": dict(one.filled),
                "by": _given_json(one.rule.stanzas, subject),
            }
            for one in found
        ],
    }


def _accounts_json(subject: Subject) -> list[dict[str, Any]]:
    return [
        {"namespace": account.namespace, "name": account.name, "selector": account.selector}
        | (_now_json(subject.cluster.now(account)) if subject.cluster else {})
        for account in subject.accounts
    ]


def _now_json(now: Now) -> dict[str, Any]:
    """`now` is null where the namespaces can't be told, and `why` says so."""
    return {"now": None if now.namespaces is None else list(now.namespaces), "why": now.why}


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
    where = plain(f"{change.subject}: {change.where}{since}")
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
    other = click.style(f"~ {role}: {change.otherwise}", fg="yellow")
    return [*found, other] if change.otherwise else found


def change_json(change: Change) -> dict[str, Any]:
    def stanzas(rule: Rule | None) -> list[dict[str, Any]]:
        return [_stanza_json(stanza) for stanza in rule.stanzas] if rule else []

    return {
        "subject": change.subject,
        "witness": change.witness,
        "where": dict(change.given),
        "gained": sorted(change.gained),
        "lost": sorted(change.lost),
        "limits": change.limits,
        "since": change.since.isoformat() if change.since else None,
        "old": stanzas(change.old),
        "new": stanzas(change.new),
    }
