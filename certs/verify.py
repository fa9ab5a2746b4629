"""Is a signed certificate what was asked for? Small named checks, each giving its problems. Pure.

A PKI role closes much and not all: an e-mail address, a subset of the names or a longer life can still come back.
So every answer is compared with its request before it is written. SVID rules: SPIFFE, X509-SVID.
"""

import datetime as dt
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from certs import pem, spiffe
from certs.chain import chain_problems
from certs.errors import CertificateError
from certs.fields import DNS, EKU, IP, URI, Names, extension, is_ca, names, usage_names, usages
from certs.pem import PrivateKey
from certs.problem import Problem
from certs.profiles import Profile

__all__ = [
    "Problem",
    "answer_problems",
    "leaf_problems",
    "pair_matches",
    "svid_problems",
    "validity_problems",
]

BACKDATING = dt.timedelta(seconds=65)  # a role's not_before_duration is 60 s; the server takes the time twice


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked and what came back, parsed."""

    profile: Profile
    key: PrivateKey
    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    issuers: tuple[x509.Certificate, ...]
    now: dt.datetime


def answer_problems(
    profile: Profile, key: PrivateKey, *, chain: bytes, issuers: Sequence[bytes], now: dt.datetime
) -> list[Problem]:
    """All that is wrong with a signed answer; empty: write it.

    `chain` is PEM, the leaf first. `issuers` are the PEM certificates that the mount's owner trusts, roots or
    not: a chain ends at any of them. `now` is aware and corrected by the server's `Date`. Never raises for
    what the server sent.
    """
    try:
        leaf, *intermediates = pem.certificates(chain, "the signed certificate")
        trusted = tuple(item for block in issuers for item in pem.certificates(block, "the mount's issuer"))
    except CertificateError as error:
        return [Problem("unreadable", str(error))]
    answer = Answer(profile, key, leaf, tuple(intermediates), trusted, now)
    found = (problem for check in ANSWER_CHECKS for problem in check(answer))
    return list(dict.fromkeys(found))  # an SVID's rules say some of the others again


def svid_problems(certificate: x509.Certificate) -> list[Problem]:
    """What keeps a certificate from being a leaf X.509-SVID; empty: it is one."""
    return [problem for check in SVID_CHECKS for problem in check(certificate)]


def pair_matches(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether the private key is the certificate's."""
    return pem.spki(certificate) == pem.spki(key)


def _key(answer: Answer) -> Iterator[Problem]:
    if not pair_matches(answer.leaf, answer.key):
        yield Problem("key", "got a certificate for another public key, expected the one in the request")


def _names(answer: Answer) -> Iterator[Problem]:
    got, asked = names(answer.leaf), _asked(answer.profile)
    for kind, value in sorted(got - asked):
        yield Problem(
            "names", f"got {kind} {value!r}, which was not asked for; the PKI role must not allow it"
        )
    for kind, value in sorted(asked - got):
        yield Problem("names", f"asked for {kind} {value!r}, which is missing; the PKI role must allow it")


def _subject(answer: Answer) -> Iterator[Problem]:
    """Old readers take names from the common name, and some servers rights from the organization."""
    for attribute in answer.leaf.subject:
        if attribute.oid != NameOID.COMMON_NAME or attribute.value not in answer.profile.dns_names:
            yield Problem("subject", f"got subject {attribute.rfc4514_string()!r}, expected an empty subject")


def _usages(answer: Answer) -> Iterator[Problem]:
    expected = frozenset(EKU[usage] for usage in answer.profile.usages)
    got = usages(answer.leaf)
    if got != expected:
        yield Problem(
            "usages", f"got extended key usages {_usage_text(got)}, expected {_usage_text(expected)}"
        )


def _leaf(answer: Answer) -> Iterator[Problem]:
    yield from leaf_problems(answer.leaf)


def leaf_problems(certificate: x509.Certificate) -> Iterator[Problem]:
    """A leaf signs handshakes, and neither certificates nor revocation lists."""
    if is_ca(certificate):
        yield Problem("ca", "got a CA certificate, expected a leaf")
    usage = extension(certificate, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        yield Problem("key-usage", "got no key usage digitalSignature, expected it")
    if usage is not None and (usage.key_cert_sign or usage.crl_sign):
        yield Problem("key-usage", "got key usage keyCertSign or cRLSign, expected neither on a leaf")


def _lifetime(answer: Answer) -> Iterator[Problem]:
    asked = dt.timedelta(seconds=answer.profile.ttl_seconds)
    life = answer.leaf.not_valid_after_utc - answer.leaf.not_valid_before_utc
    if life > asked + BACKDATING:
        yield Problem(
            "lifetime",
            f"got a life of {life}, to {answer.leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}, expected {asked}"
            " and at most a minute more; bound the PKI role's ttl and not_after",
        )


def _validity(answer: Answer) -> Iterator[Problem]:
    yield from validity_problems(answer.leaf, answer.now)


def validity_problems(certificate: x509.Certificate, now: dt.datetime) -> Iterator[Problem]:
    """Whether the certificate is valid at `now`."""
    if now < certificate.not_valid_before_utc:
        start = certificate.not_valid_before_utc
        yield Problem(
            "not-yet-valid", f"valid from {start:%Y-%m-%d %H:%M:%SZ}, it is {now:%Y-%m-%d %H:%M:%SZ}"
        )
    if pem.is_expired(certificate, now):
        end = certificate.not_valid_after_utc
        yield Problem("expired", f"valid to {end:%Y-%m-%d %H:%M:%SZ}, it is {now:%Y-%m-%d %H:%M:%SZ}")


def _chain(answer: Answer) -> Iterator[Problem]:
    yield from chain_problems(answer.leaf, answer.intermediates, answer.issuers, answer.now)


def _svid(answer: Answer) -> Iterator[Problem]:
    if any(uri.startswith(spiffe.SCHEME) for uri in answer.profile.uris):
        yield from svid_problems(answer.leaf)


def _svid_id(certificate: x509.Certificate) -> Iterator[Problem]:
    uris = [value for kind, value in names(certificate).elements() if kind == URI]
    if len(uris) != 1:
        yield Problem("svid-uri", f"got {len(uris)} URI names, expected exactly one SPIFFE ID")
        return
    yield from (Problem("svid-id", message) for message in spiffe.id_problems(uris[0]))


def _svid_key_usage(certificate: x509.Certificate) -> Iterator[Problem]:
    try:
        critical = certificate.extensions.get_extension_for_class(x509.KeyUsage).critical
    except x509.ExtensionNotFound:
        return  # leaf_problems has said it
    if not critical:
        yield Problem("svid-key-usage", "got a key usage that is not critical, expected critical")


def _svid_usages(certificate: x509.Certificate) -> Iterator[Problem]:
    got = usages(certificate)
    if got and not got >= frozenset(EKU.values()):
        yield Problem(
            "svid-usages", f"got extended key usages {_usage_text(got)}, expected both server and client"
        )


def _usage_text(oids: Iterable[x509.ObjectIdentifier]) -> str:
    return ", ".join(usage_names(oids)) or "none"


def _asked(profile: Profile) -> Names:
    return Counter(
        [
            *((DNS, name) for name in profile.dns_names),
            *((IP, str(ipaddress.ip_address(text))) for text in profile.ip_addresses),
            *((URI, uri) for uri in profile.uris),
        ]
    )


# In order of what a reader wants to know first. A new check is a function and its place here.
ANSWER_CHECKS: tuple[Callable[[Answer], Iterator[Problem]], ...] = (
    _key,
    _names,
    _subject,
    _usages,
    _leaf,
    _lifetime,
    _validity,
    _chain,
    _svid,
)
SVID_CHECKS: tuple[Callable[[x509.Certificate], Iterator[Problem]], ...] = (
    _svid_id,
    leaf_problems,
    _svid_key_usage,
    _svid_usages,
)
