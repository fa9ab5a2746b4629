"""Checks of the server's login and PKI mounts, on both outcomes."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.pem import to_pem
from cluster.backstop import Backstop
from cluster.checks import login, pki
from cluster.errors import ClusterError
from cluster.finding import Unread
from cluster.issuer import TokenIssuer, same_keys, token_issuer
from cluster.server_facts import Mount
from tests.cluster.trees import CLUSTER, NOW, certificate, signer, tree

URL = "https://kubernetes.default.svc.example.com"
REASON = Unread("forbidden", "allow it")


def public_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


KEY, OTHER = (public_pem(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
ISSUER = TokenIssuer(URL, ("ES256",), (KEY,), "CA\n")
JWT = {"bound_issuer": URL, "jwt_supported_algs": ["ES256"], "jwt_validation_pubkeys": [KEY]}


def base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def test_keys_of_the_api_server_become_pem() -> None:
    curve, modular = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    point, numbers = curve.public_key().public_numbers(), modular.public_key().public_numbers()
    listed = [
        {"kty": "EC", "crv": "P-256", "x": base64url(point.x), "y": base64url(point.y)},
        {"kty": "RSA", "n": base64url(numbers.n), "e": base64url(numbers.e)},
    ]
    discovery = {"issuer": URL, "id_token_signing_alg_values_supported": ["RS256", "ES256"]}
    found = token_issuer(discovery, {"keys": listed}, "CA")
    assert found == TokenIssuer(URL, ("ES256", "RS256"), (public_pem(curve), public_pem(modular)), "CA")


@pytest.mark.parametrize(
    "key", [{}, {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"}, {"kty": "oct", "k": "AA"}, 3]
)
def test_a_key_set_that_cannot_be_read_is_said_in_words(key: object) -> None:
    discovery = {"issuer": URL, "id_token_signing_alg_values_supported": []}
    with pytest.raises(ClusterError, match="key set that can't be read"):
        token_issuer(discovery, {"keys": [key]}, "")


def test_public_keys_compare_however_their_pem_is_wrapped() -> None:
    body = "".join(KEY.split("\n")[1:-2])
    rewrapped = f"-----BEGIN PUBLIC KEY-----\n{body[:40]}\n{body[40:]}\n-----END PUBLIC KEY-----"
    assert same_keys([KEY]) == same_keys([rewrapped])
    assert same_keys([KEY]) != same_keys([OTHER]) != same_keys(["no key"])


def test_the_login_mount_is_of_the_method_that_the_cluster_file_says() -> None:
    assert login.login_mount(CLUSTER, {"jwt-east": "jwt"}).result == "ok"
    assert login.login_mount(CLUSTER, {}).got == "no auth/jwt-east"
    assert login.login_mount(CLUSTER, {"jwt-east": "kubernetes"}).result == "failed"
    assert login.login_mount(CLUSTER, REASON).result == "unknown"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"bound_issuer": ""}, "bound_issuer is empty"),
        ({"bound_issuer": "https://west.example.com"}, "bound_issuer is https://west.example.com"),
        ({"jwt_supported_algs": []}, "empty, which is any"),
        ({"jwt_supported_algs": ["ES256", "HS256"]}, "HS256"),
        ({"jwt_validation_pubkeys": [OTHER, KEY]}, "holds 1 that the API server does not have"),
        ({"jwt_validation_pubkeys": []}, "lacks 1 of the API server's 1 keys"),
        ({"jwt_validation_pubkeys": [], "jwks_url": "https://east.example.com/jwks"}, ""),
        ({"jwt_validation_pubkeys": [], "oidc_discovery_url": URL + "/"}, ""),
        (
            {"jwt_validation_pubkeys": [], "oidc_discovery_url": "https://west.example.com"},
            "oidc_discovery_url",
        ),
    ],
)
def test_a_login_mount_that_trusts_another_issuer_or_key_is_found(
    change: dict[str, Any], problem: str
) -> None:
    """Invariant 4: another cluster's tokens must not log in."""
    found = login.login_issuer(CLUSTER, {**JWT, **change}, ISSUER)
    assert found.result == ("failed" if problem else "ok")
    assert problem in found.got


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"kubernetes_ca_cert": "CA", "disable_local_ca_jwt": False}, ""),
        ({"kubernetes_ca_cert": "", "disable_local_ca_jwt": False}, ""),
        ({"kubernetes_ca_cert": "another", "disable_local_ca_jwt": False}, "is not this cluster's CA"),
        ({"kubernetes_ca_cert": "", "disable_local_ca_jwt": True}, "no kubernetes_ca_cert"),
        ({"kubernetes_ca_cert": "CA", "disable_local_ca_jwt": True}, "no token_reviewer_jwt"),
        ({"kubernetes_ca_cert": "CA", "disable_local_ca_jwt": True, "token_reviewer_jwt_set": True}, ""),
    ],
)
def test_a_kubernetes_login_needs_this_clusters_ca_and_a_token(config: dict[str, Any], problem: str) -> None:
    found = login.login_issuer(replace(CLUSTER, auth_method="kubernetes"), config, ISSUER)
    assert found.result == ("failed" if problem else "ok")
    assert problem in found.got


def test_an_ok_says_whom_the_server_asks() -> None:
    config = {"kubernetes_host": "https://kubernetes.default.svc", "disable_local_ca_jwt": False}
    found = login.login_issuer(replace(CLUSTER, auth_method="kubernetes"), config, ISSUER)
    assert found.got == "auth/jwt-east asks https://kubernetes.default.svc, verified by the CA of its own pod"


def test_an_ok_does_not_say_more_than_was_compared() -> None:
    elsewhere = {**JWT, "jwt_validation_pubkeys": [], "jwks_url": "https://west.example.com/jwks"}
    assert "at https://west.example.com/jwks" in login.login_issuer(CLUSTER, elsewhere, ISSUER).got
    unread = replace(ISSUER, ca_pem="")
    given = {"kubernetes_ca_cert": "another", "disable_local_ca_jwt": False}
    kubernetes = replace(CLUSTER, auth_method="kubernetes")
    assert login.login_issuer(kubernetes, given, unread).result == "unknown"
    assert login.login_issuer(kubernetes, {**given, "kubernetes_ca_cert": ""}, unread).result == "ok"


def test_a_login_mount_without_settings_or_unread_is_no_pass() -> None:
    assert login.login_issuer(CLUSTER, {}, ISSUER).got == "auth/jwt-east is not configured"
    assert login.login_issuer(CLUSTER, REASON, ISSUER).result == "unknown"
    assert login.login_issuer(CLUSTER, JWT, REASON).result == "unknown"


def test_the_audience_is_vaults_alone_and_the_one_that_the_backstop_guards() -> None:
    def backstop(audience: str) -> dict[str, Backstop]:
        return {"pods.podkeys.dev": Backstop("pods.podkeys.dev", "Fail", (), audience)}

    assert login.audience(tree(), ISSUER, backstop("vault")).result == "ok"
    assert login.audience(tree(), ISSUER, REASON).result == "ok"
    assert login.audience(tree(), REASON, REASON).result == "unknown"
    found = login.audience(tree(), ISSUER, backstop("other"))
    assert found.result == "failed"
    assert found.remedy.startswith("helm upgrade podkeys deploy/chart ")
    assert found.remedy.endswith(" --reset-then-reuse-values --set audience=vault")
    assert login.audience(tree(audience=URL), ISSUER, {}).got == f"{URL}, the API server's own"


def test_pki_mounts_are_there_and_sign_for_long_enough() -> None:
    assert pki.pki_mount(tree(), "pki-east", {"pki-east": Mount("pki")}, use="serving").result == "ok"
    for mounts, got in (
        ({}, "no mount pki-east"),
        ({"pki-east": Mount("kv", "2")}, "of type kv"),
        ({"pki-east": Mount("pki", max_seconds=3599)}, "at most 3599 s"),
    ):
        found = pki.pki_mount(tree(), "pki-east", mounts, use="serving")
        assert (found.name, found.result, got in found.got) == ("serving-mount", "failed", True)
    assert pki.pki_mount(tree(), "pki-east", REASON, use="serving").result == "unknown"


def test_a_pki_mount_has_a_live_default_issuer_with_its_key() -> None:
    live, _ = certificate("live")
    soon, _ = certificate("soon", days=20)
    over, _ = certificate("over", days=0.5)
    for signers, got in (
        ((signer(live),), ""),
        ((signer(live), signer(over, "old", is_default=False)), ""),
        ((), "no default issuer"),
        ((signer(live, is_default=False),), "no default issuer"),
        ((signer(live, has_key=False),), "no default issuer"),
        ((signer(soon),), "ends 2026-12-14"),
        ((signer(over),), "has expired"),
    ):
        found = pki.pki_issuers(tree(), "pki-east", signers, NOW, use="serving")
        assert (found.result, got in found.got) == ("failed" if got else "ok", True)


def test_issuers_from_elsewhere_are_told_from_those_above_an_intermediate() -> None:
    """Pods trust no issuer without a key, but one that signed nothing here has no reason to be here."""
    root = certificate("corporate root")
    policy = certificate("policy CA", by=root)
    intermediate = certificate("intermediate", by=policy)
    chain = (
        signer(root[0], "corporate", has_key=False, is_default=False),
        signer(policy[0], "policy", has_key=False, is_default=False),
        signer(intermediate[0], "ours"),
    )
    assert pki.pki_issuers(tree(), "pki-east", chain, NOW, use="serving").result == "ok"
    foreign = signer(certificate("foreign")[0], "foreign", has_key=False, is_default=False)
    found = pki.pki_issuers(tree(), "pki-east", (*chain, foreign), NOW, use="serving")
    assert (found.result, found.got) == ("failed", "foreign has no key here and signed none that has")


def test_an_issuer_that_is_no_certificate_is_unknown() -> None:
    broken = replace(signer(certificate("x")[0]), pem="no certificate")
    assert pki.pki_issuers(tree(), "pki-east", (broken,), NOW, use="serving").result == "unknown"
    assert pki.separate_roots(CLUSTER, (broken,), ()).result == "unknown"


def test_one_key_in_both_mounts_is_found() -> None:
    one, other = signer(certificate("one")[0]), signer(certificate("other")[0])
    assert pki.separate_roots(CLUSTER, (one,), (other,)).result == "ok"
    assert pki.separate_roots(CLUSTER, (one, other), (other,)).result == "failed"
    assert pki.separate_roots(CLUSTER, REASON, (other,)).result == "unknown"
    assert pki.separate_roots(CLUSTER, (one,), REASON).result == "unknown"


def test_the_servers_ca_must_last() -> None:
    assert pki.vault_ca(CLUSTER, NOW).result == "ok"
    for days, result in ((365, "ok"), (20, "failed")):
        text = to_pem(certificate("CA", days=days)[0]).decode()
        assert pki.vault_ca(replace(CLUSTER, ca_pem=text), NOW).result == result
    assert pki.vault_ca(replace(CLUSTER, ca_pem="no certificate"), NOW).result == "failed"
