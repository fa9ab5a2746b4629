"""Reads the server's side, by the session that plan and apply use."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from cluster import server_facts
from cluster.finding import Fact, Unread
from cluster.server_facts import Issued, ServerFacts, Signer
from policies.apply.errors import RefusedError
from policies.apply.server import Server
from policies.catalog import Cluster

T = TypeVar("T")

MAX_ISSUED = 5000  # certificates that are read of one mount: about a millisecond each

Track = Callable[[Sequence[str]], Iterable[str]]


def read(server: Server, cluster: Cluster) -> ServerFacts:
    signers = {
        mount: attempt(partial(_signers, server, mount))
        for mount in (cluster.serving_mount, cluster.identity_mount)
    }
    return ServerFacts(
        mounts=attempt(lambda: server_facts.mounts(_fields(server, "sys/mounts"))),
        logins=attempt(lambda: server_facts.logins(_fields(server, "sys/auth"))),
        login=attempt(lambda: _fields(server, f"auth/{cluster.auth_mount}/config")),
        serving=signers[cluster.serving_mount],
        identity=signers[cluster.identity_mount],
        spare_keys={
            mount: attempt(partial(_keys, server, mount))
            for mount, found in signers.items()
            if not isinstance(found, Unread) and not any(signer.has_key for signer in found)
        },
    )


def attempt(read_one: Callable[[], T]) -> Fact[T]:
    """A refusal is this check's alone: its own words say which stanza the token lacks."""
    try:
        return read_one()
    except RefusedError as error:
        return Unread(
            str(error), "give the token what docs/cluster-check.md lists, or a mount that is not there yet"
        )


def _fields(server: Server, path: str) -> dict[str, object]:
    stored = server.read(path)
    return {} if stored is None else dict(stored.fields)


def _keys(server: Server, mount: str) -> int:
    return len(server.names(f"{mount}/keys"))


def _signers(server: Server, mount: str) -> tuple[Signer, ...]:
    """As pods see them, and without a token's rights: whoever reaches the server may list a mount's issuers."""
    listed = server.listing(f"{mount}/issuers") or {}
    return tuple(
        Signer(
            str(info.get("issuer_name") or identifier),
            str(_fields(server, f"{mount}/issuer/{identifier}/json")["certificate"]),
            bool(info.get("key_id")),
            bool(info.get("is_default")),
        )
        for identifier, info in listed.get("key_info", {}).items()
    )


def issued(server: Server, mount: str, track: Track) -> tuple[tuple[Issued, ...], int]:
    """What the mount has stored, at most 5,000, and how many there are. Serials are random: so is the part that is read."""
    serials = server.names(f"{mount}/certs")
    found = []
    for serial in track(serials[:MAX_ISSUED]):
        fields = _fields(server, f"{mount}/cert/{serial}")
        if fields:  # else it was tidied since it was listed
            found.append(Issued(serial, str(fields["certificate"]), bool(fields.get("revocation_time"))))
    return tuple(found), len(serials)
