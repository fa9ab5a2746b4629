"""What comes back is compared with what was asked, each way in which a server can get it wrong."""

import base64
import datetime as dt
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import keys, pem, verify
from certs.chain import chain_problems
from certs.profiles import Profile
from tests.certs import authority
from tests.certs.authority import NOW, Asked, Authority, ca_asked, key_usage

SPIFFE_ID = "spiffe://example.com/ns/payments/sa/payments-api"
SERVING = Profile(
    key="ec-p256",
    usages=("server", "client"),
    ttl_seconds=3600,
    dns_names=("payments.payments", "payments.payments.svc"),
    ip_addresses=("10.244.0.7",),
)
IDENTITY = Profile(key="ec-p256", usages=("server", "client"), ttl_seconds=3600, uris=(SPIFFE_ID,))
ROOT = authority.root()
KEY = keys.generate("ec-p256")


def problems(
    profile: Profile,
    asked: Asked,
    *,
    signer: Authority = ROOT,
    beside: bytes = b"",
    issuers: Sequence[bytes] = (ROOT.pem,),
) -> list[str]:
    chain = pem.to_pem(signer.sign(KEY.public_key(), asked)) + beside
    found = verify.answer_problems(profile, KEY, chain=chain, issuers=issuers, now=NOW)
    return [problem.code for problem in found]


def good(profile: Profile) -> Asked:
    return Asked(names=authority.general_names(profile))


@pytest.mark.parametrize("profile", [SERVING, IDENTITY])
def test_what_was_asked_is_accepted(profile: Profile) -> None:
    assert problems(profile, good(profile)) == []


def named(asked: Asked, *more: x509.GeneralName) -> Asked:
    return replace(asked, names=[*asked.names, *more])


def subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


# what the server did to a good serving certificate → what is found
SERVING_FAULTS: dict[str, tuple[Callable[[Asked], Asked], list[str]]] = {
    "an e-mail address added": (lambda a: named(a, x509.RFC822Name("a@payments.payments")), ["names"]),
    "a DNS name added": (lambda a: named(a, x509.DNSName("other.payments")), ["names"]),
    "a wildcard added": (lambda a: named(a, x509.DNSName("*.payments.svc")), ["names"]),
    "another address": (
        lambda a: replace(a, names=[*a.names[:2], x509.IPAddress(ip_address("8.8.8.8"))]),
        ["names", "names"],
    ),
    "a name twice": (lambda a: named(a, x509.DNSName("payments.payments")), ["names"]),
    "a name dropped": (lambda a: replace(a, names=a.names[1:]), ["names"]),
    "no names": (lambda a: replace(a, names=()), ["names", "names", "names"]),
    "a name in upper case": (
        lambda a: replace(a, names=[x509.DNSName("PAYMENTS.payments"), *a.names[1:]]),
        ["names", "names"],
    ),
    "a SPIFFE ID added": (lambda a: named(a, x509.UniformResourceIdentifier(SPIFFE_ID)), ["names"]),
    "an other name added": (
        lambda a: named(a, x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a")),
        ["names"],
    ),
    "a directory name added": (lambda a: named(a, x509.DirectoryName(authority.name("root"))), ["names"]),
    "a registered ID added": (
        lambda a: named(a, x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
        ["names"],
    ),
    "a foreign common name": (lambda a: replace(a, subject=authority.name("admin")), ["subject"]),
    "an organization": (
        lambda a: replace(a, subject=subject((NameOID.ORGANIZATION_NAME, "system:masters"))),
        ["subject"],
    ),
    "no client usage": (lambda a: replace(a, eku=[ExtendedKeyUsageOID.SERVER_AUTH]), ["usages"]),
    "code signing": (lambda a: replace(a, eku=[*a.eku, ExtendedKeyUsageOID.CODE_SIGNING]), ["usages"]),
    "every usage": (lambda a: replace(a, eku=()), ["usages"]),
    "no digital signature": (lambda a: replace(a, usage=key_usage("key_encipherment")), ["key-usage"]),
    "no key usage at all": (lambda a: replace(a, usage=None), ["key-usage"]),
    "certificate signing": (
        lambda a: replace(a, usage=key_usage("digital_signature", "key_cert_sign")),
        ["key-usage"],
    ),
    "a CA": (lambda a: replace(a, ca=True), ["ca"]),
    "the year 2035": (lambda a: replace(a, end=dt.datetime(2035, 1, 1, tzinfo=dt.UTC)), ["lifetime"]),
    "two minutes more": (lambda a: replace(a, end=a.end + dt.timedelta(minutes=2)), ["lifetime"]),
    "a start an hour back": (lambda a: replace(a, start=a.start - dt.timedelta(hours=1)), ["lifetime"]),
    "already ended": (
        lambda a: replace(a, start=NOW - dt.timedelta(minutes=9), end=NOW - dt.timedelta(seconds=1)),
        ["expired", "chain"],
    ),
    "not yet begun": (lambda a: replace(a, start=NOW + dt.timedelta(seconds=1)), ["not-yet-valid", "chain"]),
}


@pytest.mark.parametrize("fault", SERVING_FAULTS)
def test_a_serving_certificate_that_is_not_what_was_asked_is_found_out(fault: str) -> None:
    """Nothing is written that was not asked for, whatever the role let through."""
    change, codes = SERVING_FAULTS[fault]
    assert problems(SERVING, change(good(SERVING))) == codes


def uri(text: str) -> Asked:
    return Asked(names=[x509.UniformResourceIdentifier(text)])


SVID_FAULTS: dict[str, tuple[Asked, list[str]]] = {
    "two SPIFFE IDs": (
        named(uri(SPIFFE_ID), x509.UniformResourceIdentifier("https://example.com")),
        ["svid-uri"],
    ),
    "the same twice": (named(uri(SPIFFE_ID), x509.UniformResourceIdentifier(SPIFFE_ID)), ["svid-uri"]),
    "none": (Asked(), ["svid-uri"]),
    "another scheme": (uri("https://example.com/ns"), ["svid-id"]),
    "no path": (uri("spiffe://example.com"), ["svid-id"]),
    "only a slash": (uri("spiffe://example.com/"), ["svid-id"]),
    "a trailing slash": (uri("spiffe://example.com/ns/"), ["svid-id"]),
    "an empty segment": (uri("spiffe://example.com//ns"), ["svid-id"]),
    "a parent segment": (uri("spiffe://example.com/ns/../sa"), ["svid-id"]),
    "a percent sign": (uri("spiffe://example.com/%61"), ["svid-id"]),
    "a query": (uri("spiffe://example.com/ns?a=b"), ["svid-id"]),
    "a port": (uri("spiffe://example.com:443/ns"), ["svid-id"]),
    "a user": (uri("spiffe://me@example.com/ns"), ["svid-id"]),
    "an upper-case trust domain": (uri("spiffe://Example.com/ns"), ["svid-id"]),
    "an upper-case scheme": (uri("SPIFFE://example.com/ns"), ["svid-id"]),
    "no trust domain": (uri("spiffe:///ns"), ["svid-id"]),
    "a trust domain of 256 bytes": (uri(f"spiffe://{'a' * 256}/ns"), ["svid-id"]),
    "an ID of 2049 bytes": (uri("spiffe://example.com/" + "a" * (2049 - 21)), ["svid-id"]),
    "a CA": (replace(uri(SPIFFE_ID), ca=True), ["ca"]),
    "CRL signing": (replace(uri(SPIFFE_ID), usage=key_usage("digital_signature", "crl_sign")), ["key-usage"]),
    "no key usage": (replace(uri(SPIFFE_ID), usage=None), ["key-usage"]),
    "a key usage that may be ignored": (replace(uri(SPIFFE_ID), usage_critical=False), ["svid-key-usage"]),
    "one usage of two": (replace(uri(SPIFFE_ID), eku=[ExtendedKeyUsageOID.CLIENT_AUTH]), ["svid-usages"]),
}


@pytest.mark.parametrize("fault", SVID_FAULTS)
def test_a_certificate_that_breaks_a_rule_of_x509_svid_is_found_out(fault: str) -> None:
    asked, codes = SVID_FAULTS[fault]
    found = verify.svid_problems(ROOT.sign(KEY.public_key(), asked))
    assert [problem.code for problem in found] == codes


@pytest.mark.parametrize(
    "asked",
    [
        uri("spiffe://example.com/" + "a" * (2048 - 21)),
        uri(f"spiffe://{'a' * 255}/ns"),
        uri("spiffe://1.2.3.4/A-z_0.9"),
        named(uri(SPIFFE_ID), x509.DNSName("payments.payments")),
        replace(uri(SPIFFE_ID), eku=()),
        replace(uri(SPIFFE_ID), usage=key_usage("digital_signature", "key_agreement", "key_encipherment")),
    ],
)
def test_what_x509_svid_allows_is_an_svid(asked: Asked) -> None:
    assert verify.svid_problems(ROOT.sign(KEY.public_key(), asked)) == []


def test_an_identity_is_held_to_the_svid_rules_as_well_as_to_the_request() -> None:
    asked = replace(good(IDENTITY), usage_critical=False)
    assert problems(IDENTITY, asked) == ["svid-key-usage"]
    assert problems(SERVING, replace(good(SERVING), usage_critical=False)) == []


def test_a_certificate_for_another_key_is_found_out() -> None:
    """A certificate is of no use without its key, and of much use to whoever has it."""
    other = keys.generate("ec-p256")
    chain = pem.to_pem(ROOT.sign(other.public_key(), good(SERVING)))
    found = verify.answer_problems(SERVING, KEY, chain=chain, issuers=[ROOT.pem], now=NOW)
    assert [problem.code for problem in found] == ["key"]


def test_a_life_shorter_than_asked_is_accepted() -> None:
    """An issuer near its own end shortens it; renewal goes by the certificate's own dates."""
    assert problems(SERVING, replace(good(SERVING), end=NOW + dt.timedelta(minutes=10))) == []


def test_the_last_second_of_a_life_is_valid_and_the_one_before_the_first_is_not() -> None:
    asked = replace(good(SERVING), start=NOW, end=NOW)
    assert problems(SERVING, asked) == []


def test_a_chain_ends_at_any_trusted_issuer_root_or_not() -> None:
    middle = ROOT.intermediate()
    assert problems(SERVING, good(SERVING), signer=middle, issuers=[middle.pem]) == []
    assert problems(SERVING, good(SERVING), signer=middle, beside=middle.pem) == []
    assert problems(SERVING, good(SERVING), signer=middle, beside=middle.pem + ROOT.pem) == []


def through(asked: Asked) -> list[str]:
    middle = ROOT.intermediate(asked=asked)
    return problems(SERVING, good(SERVING), signer=middle, beside=middle.pem)


def by(root: Authority) -> list[str]:
    return problems(SERVING, good(SERVING), signer=root, issuers=[root.pem])


def too_long() -> list[str]:
    first = ROOT.intermediate(asked=ca_asked("first", path_length=0))
    second = first.intermediate("second")
    return problems(SERVING, good(SERVING), signer=second, beside=second.pem + first.pem)


CHAIN_FAULTS: dict[str, Callable[[], list[str]]] = {
    "no issuers": lambda: problems(SERVING, good(SERVING), issuers=[]),
    "another root": lambda: problems(SERVING, good(SERVING), issuers=[authority.root("other").pem]),
    "another root of the same name": lambda: problems(SERVING, good(SERVING), issuers=[authority.root().pem]),
    "a missing intermediate": lambda: problems(SERVING, good(SERVING), signer=ROOT.intermediate()),
    "an intermediate that is no CA": lambda: through(ca_asked("middle", ca=False)),
    "an intermediate that may not sign": lambda: through(ca_asked("middle", usage=key_usage("crl_sign"))),
    "an expired intermediate": lambda: through(ca_asked("middle", end=NOW - dt.timedelta(seconds=1))),
    "an expired root": lambda: by(authority.root(asked=ca_asked("old", end=NOW - dt.timedelta(seconds=1)))),
    "an Ed25519 root": lambda: by(authority.root(key=ed25519.Ed25519PrivateKey.generate())),
    "an RSA root of 1024 bits": lambda: by(
        authority.root(key=rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - refused
    ),
    "a path that is too long": too_long,
}


@pytest.mark.parametrize("fault", CHAIN_FAULTS)
def test_a_chain_that_does_not_hold_is_found_out(fault: str) -> None:
    assert CHAIN_FAULTS[fault]() == ["chain"]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_issuers_on_the_nist_curves_are_good(curve: ec.EllipticCurve) -> None:
    assert by(authority.root(key=ec.generate_private_key(curve))) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"x", ROOT.pem[:100], b"\x30\x82", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ids=["empty", "no PEM", "truncated", "DER", "empty block"],
)
def test_an_answer_that_is_no_certificate_is_a_problem_and_no_exception(content: bytes) -> None:
    good_chain = pem.to_pem(ROOT.sign(KEY.public_key(), good(SERVING)))
    for chain, issuers in ((content, [ROOT.pem]), (good_chain, [content])):
        found = verify.answer_problems(SERVING, KEY, chain=chain, issuers=issuers, now=NOW)
        assert [problem.code for problem in found] == ["unreadable"]


def test_every_message_says_what_was_got_or_asked_and_what_was_expected() -> None:
    chain = pem.to_pem(
        ROOT.sign(KEY.public_key(), named(good(SERVING), x509.RFC822Name("a@payments.payments")))
    )
    found = verify.answer_problems(replace(SERVING, ttl_seconds=60), KEY, chain=chain, issuers=[], now=NOW)
    assert [problem.message for problem in found] == [
        "got e-mail address 'a@payments.payments', which was not asked for; the PKI role must not allow it",
        (
            "got a life of 1:01:00, to 2026-11-25 13:00:00Z, expected 0:01:00 and at most a minute more;"
            " bound the PKI role's ttl and not_after"
        ),
        "got no trusted issuer to verify with, expected a bundle of CA certificates",
    ]


SHAPES = st.fixed_dictionaries(
    {
        "ca": st.booleans(),
        "path_length": st.sampled_from([None, 0, 1]),
        "usage": st.sampled_from([key_usage("key_cert_sign", "crl_sign"), key_usage("crl_sign"), None]),
        "start": st.sampled_from([NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=1)]),
        "end": st.sampled_from([NOW + dt.timedelta(days=9), NOW + dt.timedelta(days=2)]),
    }
)
MOSTLY_GOOD: dict[str, object] = {"ca": True, "path_length": None, "start": NOW - dt.timedelta(days=1)}


@settings(max_examples=60)
@given(
    shapes=st.lists(st.tuples(SHAPES, st.sampled_from(sorted({"", *MOSTLY_GOOD}))), min_size=0, max_size=3),
    forged=st.integers(0, 6),
    dropped=st.integers(0, 6),
)
def test_a_chain_holds_exactly_where_openssl_says_so(
    shapes: list[tuple[dict[str, object], str]],
    forged: int,
    dropped: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Openssl is the oracle: random chains with one random fault left in each intermediate."""
    signer, between = ROOT, []
    for number, (shape, kept) in enumerate(shapes):
        values = shape | {key: value for key, value in MOSTLY_GOOD.items() if key != kept}
        asked = ca_asked(f"ca {number}", **values)
        if values["ca"] is False:
            asked = replace(asked, path_length=None)
        signer = authority.root(asked=asked) if forged == number else signer.intermediate(asked=asked)
        between.append(signer.pem)
    leaf = signer.sign(KEY.public_key(), good(SERVING))
    sent = [block for number, block in enumerate(between) if number != dropped]
    blocks = pem.certificates(b"".join(sent)) if sent else ()
    ours = chain_problems(leaf, blocks, [ROOT.certificate], NOW)
    folder = tmp_path_factory.mktemp("chain")
    assert (not ours) is openssl_verifies(folder, pem.to_pem(leaf), b"".join(sent))


def openssl_verifies(folder: Path, leaf: bytes, sent: bytes) -> bool:
    for name, content in (("leaf", leaf), ("sent", sent or ROOT.pem), ("root", ROOT.pem)):
        (folder / name).write_bytes(content)
    command = ["openssl", "verify", "-no-CApath", "-attime", str(int(NOW.timestamp()))]
    files = ["-CAfile", str(folder / "root"), "-untrusted", str(folder / "sent"), str(folder / "leaf")]
    return subprocess.run([*command, *files], capture_output=True, check=False).returncode == 0


@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
def test_a_damaged_certificate_is_a_problem_and_no_exception() -> None:
    """3,000 seeded damages to bytes of a leaf with names of every kind, as answer and as issuer."""
    dice = random.Random(20261125)  # noqa: S311 - repeatable, not secret
    names = [
        *authority.general_names(SERVING),
        x509.RFC822Name("a@b"),
        x509.DirectoryName(authority.name("x")),
    ]
    leaf = ROOT.sign(KEY.public_key(), Asked(names=names, subject=subject((NameOID.COUNTRY_NAME, "NL"))))
    whole = leaf.public_bytes(Encoding.DER)
    for _ in range(3000):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] = dice.choice([0, 0x80, 0xFF, dice.randrange(256)])
        text = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(damaged) + b"-----END CERTIFICATE-----\n"
        for chain, issuers in ((text, [ROOT.pem]), (pem.to_pem(leaf), [text])):
            assert verify.answer_problems(SERVING, KEY, chain=chain, issuers=issuers, now=NOW)
