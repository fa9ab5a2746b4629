"""Private keys and certificate signing requests, made where they are used."""

import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.errors import CertificateError
from certs.pem import PrivateKey
from certs.profiles import KeyType, Profile

__all__ = ["PrivateKey", "csr_pem", "generate", "private_key_pem"]

_RSA_BITS: dict[KeyType, int] = {"rsa-2048": 2048, "rsa-3072": 3072}


def generate(kind: KeyType) -> PrivateKey:
    """A fresh key from the operating system's randomness. RSA takes up to a second, EC a fraction of a millisecond."""
    if kind == "ec-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind not in _RSA_BITS:
        raise CertificateError(f"got key type {kind!r}, expected ec-p256, {' or '.join(_RSA_BITS)}")
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[kind])


def private_key_pem(key: PrivateKey) -> bytes:
    """PKCS#8 (RFC 5958), unencrypted: the file's mode and its folder in memory guard it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def csr_pem(key: PrivateKey, profile: Profile) -> str:
    """A request (RFC 2986) with an empty subject and the profile's names as its one extension.

    No common name, usages or constraints: a role with `use_csr_common_name` or `use_csr_sans` would turn
    them into more than was asked. Raises CertificateError for a name that X.509 can't carry.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    try:
        names = _general_names(profile)
        if names:
            # RFC 5280, 4.2.1.6: critical where the subject is empty
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        csr = builder.sign(key, hashes.SHA256())
    except ValueError as error:
        raise CertificateError(
            f"a name can't stand in a certificate: {error}; expected ASCII DNS names, IP addresses and URIs"
        ) from None
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def _general_names(profile: Profile) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in profile.dns_names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in profile.ip_addresses),
        *(x509.UniformResourceIdentifier(uri) for uri in profile.uris),
    ]
