"""What each service may do: with which secrets, and what else. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from policies.acl.paths import Kind, Pattern
from policies.acl.rules import Rule, Rules, ruled
from policies.acl.stanza import FREE
from policies.review.lint.tree import expired
from policies.review.meanings import Meaning, meaning
from policies.review.report.services import Service
from policies.review.subjects import Policies

# Those of engines and keys may be a key-value store's, whose secrets have such names.
_SECRETS = frozenset({Meaning.READS, Meaning.WRITES, Meaning.CREDENTIALS, Meaning.ENGINES, Meaning.KEYS})
_NO_POWER = frozenset({Meaning.READS, Meaning.WRITES, Meaning.OWN_TOKEN, Meaning.EVERY_TOKEN})
_SERVERS_OWN = (b"auth/", b"identity/", b"sys/")
_WRITING = frozenset({"create", "update", "patch", "delete"})
_NOBODY_NAMES = b"\0"  # in a path that stands for those of a pattern: servers take no path with it
_PLUS = re.compile(rb"(?<![^/])\+(?![^/])")


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """`path` as policies write it: one path, a pattern, or a template. `server`: on which it is; empty where nothing tells."""

    path: str
    server: str


@dataclass(frozen=True, slots=True)
class Mark:
    """`limited`: by parameters, wrapping, pages, a control group, or what a template is filled with.

    `named`: by a policy of the service, and not only taken in by its wildcards.
    """

    read: bool
    write: bool
    limited: bool
    named: bool = True

    def __str__(self) -> str:
        text = "R" * self.read + "W" * self.write
        return f"({text})" if self.limited else text


@dataclass(frozen=True, slots=True)
class Power:
    """Something else than secrets. `meaning` as `reach` calls it."""

    meaning: Meaning
    path: str
    capabilities: tuple[str, ...]
    limited: bool
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    service: Service
    secrets: Mapping[Secret, Mark]
    powers: tuple[Power, ...]


def accesses(services: Iterable[Service], policies: Policies, now: datetime) -> list[Access]:
    """In the order of the services. Raises ReviewError for a policy that can't be parsed.

    A service is marked at what it names, and at what others name and its wildcards take in. A pattern is decided as those of its
    paths are that nothing closer names. What may be on any server is marked on each.
    """
    known = [_known(service, policies, now) for service in services]
    servers = sorted({one.service.server for one in known if one.service.server}) or [""]
    named: dict[str, dict[str, Pattern]] = {server: {} for server in servers}
    for one in known:
        for server in _servers(one, servers):
            named[server].update((str(rule.pattern), rule.pattern) for rule in one.all if _secret(rule))
    return [_access(one, {server: named[server] for server in _servers(one, servers)}) for one in known]


@dataclass(frozen=True, slots=True)
class _Known:
    """`all`: with a rule for each template, though nobody knows before a login what it is filled with."""

    service: Service
    rules: Rules
    all: tuple[Rule, ...]


def _known(service: Service, policies: Policies, now: datetime) -> _Known:
    names = service.subject.policies
    stanzas = (one for name in names for one in policies[name].stanzas if one.templated)
    templates = (ruled(one.path, one) for one in stanzas if not expired(one, now))
    rules = policies.rules(service.subject)
    return _Known(service, rules, (*rules, *filter(None, templates)))


def _servers(known: _Known, servers: list[str]) -> list[str]:
    return [known.service.server] if known.service.server else servers


def _access(known: _Known, named: Mapping[str, Mapping[str, Pattern]]) -> Access:
    """`named` by server."""
    secrets = {
        Secret(path, server): mark
        for server, there in named.items()
        for path, mark in _marks(known, there).items()
    }
    powers = sorted(_powers(known.all), key=lambda one: (one.meaning, one.path))
    return Access(known.service, secrets, tuple(powers))


def _secret(rule: Rule) -> bool:
    """Whether it is about secrets: what takes in all mounts takes in theirs.

    A pattern that begins with a slash is about nothing, as servers strip those of a request.
    """
    if rule.pattern.text.startswith((b"/", *_SERVERS_OWN)):
        return False
    return meaning(rule) in _SECRETS or (_everything(rule) and _mark(rule) is not None)


def _everything(rule: Rule) -> bool:
    return str(rule.pattern).startswith(("*", "+"))


def _marks(known: _Known, named: Mapping[str, Pattern]) -> dict[str, Mark]:
    own = {str(rule.pattern): rule for rule in known.all if _secret(rule)}
    wild = [rule.pattern for rule in known.rules if rule.pattern.kind is not Kind.EXACT]
    taken_in = [
        text for text, aims in named.items() if wild and any(one.matches(_typical(aims)) for one in wild)
    ]
    marks: dict[str, Mark] = {}
    for text in sorted({*own, *taken_in}):
        is_template = text in own and _templated(own[text])
        rule = own[text] if is_template else known.rules.decider(_text(named[text]), listing=False)
        mark = _mark(rule)
        if mark:
            marks[text] = mark if text in own else replace(mark, named=False)
    return marks


def _text(aims: Pattern) -> str:
    return _typical(aims).decode("utf-8", "surrogateescape")


def _typical(aims: Pattern) -> bytes:
    """A path of the pattern, such as no stanza names."""
    if aims.kind is Kind.EXACT:
        return aims.text
    stem = _PLUS.sub(_NOBODY_NAMES, aims.stem)
    return stem + _NOBODY_NAMES if aims.globbed else stem


def _templated(rule: Rule) -> bool:
    return any(stanza.templated for stanza in rule.stanzas)


def _mark(rule: Rule | None) -> Mark | None:
    if rule is None:
        return None
    read, write = "read" in rule.capabilities, bool(rule.capabilities & _WRITING)
    limited = rule.constraints != FREE or _templated(rule)
    return Mark(read, write, limited) if read or write else None


def _powers(rules: Iterable[Rule]) -> Iterator[Power]:
    for rule in rules:
        about = meaning(rule)
        is_secret = about is Meaning.CREDENTIALS and _secret(rule)
        if about not in _NO_POWER and not is_secret:
            yield Power(
                about,
                str(rule.pattern),
                tuple(sorted(rule.capabilities)),
                rule.constraints != FREE or _templated(rule),
                tuple(f"{stanza.policy}:{stanza.line}" for stanza in rule.stanzas),
            )
