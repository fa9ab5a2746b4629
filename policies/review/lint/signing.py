"""Generated PKI roles beside the boundaries that the security team keeps. Pure.

A policy lets be asked for what its stanza allows; what its PKI role gives besides waits for the next policy. So each is held by itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from policies.acl.times import seconds
from policies.apply.certificates import foreign_names, openings
from policies.review.lint.finding import Hit, at_signer
from policies.review.lint.signers import Signer
from policies.review.lint.tree import Tree
from policies.roles.texts import spoken
from policies.roles.types import Boundary, CertificateLimits, RunsAs

_FIX = (
    "run `podkeys policies generate`, which writes it anew; where that refuses, narrow the role file, "
    "or ask who keeps the boundaries to widen them"
)
Fields = Mapping[str, Any]
Outside = Iterator[
    tuple[str, str, str, str]
]  # the field, the limit's path in the boundary's file, got, expected


def outside_signers(tree: Tree, clusters: Mapping[str, set[str]]) -> Iterator[Hit]:
    """`clusters`: those whose policies sign at a path. A role that none signs with is held where its folder is."""
    for signer in tree.signers:
        for cluster in sorted(clusters.get(signer.sign, set()) | ({signer.cluster} - {""})):
            yield from _held(tree, signer, RunsAs(cluster, signer.namespace, ()))


def _held(tree: Tree, signer: Signer, place: RunsAs) -> Iterator[Hit]:
    boundary = tree.boundaries.of(place)
    if boundary:
        for field, limit, got, expected in _outside(signer, boundary, place):
            message = f"got {got}, outside {place_of(boundary, limit)}, expected {expected}"
            yield at_signer(signer, field, message, _FIX)
    elif tree.boundaries.closed:
        message = f"got a PKI role for {place.cluster}/{place.namespace}, expected a namespace that a boundary names"
        yield at_signer(signer, "path", message, _FIX)


def _outside(signer: Signer, boundary: Boundary, place: RunsAs) -> Outside:
    """Each field once."""
    check = _identity if signer.fields.get("allowed_uri_sans") else _certificate
    said: set[str] = set()
    for field, limit, got, expected in check(signer, boundary, place):
        if field not in said:
            said.add(field)
            yield field, limit, got, expected


def _identity(signer: Signer, boundary: Boundary, place: RunsAs) -> Outside:
    if not boundary.identity_ttl:
        yield "path", "identity", "an identity", "none"
        return
    for field, got, expected in _names(signer.fields, place, signer.last):
        yield field, "identity", f"{field} {got}", expected
    yield from _life("identity.maxTTL", signer.fields, boundary.identity_ttl)


def _certificate(signer: Signer, boundary: Boundary, place: RunsAs) -> Outside:
    limits, fields = boundary.certificates, signer.fields
    if limits is None:
        yield "path", "certificates", "a certificate", "none"
        return
    domains = fields.get("allowed_domains")
    wrong = (
        [name for name in domains if not is_inside(str(name), limits, place)]
        if isinstance(domains, list)
        else []
    )
    if wrong:
        yield "allowed_domains", "certificates.services", ", ".join(map(str, wrong)), services(limits, place)
    if fields.get("allow_ip_sans", True) and not limits.pod_ip:
        yield "allow_ip_sans", "certificates.podIP", "addresses of pods", "none"
    for field, got, expected in _names(fields, place, ""):
        limit = "certificates.podIP" if "ip_sans" in field else "certificates.services"
        yield field, limit, f"{field} {got}", expected
    yield from _life("certificates.maxTTL", fields, limits.max_ttl)


def _names(fields: Fields, place: RunsAs, account: str) -> Iterator[tuple[str, str, str]]:
    for field, got, expected in (*openings(fields), *foreign_names(fields, place.namespace, account)):
        yield field, str(got), str(expected)


def _life(limit: str, fields: Fields, most: int) -> Outside:
    """Without a max_ttl that of the mount holds; and a fixed end, or one that may be asked for, passes it by."""
    life = seconds(fields.get("max_ttl", 0))
    if not life or not 0 < life <= most:
        yield (
            "max_ttl",
            limit,
            f"max_ttl {fields.get('max_ttl') or 'of the mount'}",
            f"at most {spoken(most)}",
        )
    for field, expected in (("not_after", ""), ("not_after_bound", "forbid")):
        got = fields.get(field, "")
        if got != expected:
            yield field, limit, f"{field} {got!r}", f"{expected!r}, which keeps to max_ttl"


def services(limits: CertificateLimits, place: RunsAs) -> str:
    """Whose names may be given, in words."""
    listed = "any Service" if limits.services is None else ", ".join(limits.services)
    return f"names of {listed} in {place.namespace}"


def is_inside(name: str, limits: CertificateLimits, place: RunsAs) -> bool:
    """Whether it begins with SERVICE.NAMESPACE."""
    service, _, rest = name.partition(".")
    is_known = limits.services is None or service in limits.services
    return is_known and rest.partition(".")[0] == place.namespace


def place_of(boundary: Boundary, limit: str) -> str:
    return f"{boundary.file}:{boundary.lines[limit]}"
