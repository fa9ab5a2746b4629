"""Facts as tables for people: by cluster and namespace, by secret, by meaning. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from policies.review.lint.finding import Finding, Rule, Severity
from policies.review.lint.run import Report as Lint
from policies.review.report.access import Access, Mark, Power, Secret
from policies.review.report.matrix import Matrix, Row, matrix
from policies.review.report.services import Service

_NAMED = 6  # services of one namespace that are named in a list; more are counted
_VERSION_TWO = frozenset({"data", "metadata"})


@dataclass(frozen=True, slots=True)
class Group:
    """Services of one namespace of a cluster."""

    cluster: str
    namespace: str
    secrets: int
    matrix: Matrix

    @property
    def title(self) -> str:
        return " / ".join(filter(None, (self.cluster, self.namespace)))


@dataclass(frozen=True, slots=True)
class Overview:
    """Namespaces by areas, of one server; the marks are numbers of secrets."""

    server: str
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Readers:
    """Who may read a secret, by namespace, and how many of them may change it."""

    secret: Secret
    count: int
    writers: int
    namespaces: int
    who: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Powers:
    """Those of one meaning, each with who has it."""

    meaning: str
    rows: tuple[tuple[Service, Power], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """Those of one rule. `fix`: what to do about all of them, or empty where they differ."""

    rule: Rule
    severity: Severity
    fix: str
    found: tuple[Finding, ...]


def groups(accesses: tuple[Access, ...]) -> list[Group]:
    """`accesses` in the order of services."""
    who = defaultdict(set)
    for one in accesses:
        for secret in one.secrets:
            who[secret].add(one.service.subject.name)
    return [_group(place, list(own), who) for place, own in groupby(accesses, key=_place)]


def _group(place: tuple[str, str], own: list[Access], who: Mapping[Secret, set[str]]) -> Group:
    here = {one.service.subject.name for one in own}
    others: dict[str, set[str]] = defaultdict(set)
    for secret in {secret for one in own for secret in one.secrets}:
        others[secret.path] |= who[secret] - here
    rows = matrix(map(_row, own), {path: len(names) for path, names in others.items()})
    return Group(*place, len(others), rows)


def _place(access: Access) -> tuple[str, str]:
    return access.service.cluster, access.service.namespace


def _row(access: Access) -> Row:
    marks = {secret.path: str(mark) for secret, mark in access.secrets.items()}
    taken_in = frozenset(secret.path for secret, mark in access.secrets.items() if not mark.named)
    return Row(access.service.name, access.service.subject.name, marks, taken_in)


def servers(accesses: tuple[Access, ...]) -> list[str]:
    return sorted({secret.server for one in accesses for secret in one.secrets})


def overviews(accesses: tuple[Access, ...]) -> list[Overview]:
    """One for each server, as paths of two servers are two secrets; a namespace's clusters count together."""
    return [Overview(server, _overview(accesses, server)) for server in servers(accesses)]


def _overview(accesses: tuple[Access, ...], server: str) -> Matrix:
    clusters: dict[str, set[str]] = defaultdict(set)
    paths: dict[str, set[str]] = defaultdict(set)
    for one in accesses:
        found = {secret.path for secret in one.secrets if secret.server == server}
        if found:
            paths[one.service.namespace] |= found
            clusters[one.service.namespace].add(one.service.cluster)
    rows = []
    for namespace in sorted(paths):
        counts = Counter(map(area, paths[namespace]))
        marks = {name: str(count) for name, count in counts.items()}
        rows.append(Row(namespace, ", ".join(filter(None, sorted(clusters[namespace]))), marks))
    return matrix(rows, {})


def area(path: str) -> str:
    """Without the last segment and what key-value version 2 puts in: `kv/payments` of `kv/data/payments/stripe`."""
    parts = path.split("/")
    above = [part for number, part in enumerate(parts[:-1]) if number != 1 or part not in _VERSION_TWO]
    return "/".join(above[:2]) or path


def readers(accesses: tuple[Access, ...]) -> list[Readers]:
    """What most may read comes first."""
    by_secret: dict[Secret, list[tuple[Service, Mark]]] = defaultdict(list)
    for one in accesses:
        for secret, mark in one.secrets.items():
            by_secret[secret].append((one.service, mark))
    found = (_readers(secret, who) for secret, who in by_secret.items())
    return sorted(found, key=lambda one: (-one.count, -one.writers, one.secret))


def _readers(secret: Secret, who: list[tuple[Service, Mark]]) -> Readers:
    spaces: dict[str, list[str]] = {}
    for service, _ in who:
        title = " / ".join(filter(None, (service.cluster, service.namespace)))
        spaces.setdefault(title, []).append(service.name)
    named = tuple(f"{space}: {_few(names)}" for space, names in spaces.items())
    read, write = sum(mark.read for _, mark in who), sum(mark.write for _, mark in who)
    return Readers(secret, read, write, len(spaces), named)


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} services"


def powers(accesses: tuple[Access, ...]) -> list[Powers]:
    """What gives the most first."""
    found: dict[str, list[tuple[Service, Power]]] = defaultdict(list)
    for one in accesses:
        for power in one.powers:
            found[power.meaning].append((one.service, power))
    return [Powers(meaning, tuple(found[meaning])) for meaning in sorted(found)]


def findings(lint: Lint) -> list[Findings]:
    """The worst first; those of one rule in the order of lint."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in lint.findings:
        by_rule[finding.rule.id].append(finding)
    found = [Findings(own[0].rule, own[0].severity, _fix(own), tuple(own)) for own in by_rule.values()]
    return sorted(found, key=lambda one: (-one.severity, one.rule.id))


def _fix(found: list[Finding]) -> str:
    fixes = {finding.hit.fix for finding in found}
    return fixes.pop() if len(fixes) == 1 else ""
