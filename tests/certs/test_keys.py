"""Keys and requests, with openssl as the second opinion."""

import subprocess
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import keys, pem
from certs.errors import CertificateError
from certs.profiles import KEY_TYPES, KeyType, Profile

PROFILE = Profile(
    key="ec-p256",
    usages=("server",),
    ttl_seconds=3600,
    dns_names=("payments.payments", "payments.payments.svc"),
    ip_addresses=("10.244.0.7", "fd00::7"),
    uris=("spiffe://example.com/ns/payments/sa/payments-api",),
)


def openssl(*arguments: str, content: bytes) -> str:
    done = subprocess.run(["openssl", *arguments], input=content, capture_output=True, check=True)
    return done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_openssl_reads_the_key_and_accepts_the_request(kind: KeyType) -> None:
    key = keys.generate(kind)
    assert keys.private_key_pem(key).startswith(b"-----BEGIN PRIVATE KEY-----")  # PKCS#8
    public = openssl("pkey", "-pubout", content=keys.private_key_pem(key))
    text = openssl(
        "req", "-verify", "-noout", "-text", "-pubkey", content=keys.csr_pem(key, PROFILE).encode()
    )
    assert "verify OK" in text
    assert public in text


def test_a_request_has_an_empty_subject_and_names_and_nothing_else() -> None:
    """A server can't turn into a name or a right what isn't in the request."""
    csr = x509.load_pem_x509_csr(keys.csr_pem(keys.generate("ec-p256"), PROFILE).encode())
    assert not list(csr.subject)
    assert [type(extension.value) for extension in csr.extensions] == [x509.SubjectAlternativeName]
    assert [str(name.value) for name in csr.extensions[0].value] == [
        *PROFILE.dns_names,
        *PROFILE.ip_addresses,
        *PROFILE.uris,
    ]


def test_a_request_without_names_has_no_extension() -> None:
    csr = x509.load_pem_x509_csr(keys.csr_pem(keys.generate("ec-p256"), Profile("ec-p256", (), 60)).encode())
    assert not list(csr.extensions)


@pytest.mark.parametrize(
    "profile",
    [
        Profile("ec-p256", ("server",), 60, dns_names=("zürich.example.com",)),
        Profile("ec-p256", ("server",), 60, ip_addresses=("10.0.0.256",)),
        Profile("ec-p256", ("server",), 60, uris=("spiffe://exämple.com/a",)),
    ],
)
def test_a_name_that_a_certificate_cannot_carry_is_refused(profile: Profile) -> None:
    with pytest.raises(CertificateError, match="expected ASCII DNS names"):
        keys.csr_pem(keys.generate("ec-p256"), profile)


def test_an_unknown_key_type_is_refused_by_name() -> None:
    with pytest.raises(CertificateError, match="'dsa', expected ec-p256, rsa-2048 or rsa-3072"):
        keys.generate(cast("KeyType", "dsa"))


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@settings(max_examples=25)
@given(names=st.lists(LABEL, min_size=1, max_size=5), address=st.ip_addresses())
def test_openssl_finds_exactly_the_names_that_were_put_in(names: list[str], address: object) -> None:
    profile = Profile("ec-p256", ("server",), 60, dns_names=tuple(names), ip_addresses=(str(address),))
    text = openssl("req", "-noout", "-text", content=keys.csr_pem(keys.generate("ec-p256"), profile).encode())
    line = next(line for line in text.splitlines() if "DNS:" in line)
    found = [part.strip().partition(":") for part in line.split(",")]
    assert [value for kind, _, value in found if kind == "DNS"] == names
    assert [kind for kind, _, _ in found] == ["DNS"] * len(names) + ["IP Address"]


def test_a_key_survives_being_written_and_read() -> None:
    key = keys.generate("ec-p256")
    assert pem.spki(pem.private_key(keys.private_key_pem(key))) == pem.spki(key)


def refused(content: bytes, message: str) -> None:
    with pytest.raises(CertificateError, match=message) as caught:
        pem.private_key(content, "tls.key")
    assert "tls.key" in str(caught.value)
    for line in content.splitlines():
        assert len(line) < 20 or line.decode(errors="replace") not in str(caught.value)
    assert caught.value.__cause__ is None


def test_keys_that_cannot_be_used_are_refused_by_what_they_are() -> None:
    """No message quotes the key."""
    key = keys.generate("ec-p256")
    plain = keys.private_key_pem(key)
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused
    refused(keys.private_key_pem(weak), "RSA key of 1024 bits, expected 2048 to")
    other = ed25519.Ed25519PrivateKey.generate()
    refused(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "expected an EC or RSA")
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        encrypted = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"canary"))
        refused(encrypted, "encrypted private key, expected a plain one")
    refused(plain[: len(plain) // 2], "without its end")
    refused(plain + plain, "2 private keys")
    refused(plain.replace(b"MIGH", b"AAAA", 1), "can't be parsed")
    refused(plain.replace(b"MIGH", b"A" * 20_000, 1), "expected at most 16384")
    refused(b"\x30\x82\x01\x01" + bytes(200), "got DER")
    refused(b"", "empty file")
    refused(b"hello\nthere\n", "no PEM block")
