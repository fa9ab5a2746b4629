"""What a certificate says of itself: names of any kind, usages, whether it is a CA. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.profiles import Usage

EKU: dict[Usage, x509.ObjectIdentifier] = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}

DNS, IP, URI = "DNS name", "IP address", "URI"

E = TypeVar("E", bound=x509.ExtensionType)
Names = Counter[tuple[str, str]]  # (kind, value): the same URI twice is not the same as once


def names(certificate: x509.Certificate) -> Names:
    """All subject alternative names of any kind, with how often each stands there."""
    alternative = extension(certificate, x509.SubjectAlternativeName)
    return Counter(_kind_and_value(name) for name in alternative or ())


def usages(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier]:
    """The extended key usages; empty if there is no such extension, which allows every use."""
    return frozenset(extension(certificate, x509.ExtendedKeyUsage) or ())


def is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def usage_names(oids: Iterable[x509.ObjectIdentifier]) -> tuple[str, ...]:
    """Extended key usages as a role file calls them, sorted; one that it has no word for by its number."""
    known = {oid: str(usage) for usage, oid in EKU.items()}
    return tuple(sorted(known.get(oid, oid.dotted_string) for oid in oids))


def key_usages(certificate: x509.Certificate) -> tuple[str, ...]:
    """The key usages by their names in RFC 5280, 4.2.1.3."""
    usage = extension(certificate, x509.KeyUsage)
    return () if usage is None else tuple(name for name, field in _KEY_USAGES if getattr(usage, field))


_KEY_USAGES = (
    ("digitalSignature", "digital_signature"),
    ("nonRepudiation", "content_commitment"),
    ("keyEncipherment", "key_encipherment"),
    ("dataEncipherment", "data_encipherment"),
    ("keyAgreement", "key_agreement"),
    ("keyCertSign", "key_cert_sign"),
    ("cRLSign", "crl_sign"),
)

_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: DNS,
    x509.IPAddress: IP,
    x509.UniformResourceIdentifier: URI,
    x509.RFC822Name: "e-mail address",
    x509.DirectoryName: "directory name",
    x509.RegisteredID: "registered ID",
    x509.OtherName: "other name",
}


def _kind_and_value(name: x509.GeneralName) -> tuple[str, str]:
    if isinstance(name, x509.OtherName):
        value = name.type_id.dotted_string
    elif isinstance(name, x509.DirectoryName):
        value = name.value.rfc4514_string()
    elif isinstance(name, x509.RegisteredID):
        value = name.value.dotted_string
    else:
        value = str(name.value)
    return _KINDS[type(name)], value


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """The extension's value, or None where there is none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
