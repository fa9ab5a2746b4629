"""Generated policies beside the boundaries that the security team keeps. Pure.

`podkeys policies generate` compares role files with them. What stands here is for a tree that was generated before a boundary
was narrowed, or that somebody edited. What a certificate may name, and how long it lives, are parameters that its stanza allows, and
fields of its PKI role.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from policies.acl.stanza import Value
from policies.acl.times import seconds
from policies.generate.hcl import OWN_TOKEN
from policies.names import policy_place
from policies.review.lint.finding import Hit, at, at_policy
from policies.review.lint.signing import is_inside, outside_signers, place_of, services
from policies.review.lint.tree import Grant, Looked, Tree
from policies.review.origin import origin
from policies.roles.checks import api_path, expand
from policies.roles.texts import spoken
from policies.roles.types import Boundary, RunsAs

_OWN = frozenset(stanza.path for stanza in OWN_TOKEN)
_FIX = (
    "ask who keeps the boundaries to widen them, or narrow the role file and run `podkeys policies generate`"
)


def outside(tree: Tree) -> Iterator[Hit]:
    signing: dict[str, set[str]] = defaultdict(set)
    for looked in tree.policies.values():
        where = policy_place(looked.file.name)
        if not where or not looked.generated:
            continue
        place = RunsAs(*where, ())
        for grant in looked.grants:
            signing[grant.stanza.path].add(place.cluster)
        boundary = tree.boundaries.of(place)
        if boundary:
            yield from _owner(looked, boundary)
            yield from _paths(looked, boundary, place)
            yield from _signing(looked, boundary, place)
        elif tree.boundaries.closed:
            message = f"got a policy for {place.cluster}/{place.namespace}, expected a namespace that a boundary names"
            yield at_policy(looked, message, _FIX)
    yield from outside_signers(tree, signing)


def _owner(looked: Looked, boundary: Boundary) -> Iterator[Hit]:
    owner = origin(looked.file).owner
    if owner not in boundary.owners:
        expected = ", ".join(boundary.owners)
        message = (
            f"got the owner {owner!r}, outside {place_of(boundary, 'owners')}, expected one of {expected}"
        )
        yield at_policy(looked, message, _FIX)


def _paths(looked: Looked, boundary: Boundary, place: RunsAs) -> Iterator[Hit]:
    below = tuple(
        f"{expand(path, place)}/" for path in (*map(api_path, boundary.secrets), *boundary.databases)
    )
    for grant in looked.grants:
        if grant.denies or grant.stanza.path in _OWN or _is_own_name(grant, place):
            continue
        if not f"{grant.stanza.path}/".startswith(below):
            yield at(
                grant,
                f'got "{grant.stanza.path}", outside {place_of(boundary, "secrets")}, expected in {place.cluster}/{place.namespace} '
                f"what is below {', '.join(path.removesuffix('/') for path in below) or 'nothing'}",
                _FIX,
            )


def _is_own_name(grant: Grant, place: RunsAs) -> bool:
    """A PKI role that was generated for the namespace: it names nothing else."""
    return f"/sign/podkeys.{place.namespace}." in grant.stanza.path


def _signing(looked: Looked, boundary: Boundary, place: RunsAs) -> Iterator[Hit]:
    for grant in looked.grants:
        if grant.denies or not _is_own_name(grant, place):
            continue
        allowed = grant.stanza.constraints.allowed or {}
        is_identity = "uri_sans" in allowed
        found = _identity(allowed, boundary) if is_identity else _certificate(allowed, boundary, place)
        for limit, got, expected in found:
            yield at(grant, f"got {got}, outside {place_of(boundary, limit)}, expected {expected}", _FIX)


Allowed = Mapping[str, tuple[Value, ...]]
Outside = Iterator[tuple[str, str, str]]  # the limit's path in the boundary's file, got, expected


def _identity(allowed: Allowed, boundary: Boundary) -> Outside:
    if not boundary.identity_ttl:
        yield "identity", "an identity", "none"
    else:
        yield from _life("identity.maxTTL", allowed, boundary.identity_ttl)


def _certificate(allowed: Allowed, boundary: Boundary, place: RunsAs) -> Outside:
    limits = boundary.certificates
    if limits is None:
        yield "certificates", "a certificate", "none"
        return
    outside = [name for name in _dns_names(allowed) if not is_inside(name, limits, place)]
    if outside:
        yield "certificates.services", ", ".join(outside), services(limits, place)
    if {"ip_sans", "*"} & allowed.keys() and not limits.pod_ip:
        yield "certificates.podIP", "addresses of pods", "none"
    yield from _life("certificates.maxTTL", allowed, limits.max_ttl)


def _dns_names(allowed: Allowed) -> list[str]:
    """As they may be asked for; `any name` where the stanza says none."""
    return [name for value in allowed.get("alt_names") or ("any name",) for name in str(value).split(",")]


def _life(limit: str, allowed: Allowed, most: int) -> Outside:
    for value in allowed.get("ttl") or ("any life",):
        life = seconds(value)
        if life is None or life > most:
            yield limit, str(value), f"at most {spoken(most)}"
