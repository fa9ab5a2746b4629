"""What a check says, and what stands in for a fact that could not be had. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

Result = Literal["ok", "failed", "unknown", "skipped"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer. `name` never changes between releases; `remedy` is empty where nothing is to be done."""

    name: str
    result: Result
    got: str
    expected: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that could not be had: why, and what lets it be read next time.

    `unknown` where it should have been read, `skipped` where nobody asked for it.
    """

    why: str
    remedy: str
    result: Literal["unknown", "skipped"] = "unknown"

    def finding(self, name: str) -> Finding:
        return Finding(name, self.result, self.why, "", self.remedy)


Fact: TypeAlias = T | Unread

MAX_LISTED = 10


def ok(name: str, got: str) -> Finding:
    return Finding(name, "ok", got)


def failed(name: str, *, got: str, expected: str, remedy: str) -> Finding:
    return Finding(name, "failed", got, expected, remedy)


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def listed(names: list[str] | tuple[str, ...]) -> str:
    """At most ten, and how many more there are."""
    shown = ", ".join(names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} more"
