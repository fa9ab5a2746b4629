"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from policies.acl.stanza import Stanza
from policies.review.inventory import AuthRole
from policies.review.lint.tree import Grant, Looked, Tree


class Severity(IntEnum):
    """The larger, the worse. OFF is not looked at."""

    OFF = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Hit:
    """`subject`: the policy, or the auth role as MOUNT/NAME. `path`: that of the stanza; empty for an auth role.

    `message` says what was got and what was expected, `fix` what to do. Lines and columns count from 1.
    """

    file: str
    line: int
    column: int
    subject: str
    path: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is for good: it is never given to another rule. `docs/lint/<id>.md` is its page."""

    id: str
    severity: Severity
    title: str
    check: Callable[[Tree], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: why a waiver for it doesn't count any more, or empty."""

    rule: Rule
    severity: Severity
    hit: Hit
    note: str = ""


def at(grant: Grant, message: str, fix: str) -> Hit:
    return at_stanza(grant.of, grant.stanza, message, fix)


def at_stanza(looked: Looked, stanza: Stanza, message: str, fix: str) -> Hit:
    file = looked.file
    return Hit(file.file, stanza.line, stanza.column, file.name, stanza.path, message, fix)


def at_policy(looked: Looked, message: str, fix: str) -> Hit:
    return Hit(looked.file.file, 1, 1, looked.file.name, "", message, fix)


def at_role(role: AuthRole, field: str, message: str, fix: str) -> Hit:
    """Where the field stands in the role's file; at its beginning where it doesn't."""
    found = max(role.text.find(f'"{field}"'.encode()), 0)
    line = role.text.count(b"\n", 0, found) + 1
    column = found - role.text.rfind(b"\n", 0, found)
    return Hit(role.file, line, column, f"{role.mount}/{role.name}", "", message, fix)
