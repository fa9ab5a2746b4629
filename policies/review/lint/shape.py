"""What a policy says otherwise than it looks: rules about how stanzas decide. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from policies.acl.dialects import Dialect
from policies.acl.language import TooManyError, states
from policies.acl.paths import Kind
from policies.acl.rules import LISTING, Rules
from policies.acl.rules import Rule as Decider
from policies.acl.stanza import Stanza
from policies.review.lint.finding import Hit, at, at_policy, at_role, at_stanza
from policies.review.lint.tree import Looked, Tree, expired

MOST_SEGMENTS = 100  # comparing more takes longer than a few seconds; people write a few
_KEY = r"(?:metadata\.[^}]+|id|name)"
_SELECTOR = re.compile(
    rf"identity\.entity\.(?:{_KEY}|aliases\.[^.]+\.(?:custom_)?{_KEY})|identity\.groups\.(?:ids|names)\.[^.]+\.{_KEY}"
    r"|time\.now(?:\.(?:plus|minus)\.[^.}]+)?"
)


def refused(tree: Tree) -> Iterator[Hit]:
    """What the server doesn't take."""
    for error in tree.broken:
        yield Hit(
            error.policy,
            error.line,
            error.column,
            error.policy,
            "",
            error.message,
            "write what the server takes",
        )


@dataclass(frozen=True, slots=True)
class Oddity:
    """What in a path is something else than it looks like; `what` is said of it."""

    is_in: Callable[[str], bool]
    what: str
    fix: str

    def __call__(self, tree: Tree) -> Iterator[Hit]:
        for looked, stanza in tree.stanzas:
            if self.is_in(stanza.path):
                yield at_stanza(looked, stanza, f'got "{stanza.path}", {self.what}', self.fix)


STARS = Oddity(
    lambda path: "*" in path.removesuffix("*"),
    "in which a * before the end is plain text, expected * only at the end",
    "write + for a segment, or one * at the end",
)
PLUSES = Oddity(
    lambda path: any("+" in part and part != "+" for part in path.split("/")),
    "in which + is plain text, expected + as a whole segment",
    "write + alone between slashes, or * at the end",
)
SLASHES = Oddity(
    lambda path: "//" in path,
    "expected no empty segment: it matches no usual request",
    "write one slash",
)


def undecided(tree: Tree) -> Iterator[Hit]:
    """Stanzas that never decide, whatever the path: others are closer wherever they match."""
    fix = "remove the stanza, or the one that is closer everywhere"
    for looked in tree.policies.values():
        for grant in looked.grants:
            wrong = [part for part in _selectors(grant.stanza.path) if not _SELECTOR.fullmatch(part)]
            if wrong:
                message = f'got "{grant.stanza.path}" with {{{{{wrong[0]}}}}}, which never has a value, expected a name that the server knows'
                yield at(grant, message, "correct the template")
        try:
            never = _never(looked.rules)
        except TooManyError as error:
            yield at_policy(looked, str(error), "split the policy")
            continue
        for stanza in never:
            message = f'got "{stanza.path}", but other stanzas are closer on each path that it matches; expected one that decides'
            yield at_stanza(looked, stanza, message, fix)


def _selectors(path: str) -> list[str]:
    return [piece.partition("}}")[0].strip() for piece in path.split("{{")[1:]]


def _never(rules: Rules) -> list[Stanza]:
    """A path without + always decides for some path, and no path without wildcards takes all paths from a pattern.

    Raises TooManyError.
    """
    wild = _wild(rules)
    if not any(rule.pattern.kind is Kind.SEGMENT for rule in wild):
        return []
    decide = set()
    for path in _paths(wild):
        for listing in (False, True):
            found = rules.candidates(path, listing=listing)
            decide.add(next((rule.pattern for rule in found if rule.pattern.kind is not Kind.EXACT), None))
    return [rule.stanzas[0] for rule in wild if rule.pattern not in decide]


def _wild(rules: Rules) -> list[Decider]:
    return [rule for rule in rules if rule.pattern.kind is not Kind.EXACT]


def _paths(wild: list[Decider]) -> Iterator[str]:
    """One of each class that patterns with wildcards divide paths into. Raises TooManyError."""
    segments = sum(rule.pattern.kind is Kind.SEGMENT for rule in wild)
    if segments > MOST_SEGMENTS:
        raise TooManyError(
            f"got {segments} patterns with + in one policy, expected at most {MOST_SEGMENTS} to compare"
        )
    for raw in states(rule.pattern for rule in wild):
        yield raw.decode("utf-8", "surrogateescape")


def by_dialect(tree: Tree) -> Iterator[Hit]:
    """What servers decide differently."""
    for looked in tree.policies.values():
        if looked.twice:
            error = looked.twice
            yield Hit(
                looked.file.file,
                error.line,
                error.column,
                looked.file.name,
                "",
                f"{error.message}; older servers add both up, newer ones refuse the policy",
                "write it once",
            )
        try:
            differing = _differing(looked, tree.reading.dialect)
        except TooManyError as error:
            yield at_policy(looked, str(error), "split the policy")
            continue
        if differing:
            path, rule = differing
            message = (
                f'got "{rule.stanzas[0].path}", which decides about a list of {path} on newer servers alone (CVE-2026-63131); expected '
                "one answer everywhere"
            )
            yield at_stanza(
                looked, rule.stanzas[0], message, "name the path both with and without its last slash"
            )


def _differing(looked: Looked, dialect: Dialect) -> tuple[str, Decider] | None:
    """A path that is listed by another rule where the slash is cut early. Raises TooManyError."""
    wild = _wild(looked.rules)
    if len(wild) < 2 or not any(_lists(rule) for rule in wild):  # noqa: PLR2004 - one has none to differ from
        return None
    new, old = (
        Rules([looked.policy], dialect=replace(dialect, slash_late=late), now=looked.reading.now)
        for late in (True, False)
    )
    for path in _paths(wild):
        late, early = new.decider(path, listing=True), old.decider(path, listing=True)
        if late and _lists(late) != _lists(early):
            return path, late
    return None


def _lists(rule: Decider | None) -> frozenset[str]:
    return rule.capabilities & LISTING if rule else frozenset()


def old_words(tree: Tree) -> Iterator[Hit]:
    for looked, stanza in tree.stanzas:
        if stanza.legacy:
            message = (
                f'got policy = "{stanza.legacy}" on "{stanza.path}", expected capabilities: the old word grants '
                f"{', '.join(sorted(stanza.capabilities)) or 'nothing any more'}"
            )
            yield at_stanza(looked, stanza, message, "write the capabilities that are needed")


def orphans(tree: Tree) -> Iterator[Hit]:
    """Where there are auth roles at all. Tokens have `default` without one, and it can't be deleted."""
    named = {name for role in tree.roles for name in role.policies} | {"default"}
    for name, looked in tree.policies.items():
        if tree.roles and name not in named:
            yield at_policy(
                looked,
                f"got the policy {looked.file.name}, which no auth role has, expected one that has it",
                "remove the policy, or name it in an auth role",
            )


def ended(tree: Tree) -> Iterator[Hit]:
    for looked, stanza in tree.stanzas:
        if stanza.expiration and expired(stanza, tree.reading.now):
            message = f'got "{stanza.path}" with an expiration of {stanza.expiration.isoformat()}, which is past, expected one to come'
            yield at_stanza(looked, stanza, message, "remove the stanza")


def upper_case(tree: Tree) -> Iterator[Hit]:
    """The server keeps names of policies and of auth roles in lower case; paths keep their case."""
    fix = "rename it, so that a file is found by the name that the server has"
    for looked in tree.policies.values():
        name = looked.file.name
        if name != name.lower():
            yield at_policy(
                looked, f"got the policy name {name}, expected {name.lower()}, under which it is kept", fix
            )
    for role in tree.roles:
        if role.login.method and role.name != role.name.lower():
            message = f"got the role name {role.name}, expected {role.name.lower()}, under which it is kept"
            yield at_role(role, "path", message, fix)
