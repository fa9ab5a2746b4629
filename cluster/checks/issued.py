"""What is issued and not renewed, as far as the server keeps what it signed. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from certs.errors import CertificateError
from certs.fields import DNS, URI, is_ca, names
from certs.pem import certificates, validity
from certs.renewal import MAX_BACKDATING, Life, length, starts
from cluster.finding import Fact, Finding, Unread, count, failed, listed, ok
from cluster.generated import Tree
from cluster.server_facts import Issued
from policies.catalog import Identity

FIRST_SHARE, LAST_SHARE = 0.45, 0.55  # of a life: `certs.renewal` renews between these


@dataclass(frozen=True, slots=True)
class Live:
    """One certificate that is in use or could be. `role` is the generated PKI role; "" where none gives these names."""

    serial: str
    role: str
    names: tuple[str, ...]
    life: Life


def live(tree: Tree, mount: str, stored: Sequence[Issued], now: float) -> tuple[Live, ...]:
    """Neither revoked nor expired, and no CA; by role and time of issue."""
    roles = _roles(tree, mount)
    found = [
        item
        for entry in stored
        if not entry.revoked
        for item in _parsed(entry, roles)
        if item.life.not_after > now
    ]
    return tuple(sorted(found, key=lambda item: (item.role, item.names, item.life.not_before)))


def _parsed(entry: Issued, roles: Mapping[frozenset[str], str]) -> Iterator[Live]:
    try:
        certificate = certificates(entry.pem.encode(), entry.serial)[0]
    except CertificateError:
        return
    if is_ca(certificate):
        return
    found = names(certificate)
    role = roles.get(frozenset(value for kind, value in found if kind in (DNS, URI)), "")
    before, after = validity(certificate)
    yield Live(
        entry.serial,
        role,
        tuple(sorted(value for _, value in found)),
        Life(before, after, before + MAX_BACKDATING),
    )


def _roles(tree: Tree, mount: str) -> dict[frozenset[str], str]:
    """PKI roles of this mount by the names that they sign."""
    return {
        frozenset({item.spiffe_id} if isinstance(item, Identity) else item.dns_names): item.sign.removeprefix(
            f"{mount}/sign/"
        )
        for item in tree.signed(mount)
    }


def not_renewed(items: Sequence[Live], now: float) -> tuple[Live, ...]:
    """Past the last moment at which the agent renews, with no later certificate of the same names to take its place.

    Pods of one role may share their names, so certificates are matched one to one, each with the first of those issued
    after it was due: a new pod's may be taken for a renewal, never the other way round.
    """
    left: list[Live] = []
    groups: dict[tuple[str, ...], list[Live]] = {}
    for item in items:
        groups.setdefault(item.names, []).append(item)
    for group in groups.values():
        in_order = sorted(group, key=lambda item: item.life.not_before)
        later = [item.life.not_before for item in in_order]
        for item in in_order:
            if now <= _moment(item.life, LAST_SHARE):
                continue
            due = (
                _moment(item.life, FIRST_SHARE) - MAX_BACKDATING
            )  # by which the next one starts in the past, too
            successor = next((moment for moment in later if moment >= due), None)
            if successor is None:
                left.append(item)
            else:
                later.remove(successor)
    return tuple(left)


def _moment(life: Life, share: float) -> float:
    return starts(life) + share * length(life)


def certificates_renewed(
    tree: Tree, mount: str, stored: Fact[tuple[tuple[Issued, ...], int]], now: float, *, use: str
) -> Finding:
    """`stored`: what was read, and how many there are."""
    name = f"{use}-certificates"
    if isinstance(stored, Unread):
        return stored.finding(name)
    items, total = stored
    found = live(tree, mount, items, now)
    part = (
        f"{len(items)} of {total} stored in {mount} were read"
        if len(items) < total
        else f"{total} stored in {mount}"
    )
    if not found:
        return Finding(name, "skipped", f"{part}, none in use: servers keep those of `revoke: true` alone")
    left = not_renewed(found, now)
    if not left:
        return ok(name, f"{count(len(found), 'certificate')} in use, none overdue; {part}")
    return failed(
        name,
        got=f"{len(left)} of {len(found)} in use: {listed([_line(item) for item in left])}; {part}",
        expected="each to be renewed by 55 % of its life, or revoked with its pod",
        remedy="kubectl logs POD -c podkeys-sidecar, for the role's pods; one whose node died leaves its certificate until its "
        "token ends, within the hour",
    )


def _line(item: Live) -> str:
    ends = dt.datetime.fromtimestamp(item.life.not_after, dt.UTC)
    return f"{item.role or 'no generated role'} ({' '.join(item.names)}) {item.serial} ends {ends:%Y-%m-%d %H:%M}"
