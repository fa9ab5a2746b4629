"""What a person wants to know about the certificates that were read: facts and findings. Pure."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs import pem
from certs.chain import chain_problems
from certs.errors import CertificateError
from certs.fields import DNS, IP, URI, is_ca, key_usages, names, usage_names, usages
from certs.problem import Problem
from certs.read import IDENTITY, Files, Layout
from certs.spiffe import SCHEME
from certs.verify import leaf_problems, pair_matches, svid_problems, validity_problems


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader says the certificate must be.

    `ca`: the bundle to trust, instead of the folder's own. `chained`: having no bundle at all is a finding, also
    for a single file.
    """

    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    spiffe_id: str = ""
    ca: bytes = b""
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Authority:
    """An issuer in a chain or a bundle."""

    subject: str
    not_after: dt.datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One certificate. `key_matches` and `chain_verified` are None where there was nothing to compare with."""

    path: str
    kind: str  # serving, identity, issuer
    names: tuple[tuple[str, str], ...]
    subject: str
    issuer: str
    serial: str  # pairs of hexadecimal digits with colons, as the server takes it
    not_before: dt.datetime
    not_after: dt.datetime
    remaining_seconds: int
    key: str
    key_matches: bool | None
    usages: tuple[str, ...]
    key_usages: tuple[str, ...]
    chain: tuple[Authority, ...]
    bundle: tuple[Authority, ...]
    chain_verified: bool | None
    findings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A leaf with everything that stood beside it, parsed. `svid`: held to the rules of an X.509-SVID."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    trusted: tuple[x509.Certificate, ...]
    key: pem.PrivateKey | None
    combined_key: pem.PrivateKey | None
    combined_chain: tuple[x509.Certificate, ...]
    svid: bool
    in_folder: bool


def reports(files: Files, expected: Expected, now: dt.datetime) -> tuple[Report, ...]:
    """A certificate's report, or for a file of CA certificates one for each. Raises CertificateError."""
    if not files.chain:
        raise CertificateError(f"{files.path}: got an empty file, expected a certificate in PEM")
    if files.layout is None and not files.key:
        blocks = pem.certificates(files.chain, files.path)
        if all(is_ca(block) for block in blocks):
            return tuple(_authority(files.path, block, expected, now) for block in blocks)
    return (_leaf(files, expected, now),)


def _authority(path: str, certificate: x509.Certificate, expected: Expected, now: dt.datetime) -> Report:
    findings = (
        *_weak(certificate),
        *validity_problems(certificate, now),
        *_expectations(certificate, expected),
    )
    return _report(path, "issuer", certificate, now, findings=findings)


def _leaf(files: Files, expected: Expected, now: dt.datetime) -> Report:
    subject = _parse(files, expected)
    chain = (
        chain_problems(subject.leaf, subject.intermediates, subject.trusted, now)
        if subject.trusted or subject.in_folder or expected.chained
        else None
    )
    findings = (
        *_weak(subject.leaf),
        *validity_problems(subject.leaf, now),
        *_key(subject),
        *_combined(subject),
        *(chain or ()),
        *leaf_problems(subject.leaf),
        *(svid_problems(subject.leaf) if subject.svid else ()),
        *_expectations(subject.leaf, expected),
    )
    return _report(
        files.path,
        "identity" if subject.svid else "serving",
        subject.leaf,
        now,
        subject=subject,
        chain_verified=None if chain is None else not chain,
        findings=tuple(dict.fromkeys(findings)),
    )


def _parse(files: Files, expected: Expected) -> Subject:
    sources = _sources(files)
    leaf, *intermediates = pem.certificates(files.chain, sources.chain)
    ca, ca_source = (expected.ca, "--ca") if expected.ca else (files.ca, sources.ca)
    return Subject(
        leaf=leaf,
        intermediates=tuple(intermediates),
        trusted=pem.certificates(ca, ca_source) if ca else (),
        key=pem.private_key(files.key, sources.key) if files.key else None,
        combined_key=pem.private_key(files.combined, sources.combined) if files.combined else None,
        combined_chain=pem.certificates(files.combined, sources.combined) if files.combined else (),
        svid=files.layout is IDENTITY or any(value.startswith(SCHEME) for _, value in names(leaf)),
        in_folder=files.layout is not None,
    )


def _sources(files: Files) -> Layout:
    """What the messages call each file."""
    layout, path = files.layout, files.path
    if layout is None:
        return Layout(path, path, path, path)
    return Layout(*(f"{path}/{name}" for name in (layout.chain, layout.key, layout.ca, layout.combined)))


def _weak(certificate: x509.Certificate) -> Iterator[Problem]:
    weakness = pem.weakness(certificate.public_key())
    if weakness:
        yield Problem("weak-key", f"got {weakness}")


def _key(subject: Subject) -> Iterator[Problem]:
    if subject.key is None:
        if subject.in_folder:
            yield Problem("key", "got no private key beside the certificate, expected one")
    elif not pair_matches(subject.leaf, subject.key):
        yield Problem("key", "the private key is another certificate's; expected a matching pair")


def _combined(subject: Subject) -> Iterator[Problem]:
    if subject.combined_key is None:
        return
    same_chain = subject.combined_chain == (subject.leaf, *subject.intermediates)
    if not same_chain or not pair_matches(subject.leaf, subject.combined_key):
        yield Problem("combined", "the combined file holds another key or chain than its neighbours")


def _expectations(certificate: x509.Certificate, expected: Expected) -> Iterator[Problem]:
    got = {(kind, value.lower() if kind == DNS else value) for kind, value in names(certificate)}
    wanted = [
        *((DNS, name.lower()) for name in expected.dns_names),
        *((IP, address) for address in expected.ip_addresses),
        *((URI, uri) for uri in (expected.spiffe_id,) if uri),
    ]
    for kind, value in wanted:
        if (kind, value) not in got:
            yield Problem("expected-name", f"expected {kind} {value}, which is not among the names")


def _report(
    path: str,
    kind: str,
    certificate: x509.Certificate,
    now: dt.datetime,
    *,
    findings: tuple[Problem, ...],
    subject: Subject | None = None,
    chain_verified: bool | None = None,
) -> Report:
    key = subject.key if subject else None
    return Report(
        path=path,
        kind=kind,
        names=tuple(sorted(names(certificate).elements())),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=_serial(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        remaining_seconds=int((certificate.not_valid_after_utc - now).total_seconds()),
        key=_key_name(certificate),
        key_matches=pair_matches(certificate, key) if key else None,
        usages=usage_names(usages(certificate)),
        key_usages=key_usages(certificate),
        chain=_authorities(subject.intermediates if subject else ()),
        bundle=_authorities(subject.trusted if subject else ()),
        chain_verified=chain_verified,
        findings=findings,
    )


def _serial(certificate: x509.Certificate) -> str:
    number = certificate.serial_number
    sign, digits = "-" if number < 0 else "", abs(number)  # not allowed, and yet in the field
    return sign + digits.to_bytes(max(1, (digits.bit_length() + 7) // 8)).hex(":")


def _authorities(certificates: tuple[x509.Certificate, ...]) -> tuple[Authority, ...]:
    return tuple(Authority(item.subject.rfc4514_string(), item.not_valid_after_utc) for item in certificates)


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def _key_name(certificate: x509.Certificate) -> str:
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(public.curve.name, public.curve.name)}"
    return type(public).__name__.removesuffix("PublicKey")
