"""A certificate authority for tests: signs whatever it is told, also what no good one would."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import keys, pem
from certs.profiles import Profile

NOW = dt.datetime(2026, 11, 25, 12, 0, 0, tzinfo=dt.UTC)
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
SigningKey = keys.PrivateKey | ed25519.Ed25519PrivateKey


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def key_usage(*given: str) -> x509.KeyUsage:
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{field: field in given for field in fields})


@dataclass(frozen=True)
class Asked:
    """What a test wants in a certificate; the defaults make a good leaf."""

    names: Sequence[x509.GeneralName] = ()
    subject: x509.Name = field(default_factory=lambda: name(""))
    start: dt.datetime = NOW - dt.timedelta(seconds=60)
    end: dt.datetime = NOW + dt.timedelta(hours=1)
    ca: bool = False
    path_length: int | None = None
    usage: x509.KeyUsage | None = field(default_factory=lambda: key_usage("digital_signature"))
    usage_critical: bool = True
    eku: Sequence[x509.ObjectIdentifier] = BOTH


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: SigningKey

    @property
    def pem(self) -> bytes:
        return pem.to_pem(self.certificate)

    def sign(self, public: object, asked: Asked) -> x509.Certificate:
        return _build(public, asked, self.certificate.subject, self.key)

    def intermediate(self, common_name: str = "intermediate", asked: Asked | None = None) -> "Authority":
        key = keys.generate("ec-p256")
        return Authority(self.sign(key.public_key(), asked or ca_asked(common_name)), key)


def ca_asked(common_name: str, **changes: Any) -> Asked:  # noqa: ANN401 - fields of Asked
    good = Asked(
        subject=name(common_name),
        start=NOW - dt.timedelta(days=1),
        end=NOW + dt.timedelta(days=365),
        ca=True,
        usage=key_usage("key_cert_sign", "crl_sign"),
        eku=(),
    )
    return replace(good, **changes)


def root(common_name: str = "root", key: SigningKey | None = None, asked: Asked | None = None) -> Authority:
    key = key or keys.generate("ec-p256")
    asked = asked or ca_asked(common_name)
    return Authority(_build(key.public_key(), asked, asked.subject, key), key)


def general_names(profile: Profile) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(value) for value in profile.dns_names),
        *(x509.IPAddress(ipaddress.ip_address(value)) for value in profile.ip_addresses),
        *(x509.UniformResourceIdentifier(value) for value in profile.uris),
    ]


def _build(public: object, asked: Asked, issuer: x509.Name, key: SigningKey) -> x509.Certificate:
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise TypeError(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(asked.start)
        .not_valid_after(asked.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if asked.ca:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=asked.path_length), critical=True
        )
    if asked.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(asked.names), critical=not asked.subject)
    if asked.usage is not None:
        builder = builder.add_extension(asked.usage, critical=asked.usage_critical)
    if asked.eku:
        builder = builder.add_extension(x509.ExtendedKeyUsage(asked.eku), critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
