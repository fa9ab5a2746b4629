"""`podkeys-lint.yaml`: severities that differ, when to fail, and waivers. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode

from policies.errors import ProblemsError
from policies.review.errors import ReviewError
from policies.review.lint.catalogue import BY_ID
from policies.review.lint.finding import Hit, Severity
from policies.roles.document import load, shown
from policies.roles.fields import Fields

Found = TypeVar("Found")
NEW_ACCESS = "new-access"  # waivers of what `diff --no-new-access` finds, with a subject
_SCALARS = frozenset({"str", "timestamp", "bool"})  # YAML takes 2030-01-31 for a date and off for a boolean


@dataclass(frozen=True, slots=True)
class Waiver:
    """Covers what a rule finds in `file`, of `subject` (a policy, or an auth role as MOUNT/NAME), on `path`; empty for any.

    `until`: the last day on which it counts.
    """

    rule: str
    file: str
    subject: str
    path: str
    reason: str
    owner: str
    until: date
    line: int

    @property
    def words(self) -> str:
        return f"waived until {self.until.isoformat()} by {self.owner}: {self.reason}"

    def covers(self, hit: Hit) -> bool:
        wanted = ((self.file, hit.file), (self.subject, hit.subject), (self.path, hit.path))
        return all(not mine or mine == theirs for mine, theirs in wanted)


@dataclass(frozen=True, slots=True)
class Settings:
    severities: Mapping[str, Severity] = field(default_factory=dict)
    fail_on: Severity = Severity.MEDIUM
    waivers: tuple[Waiver, ...] = ()


def parse(file: str, content: bytes) -> Settings:
    """Raises ProblemsError with all that is wrong."""
    if not content.strip():
        return Settings()
    fields = Fields(file)
    top = fields.mapping(load(file, content), "", (), ("failOn", "severities", "waivers"))
    severities = dict(_severities(fields, top.get("severities")))
    fail_on = _one(fields, top.get("failOn"), "failOn", _level, Severity.MEDIUM)
    waivers = tuple(_waivers(fields, top.get("waivers")))
    if fields.problems:
        raise ProblemsError(fields.problems)
    return Settings(severities, fail_on, waivers)


def overridden(settings: Settings, assignments: Iterable[str], fail_on: str) -> Settings:
    """With `ID=severity` of the command line, and its `--fail-on`, or empty. Raises ReviewError."""
    severities = dict(settings.severities)
    for assignment in assignments:
        name, _, level = assignment.partition("=")
        if name not in BY_ID:
            raise ReviewError(
                f"--severity: got {assignment!r}, expected ID=SEVERITY with an ID of docs/lint, such as PK115=high"
            )
        severities[name] = _severity(f"--severity {assignment}", level)
    least = _severity("--fail-on", fail_on) if fail_on else settings.fail_on
    return Settings(severities, least, settings.waivers)


def _severity(where: str, text: str) -> Severity:
    try:
        return _any_level(text)
    except ValueError as error:
        raise ReviewError(f"{where}: got {text!r}, expected {error}") from None


def _severities(fields: Fields, node: Node | None) -> Iterator[tuple[str, Severity]]:
    if node is not None:
        for name, value in fields.mapping(node, "severities", (), tuple(BY_ID)).items():
            yield name, _one(fields, value, f"severities.{name}", _any_level, Severity.OFF)


def _waivers(fields: Fields, node: Node | None) -> Iterator[Waiver]:
    for at, item in fields.items(node, "waivers"):
        found = fields.mapping(item, at, ("id", "reason", "owner", "until"), ("file", "subject", "path"))

        def text(name: str, found: Mapping[str, Node] = found, at: str = at) -> str:
            return fields.text(found.get(name), f"{at}.{name}", _something)

        if isinstance(item, MappingNode) and not ("file" in found or "subject" in found):
            fields.report(at, "got neither file nor subject, expected one: a waiver is for one place")
        rule = _one(fields, found.get("id"), f"{at}.id", _rule, "")
        until = _one(fields, found.get("until"), f"{at}.until", _day, date.min)
        line = item.start_mark.line + 1
        yield Waiver(
            rule, text("file"), text("subject"), text("path"), text("reason"), text("owner"), until, line
        )


def _one(
    fields: Fields, node: Node | None, at: str, parse_text: Callable[[str], Found], default: Found
) -> Found:  # fmt: skip
    """A scalar that `parse_text` takes; its ValueError says what was expected."""
    if node is None:
        return default
    expected = "a text"
    if isinstance(node, ScalarNode) and node.tag.rpartition(":")[2] in _SCALARS:
        try:
            return parse_text(node.value)
        except ValueError as error:
            expected = str(error)
    fields.report(at, f"got {shown(node)}, expected {expected}")
    return default


def _level(text: str) -> Severity:
    found = _any_level(text)
    if found is Severity.OFF:
        raise ValueError("one of critical, high, medium, low")
    return found


def _any_level(text: str) -> Severity:
    if text.upper() not in Severity.__members__:
        raise ValueError("one of critical, high, medium, low, off")
    return Severity[text.upper()]


def _rule(text: str) -> str:
    if text not in BY_ID and text != NEW_ACCESS:
        raise ValueError(f"an ID of docs/lint, such as PK115, or {NEW_ACCESS}")
    return text


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("a day such as 2030-01-31") from None


def _something(text: str) -> str | None:
    return None if text.strip() else "a text that says something"
