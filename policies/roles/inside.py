"""Whether what a role claims lies inside the boundary of each place that it runs in. Pure.

Paths are compared as the server reads them, with both sides' placeholders filled in for the place, and by whole
segments: `kv/pay` is not above `kv/payments`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from policies.roles.checks import Finding, api_path, expand
from policies.roles.role import Draft
from policies.roles.texts import few, spoken
from policies.roles.types import Boundary, RunsAs, Secret, SecretsBelow, ServiceRole


@dataclass(frozen=True, slots=True)
class Boundaries:
    """`closed`: a place that none names is closed. Not where there are no files, nor where one is broken, which is
    reported by itself.
    """

    by_namespace: Mapping[str, tuple[Boundary, ...]]
    closed: bool

    def of(self, place: RunsAs) -> Boundary | None:
        for boundary in self.by_namespace.get(place.namespace, ()):
            if boundary.clusters is None or place.cluster in boundary.clusters:
                return boundary
        return None


OPEN = Boundaries({}, closed=False)


@dataclass(frozen=True, slots=True)
class Here:
    """One place that a role runs in, and its boundary."""

    place: RunsAs
    boundary: Boundary

    def outside(self, limit: str, got: str, expected: str) -> str:
        """`limit`: the path of the limit in the boundary's file."""
        where = f"{self.place.cluster}/{self.place.namespace}"
        line = self.boundary.lines[limit]
        return f"got {got}, outside {self.boundary.file}:{line}, expected in {where} {expected}"

    def below(self, paths: Iterable[str]) -> tuple[str, ...]:
        """The paths as they read here, each with the slash that ends its last segment."""
        return tuple(f"{expand(path, self.place)}/" for path in paths)


Check = Callable[[ServiceRole, Here], Iterator[Finding]]


def run(draft: Draft, boundaries: Boundaries) -> None:
    """Report every claim outside, of a field that isn't wrong already."""
    for index, place in enumerate(draft.role.runs_as):
        if not (place.cluster and place.namespace):
            continue  # what is wrong there is reported already
        boundary = boundaries.of(place)
        if boundary is None:
            if boundaries.closed and not draft.fields.is_wrong(f"spec.runsAs[{index}]"):
                _report(draft, f"spec.runsAs[{index}].namespace", _closed(place, boundaries))
            continue
        for check in CHECKS:
            for at, message in check(draft.role, Here(place, boundary)):
                _report(draft, at, message)


def _report(draft: Draft, at: str, message: str) -> None:
    if not draft.fields.is_wrong(at):
        draft.fields.report(at, message)


def _closed(place: RunsAs, boundaries: Boundaries) -> str:
    others = boundaries.by_namespace.get(place.namespace, ())
    known = "".join(
        f"; {other.file}:{other.lines['clusters']} is for {few(other.clusters or ())}" for other in others
    )
    return (
        f"got {place.cluster}/{place.namespace}, expected a namespace that a boundary names for this cluster{known}; "
        "ask who keeps the boundaries to add it"
    )


def _owner(role: ServiceRole, here: Here) -> Iterator[Finding]:
    owners = here.boundary.owners
    if role.owner not in owners:
        yield (
            "metadata.owner",
            here.outside("owners", repr(role.owner), f"an owner of roles: {few(owners)}"),
        )


def _secrets(role: ServiceRole, here: Here) -> Iterator[Finding]:
    allowed = here.boundary.secrets
    inside = here.below(map(api_path, allowed))
    variables = here.below(api_path(entry) for entry in allowed if entry.env)
    expected = _at_or_below([_shown(entry, here) for entry in allowed])
    for index, entry in enumerate(role.secrets):
        at, path = f"spec.secrets[{index}]", expand(f"{api_path(entry)}/", here.place)
        if not entry.mount:  # it is wrong, which is reported
            continue
        if not path.startswith(inside):
            yield f"{at}.path", here.outside("secrets", repr(_shown(entry, here)), expected)
        elif entry.env and not path.startswith(variables):
            yield f"{at}.env", here.outside("secrets", "true", "false: it does not say env: true there")


def _databases(role: ServiceRole, here: Here) -> Iterator[Finding]:
    inside = here.below(here.boundary.databases)
    expected = _at_or_below([path.removesuffix("/") for path in inside])
    for index, entry in enumerate(role.databases):
        path = expand(entry.path, here.place)
        if not f"{path}/".startswith(inside):
            yield f"spec.databases[{index}].path", here.outside("databases", repr(path), expected)


def _certificates(role: ServiceRole, here: Here) -> Iterator[Finding]:
    limits = here.boundary.certificates
    if limits is None:
        if role.certificates:
            yield "spec.certificates", here.outside("certificates", "certificates", "none")
        return
    for index, entry in enumerate(role.certificates):
        at = f"spec.certificates[{index}]"
        for number, service in enumerate(entry.services):
            if limits.services is not None and service not in limits.services:
                expected = f"a Service such as {few(limits.services)}"
                yield (
                    f"{at}.services[{number}]",
                    here.outside("certificates.services", repr(service), expected),
                )
        if entry.ttl > limits.max_ttl:
            expected = f"at most {spoken(limits.max_ttl)}"
            yield f"{at}.ttl", here.outside("certificates.maxTTL", spoken(entry.ttl), expected)
        if entry.pod_ip and not limits.pod_ip:
            yield f"{at}.podIP", here.outside("certificates.podIP", "true", "false")


def _identity(role: ServiceRole, here: Here) -> Iterator[Finding]:
    limit = here.boundary.identity_ttl
    if role.identity is None:
        return
    if not limit:
        yield "spec.identity", here.outside("identity", "an identity", "none")
    elif role.identity.ttl > limit:
        got, expected = spoken(role.identity.ttl), f"at most {spoken(limit)}"
        yield "spec.identity.ttl", here.outside("identity.maxTTL", got, expected)


CHECKS: tuple[Check, ...] = (_owner, _secrets, _databases, _certificates, _identity)


def _shown(entry: Secret | SecretsBelow, here: Here) -> str:
    """As `vault kv get` takes it; version 1 is said, as it reaches other paths of the server than version 2."""
    path = expand("/".join(filter(None, (entry.mount, entry.path))), here.place)
    return path if entry.engine == "kv2" else f"{path} (engine kv1)"


def _at_or_below(paths: list[str]) -> str:
    return f"a path at or below {few(paths)}" if paths else "none"
