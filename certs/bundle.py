"""Trust bundles: which of a mount's issuers are trusted, and when one is trusted no longer. Pure."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from certs import pem as pem_blocks
from certs.pem import certificates, is_expired


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer as the PKI mount lists it: `pem` is its certificate.

    `has_key`: the mount holds its private key. A mount may also list certificates without one, such as a
    corporate root imported as part of a chain; trusting that would trust everything else it ever signed.

    Without a token, OpenBao tells `has_key` in `LIST M/issuers` (`key_info.ID.key_id` is not empty), the
    certificate in `M/issuer/ID/json`, and `revoked` in `M/cert/SERIAL` (`revocation_time` above 0; 404 for an
    issuer that was signed elsewhere: its mount shows a revocation only to those who may read `M/issuer/ID`).
    """

    pem: bytes
    has_key: bool
    revoked: bool


def split(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM text, one PEM each, in order. Raises CertificateError."""
    return tuple(pem_blocks.to_pem(certificate) for certificate in certificates(pem, "bundle"))


def live_issuers(issuers: Iterable[Issuer], now: dt.datetime) -> tuple[bytes, ...]:
    """The trusted certificates, one PEM each: their key is on the mount, neither revoked nor expired.

    Sorted and unique, so that one listing always gives the same bytes. `now` is aware.
    Raises CertificateError if an issuer's certificate can't be parsed.
    """
    trusted = (issuer.pem for issuer in issuers if issuer.has_key and not issuer.revoked)
    return tuple(sorted({block for pem in trusted for block in _unexpired(pem, now)}))


def union(previous: bytes, live: Sequence[bytes], now: dt.datetime, *, complete: bool) -> bytes:
    """The bundle to write: `previous` (PEM, empty at first) joined with what `live_issuers` returned.

    `complete`: the mount was listed and every issuer on the list was read. An issuer leaves the bundle
    - when it has expired, always;
    - when a complete listing lacks it or says it is revoked or without its key: the mount's owner took it out.
      Let it stay on the mount for one life of the certificates that it signed.
    A listing that failed, or in which one issuer couldn't be read, takes nothing away (`complete` false): it
    only adds, for a request that failed says nothing about trust. A complete listing with no live issuer
    gives an empty bundle, which trusts nobody; the caller decides whether to write that.
    """
    kept = () if complete or not previous.strip() else _unexpired(previous, now)
    fresh = (block for pem in live for block in _unexpired(pem, now))
    return b"".join(sorted({*kept, *fresh}))


def _unexpired(pem: bytes, now: dt.datetime) -> tuple[bytes, ...]:
    return tuple(
        pem_blocks.to_pem(certificate)
        for certificate in certificates(pem, "issuer")
        if not is_expired(certificate, now)
    )
