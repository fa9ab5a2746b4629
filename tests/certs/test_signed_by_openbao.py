"""Answers of a real server: what a careful role signs is accepted, what a naive one lets through is found."""

import datetime as dt
import urllib.error
from http import HTTPStatus
from typing import Any

import pytest
from cryptography import x509

from certs import bundle, keys, verify
from certs.bundle import Issuer
from certs.profiles import Profile
from demo.mounts import Mounts
from demo.openbao import Server

SPIFFE_ID = "spiffe://example.com/ns/payments/sa/payments-api"
SERVING = Profile(
    key="ec-p256",
    usages=("server", "client"),
    ttl_seconds=3600,
    dns_names=("payments.payments", "payments.payments.svc"),
    ip_addresses=("10.244.0.7",),
)
IDENTITY = Profile(key="ec-p256", usages=("server", "client"), ttl_seconds=3600, uris=(SPIFFE_ID,))
KEY = keys.generate("ec-p256")
NAIVE = {
    "max_ttl": "1h",
    "key_type": "any",
    "require_cn": False,
    "allowed_domains": "payments,payments.svc",
    "allow_any_name": True,
    "enforce_hostnames": False,
    "allowed_uri_sans": "*",
    "allowed_other_sans": "*",
}
CAREFUL = {
    "not_after_bound": "forbid",
    "not_before_bound": "forbid",
    "not_before_duration": "60s",
    "ttl": "1h",
    "max_ttl": "1h",
    "allow_bare_domains": True,
    "allow_localhost": False,
    "key_type": "ec",
    "key_bits": 256,
    "key_usage": ["DigitalSignature"],
    "use_csr_common_name": False,
    "use_csr_sans": False,
    "require_cn": False,
    "server_flag": True,
    "client_flag": True,
}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def live(bao: Server, mount: str) -> tuple[bytes, ...]:
    """The mount's issuers as anybody may read them, without a token."""
    listed = bao.call("LIST", f"{mount}/issuers", token="")["data"]["key_info"]
    return bundle.live_issuers([issuer(bao, mount, number, item) for number, item in listed.items()], now())


def issuer(bao: Server, mount: str, number: str, item: dict[str, Any]) -> Issuer:
    certificate = bao.call("GET", f"{mount}/issuer/{number}/json", token="")["data"]["certificate"]
    try:
        revoked = (
            bao.call("GET", f"{mount}/cert/{item['serial_number']}", token="")["data"]["revocation_time"] > 0
        )
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        revoked = False  # signed elsewhere: this mount tells nobody without a token
    return Issuer(certificate.encode(), has_key=item["key_id"] != "", revoked=revoked)


def signed(bao: Server, mount: str, role: dict[str, Any], profile: Profile, **asked: str) -> list[str]:
    """What is wrong with the server's answer to this request."""
    bao.call("POST", f"{mount}/roles/web", role)
    body = {"csr": keys.csr_pem(KEY, profile), "format": "pem", **asked}
    answer = bao.call("POST", f"{mount}/sign/web", body)["data"]
    found = verify.answer_problems(
        profile, KEY, chain=answer["certificate"].encode(), issuers=live(bao, mount), now=now()
    )
    return [problem.code for problem in found]


def test_what_a_careful_role_signs_is_what_was_asked(bao: Server, mounts: Mounts) -> None:
    role = CAREFUL | {
        "allowed_domains": list(SERVING.dns_names),
        "allow_ip_sans": True,
        "allowed_ip_sans_cidr": ["10.244.0.0/16"],
    }
    names = {"alt_names": ",".join(SERVING.dns_names), "ip_sans": "10.244.0.7", "ttl": "3600s"}
    assert signed(bao, mounts.serving, role, SERVING, **names) == []
    assert signed(bao, mounts.serving, role, SERVING, **names | {"ttl": "10s"}) == []


def test_an_svid_of_a_careful_role_is_one(bao: Server, mounts: Mounts) -> None:
    role = CAREFUL | {"allowed_uri_sans": [SPIFFE_ID], "allow_ip_sans": False}
    assert signed(bao, mounts.identity, role, IDENTITY, uri_sans=SPIFFE_ID, ttl="3600s") == []


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072"])
def test_an_rsa_key_is_signed_as_well(bao: Server, mounts: Mounts, kind: Any) -> None:  # noqa: ANN401 - a literal type
    profile = Profile(kind, ("server",), 3600, dns_names=("payments.payments",))
    key = keys.generate(kind)
    role = CAREFUL | {
        "allowed_domains": "payments.payments",
        "key_type": "rsa",
        "key_bits": 2048,
        "client_flag": False,
    }
    bao.call("POST", f"{mounts.serving}/roles/rsa", role)
    body = {"csr": keys.csr_pem(key, profile), "alt_names": "payments.payments"}
    chain = bao.call("POST", f"{mounts.serving}/sign/rsa", body)["data"]["certificate"].encode()
    issuers = live(bao, mounts.serving)
    assert verify.answer_problems(profile, key, chain=chain, issuers=issuers, now=now()) == []


def test_the_names_of_the_request_alone_give_what_was_asked(bao: Server, mounts: Mounts) -> None:
    """Under a role that takes names from the request, ours carries nothing that becomes more."""
    role = NAIVE | {"use_csr_sans": True, "use_csr_common_name": True, "not_before_duration": "60s"}
    assert signed(bao, mounts.serving, role, SERVING) == []
    assert signed(bao, mounts.serving, role, IDENTITY) == []


DROPPED = {"use_csr_sans": False}
LET_THROUGH: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "the year 2035": ({}, {"not_after": "2035-01-01T00:00:00Z"}, ["lifetime"]),
    "an e-mail address": (
        DROPPED,
        {"alt_names": "payments.payments,payments.payments.svc,a@payments", "ip_sans": "10.244.0.7"},
        ["names"],
    ),
    "another address": (
        DROPPED,
        {"alt_names": "payments.payments,payments.payments.svc", "ip_sans": "8.8.8.8"},
        ["names", "names"],
    ),
    "no names": (DROPPED, {}, ["names", "names", "names"]),
    "the same URI twice": (
        DROPPED,
        {
            "alt_names": "payments.payments,payments.payments.svc",
            "ip_sans": "10.244.0.7",
            "uri_sans": f"{SPIFFE_ID},{SPIFFE_ID}",
        },
        ["names"],
    ),
    "another name as common name": (
        {},
        {"common_name": "admin.example.com", "exclude_cn_from_sans": "true"},
        ["subject"],
    ),
    "an other name": (
        DROPPED,
        {
            "alt_names": "payments.payments,payments.payments.svc",
            "ip_sans": "10.244.0.7",
            "other_sans": "1.3.6.1.4.1.311.20.2.3;utf8:admin",
        },
        ["names"],
    ),
    "code signing": ({"code_signing_flag": True}, {}, ["usages"]),
    "every usage": ({"server_flag": False, "client_flag": False}, {}, ["usages"]),
    "no digital signature": ({"key_usage": ["KeyAgreement"]}, {}, ["key-usage"]),
    "an organization": ({"organization": "system:masters"}, {}, ["subject"]),
}


@pytest.mark.parametrize("hole", LET_THROUGH)
def test_what_a_naive_role_lets_through_is_found(bao: Server, mounts: Mounts, hole: str) -> None:
    """Were the role's protections dropped, nothing else than what was asked would be written."""
    role, asked, codes = LET_THROUGH[hole]
    found = signed(bao, mounts.serving, NAIVE | {"not_before_duration": "60s"} | role, SERVING, **asked)
    assert found == codes


@pytest.mark.openbao_only("HashiCorp Vault trims the blank, and signs the names")
def test_names_after_a_space_that_the_server_drops_are_missed(bao: Server, mounts: Mounts) -> None:
    """The server says nothing of it."""
    role = CAREFUL | {"allowed_domains": list(SERVING.dns_names), "allowed_ip_sans_cidr": ["10.244.0.0/16"]}
    spaced = {"alt_names": ", ".join(SERVING.dns_names), "ip_sans": "10.244.0.7"}
    assert signed(bao, mounts.serving, role, SERVING, **spaced) == ["names"]


def test_a_certificate_of_another_mount_is_found(bao: Server, mounts: Mounts) -> None:
    bao.call("POST", f"{mounts.serving}/roles/web", NAIVE)
    body = {"csr": keys.csr_pem(KEY, SERVING)}
    chain = bao.call("POST", f"{mounts.serving}/sign/web", body)["data"]["certificate"].encode()
    issuers = live(bao, mounts.identity)
    found = verify.answer_problems(SERVING, KEY, chain=chain, issuers=issuers, now=now())
    assert [problem.code for problem in found] == ["chain"]


def generate_root(bao: Server, mount: str, name: str) -> str:
    body = {"common_name": name, "issuer_name": name, "key_type": "ec", "key_bits": 256, "ttl": "8760h"}
    text = bao.call("POST", f"{mount}/issuers/generate/root/internal", body)["data"]["certificate"]
    return str(text)


def test_a_rotated_mount_is_trusted_by_the_union_of_its_roots(bao: Server, mounts: Mounts) -> None:
    """Certificates of the old root and of the new one are both good until the old one is taken out."""
    before = live(bao, mounts.serving)
    generate_root(bao, mounts.serving, "second")
    after = live(bao, mounts.serving)
    assert set(before) < set(after)
    assert len(after) == 2
    trusted = bundle.union(b"".join(before), after, now(), complete=True)
    assert bundle.split(trusted) == after
    bao.call("POST", f"{mounts.serving}/issuer/second/revoke")
    assert live(bao, mounts.serving) == before
    assert bundle.union(trusted, live(bao, mounts.serving), now(), complete=True) == before[0]


def test_an_intermediate_is_trusted_and_the_foreign_root_beside_it_is_not(
    bao: Server, mounts: Mounts
) -> None:
    """Whatever else a corporate root signs stays outside."""
    body = {"common_name": "intermediate", "key_type": "ec", "key_bits": 256}
    csr = bao.call("POST", f"{mounts.serving}/issuers/generate/intermediate/internal", body)["data"]["csr"]
    answer = bao.call(
        "POST", f"{mounts.identity}/root/sign-intermediate", {"csr": csr, "common_name": "intermediate"}
    )
    pems = answer["data"]["certificate"], answer["data"]["issuing_ca"]
    bao.call("POST", f"{mounts.serving}/intermediate/set-signed", {"certificate": "\n".join(pems)})
    listed = bao.call("LIST", f"{mounts.serving}/issuers", token="")["data"]["keys"]
    trusted = [x509.load_pem_x509_certificate(block) for block in live(bao, mounts.serving)]
    assert len(listed) == 3
    assert {certificate.subject.rfc4514_string() for certificate in trusted} == {
        "CN=intermediate",
        f"CN={mounts.serving} root",
    }
