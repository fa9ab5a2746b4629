"""Which gains of a change somebody answers for, until a day. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias, TypeVar

from policies.acl.changes import Change
from policies.review.diff import LoginChange
from policies.review.lint.settings import NEW_ACCESS, Waiver

_Found = TypeVar("_Found", Change, LoginChange)
Marked: TypeAlias = tuple[_Found, Waiver | None]  # with the waiver that covers its gain today, if it is one


@dataclass(frozen=True, slots=True)
class Gain:
    """As a waiver names it: `pattern` as a policy writes it; empty for who may log in."""

    subject: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.pattern or 'who may log in'}"


def gain(change: Change | LoginChange) -> Gain | None:
    """None for what only takes away."""
    if isinstance(change, Change):
        return Gain(change.subject, change.pattern) if change.gained or change.limits else None
    is_one = change.gained or change.otherwise or change.unknown
    return Gain(change.role, "") if is_one else None


def covers(waiver: Waiver, gain: Gain) -> bool:
    """A waiver of a path covers that pattern alone, and no login."""
    return waiver.subject == gain.subject and waiver.path.removeprefix("/") in ("", gain.pattern)


def for_gains(waivers: Iterable[Waiver]) -> tuple[Waiver, ...]:
    return tuple(waiver for waiver in waivers if waiver.rule == NEW_ACCESS)


def marked(changes: Iterable[_Found], waivers: Iterable[Waiver], today: date) -> list[Marked[_Found]]:
    """In their order; of several waivers that cover one, the one that lasts longest."""
    current = sorted(
        (waiver for waiver in for_gains(waivers) if today <= waiver.until),
        key=lambda waiver: waiver.until,
        reverse=True,
    )
    return [(change, _of(gain(change), current)) for change in changes]


def _of(found: Gain | None, waivers: Iterable[Waiver]) -> Waiver | None:
    return next((waiver for waiver in waivers if found and covers(waiver, found)), None)
