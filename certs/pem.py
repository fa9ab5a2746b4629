"""PEM → parsed certificates and keys. Pure; whatever else arrives (DER, truncated, encrypted, weak) is refused by name."""

import datetime as dt
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.errors import CertificateError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

MAX_CERTIFICATES = 1000  # several times the public web's roots; each costs a parse
MIN_RSA_BITS = 2048
MAX_KEY_BYTES = 16 * 1024  # twice an RSA key of 8192 bits
MAX_RSA_BITS = 8192  # checking the parts of a longer one takes seconds

_DER_SEQUENCE = 0x30
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*(?:-(?!----)[^-]*)*-----END \1-----")


def certificates(pem: bytes, source: str = "certificate") -> tuple[x509.Certificate, ...]:
    """All certificates in `pem`, in order, at least one; other PEM blocks, such as a key, are passed over.

    Every part that is read later is parsed here, so that no later reader meets a malformed one.
    `source` names the file or answer in the message. Raises CertificateError.
    """
    blocks = _blocks(pem, source, "CERTIFICATE")
    if len(blocks) > MAX_CERTIFICATES:
        raise CertificateError(
            f"{source}: got {len(blocks)} certificates, expected at most {MAX_CERTIFICATES}"
        )
    return tuple(_certificate(block, source) for block in blocks)


def private_key(pem: bytes, source: str = "key") -> PrivateKey:
    """The one unencrypted private key in `pem`; certificates beside it are passed over. Raises CertificateError."""
    labels = [label for label in _labels(pem, source) if label.endswith("PRIVATE KEY")]
    if len(labels) != 1:
        raise CertificateError(f"{source}: got {len(labels)} private keys in PEM, expected one")
    block = _blocks(pem, source, labels[0])[0]
    if len(block) > MAX_KEY_BYTES:
        raise CertificateError(f"{source}: got a key of {len(block)} bytes, expected at most {MAX_KEY_BYTES}")
    if labels[0].startswith("ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in block:
        raise CertificateError(
            f"{source}: got an encrypted private key, expected a plain one; decrypt it with openssl pkey"
        )
    try:
        key = serialization.load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # its text could quote what it read
        raise CertificateError(f"{source}: got a private key that can't be parsed, expected PKCS#8") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"{source}: got {type(key).__name__}, expected an EC or RSA private key")
    weak = weakness(key.public_key())
    if weak:
        raise CertificateError(f"{source}: got {weak}")
    return key


def to_pem(certificate: x509.Certificate) -> bytes:
    """The one form in which bundles and chains are compared: 64 columns, a newline at the end."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def validity(certificate: x509.Certificate) -> tuple[float, float]:
    """The certificate's notBefore and notAfter in seconds since 1970."""
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def is_expired(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return now > certificate.not_valid_after_utc  # RFC 5280, 4.1.2.5: valid through notAfter, inclusive


def spki(key: PrivateKey | x509.Certificate) -> bytes:
    """The public key's SubjectPublicKeyInfo: equal bytes, equal key."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def weakness(public: object) -> str:
    """Why a public key isn't accepted, or nothing."""
    if isinstance(public, rsa.RSAPublicKey) and not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        return f"an RSA key of {public.key_size} bits, expected {MIN_RSA_BITS} to {MAX_RSA_BITS}"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.key_size < 256:  # noqa: PLR2004 - P-256
        return f"an EC key on {public.curve.name}, expected P-256 or larger"
    return ""


def _labels(pem: bytes, source: str) -> list[str]:
    """The labels of the blocks in `pem`, each of which must be whole."""
    labels = [label.decode() for label in _BEGIN.findall(pem)]
    if not labels:
        what = "DER" if pem[:1] == bytes([_DER_SEQUENCE]) else "an empty file" if not pem else "no PEM block"
        advice = "; convert it with openssl x509 or pkey, -inform DER" if what == "DER" else ""
        raise CertificateError(f"{source}: got {what}, expected PEM (-----BEGIN …-----){advice}")
    if len(_BLOCK.findall(pem)) != len(labels):
        raise CertificateError(f"{source}: got a PEM block without its end; the file is truncated or damaged")
    return labels


def _blocks(pem: bytes, source: str, label: str) -> list[bytes]:
    """The whole blocks with this label, at least one."""
    _labels(pem, source)
    found = [match.group(0) for match in _BLOCK.finditer(pem) if match.group(1) == label.encode()]
    if not found:
        raise CertificateError(f"{source}: got PEM without a {label}, expected at least one")
    return found


def _certificate(block: bytes, source: str) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block)
        for part in _LAZY:
            getattr(certificate, part)
        certificate.public_key()
    except _MALFORMED:
        raise CertificateError(
            f"{source}: got a certificate that can't be parsed, expected X.509 as RFC 5280 has it"
        ) from None
    return certificate


# Parsed by cryptography only when they are asked for
_LAZY = ("subject", "issuer", "serial_number", "not_valid_before_utc", "not_valid_after_utc", "extensions")
_MALFORMED = (
    ValueError,
    TypeError,  # a name's attribute in a type that it can't have
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
