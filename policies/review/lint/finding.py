"""What a rule is, and what it finds."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from policies.acl.stanza import Stanza
from policies.review.inventory import AuthRole
from policies.review.lint.signers import Signer
from policies.review.lint.tree import Grant, Looked, Tree

# Of fields that begin with token_, as tokenutil takes them without it.
_OLD_NAMES = frozenset({"policies", "ttl", "max_ttl", "period"})


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
    """`subject`: the policy, the auth role as MOUNT/NAME, or the PKI role as MOUNT/roles/NAME. `path`: that of the stanza; else empty.

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
    """Where the field stands in the role's file, be it by its old name; at the beginning where it doesn't."""
    old = field.removeprefix("token_")
    names = (field, old) if old in _OLD_NAMES else (field,)
    return Hit(role.file, *_place(role.text, names), f"{role.mount}/{role.name}", "", message, fix)


def at_signer(signer: Signer, field: str, message: str, fix: str) -> Hit:
    return Hit(signer.file, *_place(signer.text, (field,)), signer.path, "", message, fix)


def _place(text: bytes, names: Iterable[str]) -> tuple[int, int]:
    """Line and column of a JSON file's first key that has one of the names."""
    content = text.decode("utf-8", "replace")
    keys = (re.search(rf'"{re.escape(name)}"\s*:', content) for name in names)
    found = next((key.start() for key in keys if key), 0)
    return content.count("\n", 0, found) + 1, found - content.rfind("\n", 0, found)
