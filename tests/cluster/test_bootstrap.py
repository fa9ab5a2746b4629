"""`podkeys cluster bootstrap` against a real server, from nothing to a pod's login."""

import urllib.error
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509

from cluster.errors import ClusterError
from cluster.finding import Unread
from cluster.issuer import TokenIssuer
from cluster.preparation import decide
from cluster.server_facts import Mount, ServerFacts
from demo.openbao import Server
from policies.catalog import Secret
from policies.generate.pki import BACKDATED_SECONDS
from tests.cluster.conftest import Place, write
from tests.cluster.trees import certificate, signer, tree

ISSUER = TokenIssuer("https://kubernetes.default.svc.cluster.local", ("RS256",), ("KEY",), "CA")
EMPTY = ServerFacts({}, {}, {}, (), ())


def test_from_an_empty_server_to_a_login_with_four_commands(place: Place) -> None:
    missing = place.run("bootstrap")
    assert (missing.code, missing.out.count("\n+ ") + missing.out.startswith("+ ")) == (2, 7)
    assert "7 to make" in missing.out
    made = place.run("bootstrap", "--apply")
    assert (made.code, made.out.splitlines()[-1]) == (0, "7 made"), made.err
    assert place.policies("apply").code == 0
    login = {
        "role": f"podkeys.shop-{place.tag}.shop.api",
        "jwt": place.issuer.token(f"shop-{place.tag}", "api"),
    }
    answer = place.bao.call("POST", f"auth/login-{place.tag}/login", login, token="")
    assert f"podkeys.east.shop-{place.tag}.shop" in answer["auth"]["policies"]
    assert place.run("bootstrap").out == "nothing is missing\n"


def test_a_root_is_old_enough_to_sign_at_once(place: Place) -> None:
    """HashiCorp Vault signs nothing that begins before its issuer, and certificates of pods begin a minute in the past."""
    assert place.run("bootstrap", "--apply").code == 0
    for mount in (f"pki-{place.tag}", f"spiffe-{place.tag}"):
        pem = place.bao.call("GET", f"{mount}/cert/ca")["data"]["certificate"]
        root = x509.load_pem_x509_certificate(pem.encode())
        assert datetime.now(UTC) - root.not_valid_before_utc > timedelta(seconds=2 * BACKDATED_SECONDS)


def test_a_second_run_writes_nothing(place: Place) -> None:
    assert place.run("bootstrap", "--apply").code == 0
    before = place.bao.call("LIST", f"pki-{place.tag}/issuers")["data"]
    again = place.run("bootstrap", "--apply")
    assert (again.code, again.out) == (0, "nothing is missing\n")
    assert place.bao.call("LIST", f"pki-{place.tag}/issuers")["data"] == before


def test_after_an_interruption_the_rest_is_made(place: Place) -> None:
    """A mount without root, and a login mount without settings, are what a run leaves that was ended in between."""
    place.bao.call(
        "POST", f"sys/mounts/pki-{place.tag}", {"type": "pki", "config": {"max_lease_ttl": "87600h"}}
    )
    place.bao.call("POST", f"sys/auth/login-{place.tag}", {"type": "jwt"})
    done = place.run("bootstrap", "--apply", "--json")
    assert done.code == 0, done.err
    tag = place.tag
    expected = [
        f"sys/mounts/kv-{tag}",
        f"pki-{tag}/root/generate/internal",
        f"sys/mounts/spiffe-{tag}",
        f"spiffe-{tag}/root/generate/internal",
        f"auth/login-{tag}/config",
    ]
    assert done.json == {"cluster": "east", "made": expected, "missing": [], "differs": [], "yours": []}


def test_what_exists_and_differs_is_said_and_left(place: Place) -> None:
    """Invariant 9: only what is ours is touched."""
    assert place.run("bootstrap", "--apply").code == 0
    config = {"jwt_validation_pubkeys": [place.issuer.public_pem], "bound_issuer": "https://west.example.com"}
    place.bao.call("POST", f"auth/login-{place.tag}/config", config)
    done = place.run("bootstrap", "--apply")
    assert done.code == 1
    assert "bound_issuer is https://west.example.com, expected " in done.out
    assert "jwt_supported_algs is empty, which is any" in done.out
    kept = place.bao.call("GET", f"auth/login-{place.tag}/config")["data"]
    assert kept["bound_issuer"] == "https://west.example.com"


def test_the_documented_policy_is_enough_and_a_refusal_names_what_it_lacks(place: Place) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "cluster-file.md").read_text()
    policy = text.partition("```hcl\n")[2].partition("```")[0]
    name = f"bootstrap-{place.tag}"
    token = ""
    for rules in (policy.replace('"sys/auth/+"', '"sys/auth/none"'), policy):
        place.bao.call("PUT", f"sys/policies/acl/{name}", {"policy": rules})
        answer = place.bao.call("POST", "auth/token/create", {"policies": [name], "no_default_policy": True})
        token = answer["auth"]["client_token"]
        done = place.run("bootstrap", "--apply", token=token)
        if rules != policy:
            assert done.code == 1
            assert f'its policy lacks: write on "sys/auth/login-{place.tag}"' in done.err
            assert "stopped at 6 of 7" in done.err
            assert token not in done.out + done.err
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 made")
    place.bao.call("DELETE", f"sys/policies/acl/{name}")


def test_a_server_outside_the_cluster_cannot_have_the_kubernetes_method(place: Place) -> None:
    write(place.folder, place.tag, place.bao.address, method="kubernetes")
    done = place.run("bootstrap", "--apply")
    assert done.code == 1
    assert "with the CA and the token of the server's own pod" in done.err
    with pytest.raises(urllib.error.HTTPError):
        place.bao.call("GET", f"auth/login-{place.tag}/config")


def test_discovery_gives_the_server_the_issuers_url_and_ca() -> None:
    plan = decide(tree(), EMPTY, ISSUER, discovery=True)
    assert plan.steps[-1].fields == {
        "bound_issuer": ISSUER.url,
        "jwt_supported_algs": ["RS256"],
        "oidc_discovery_url": ISSUER.url,
        "oidc_discovery_ca_pem": "CA",
    }
    public = TokenIssuer("https://oidc.cloud.example.com/id/1", ("RS256",), ("KEY",), "CA")
    assert decide(tree(), EMPTY, public, discovery=True).steps[-1].fields["oidc_discovery_ca_pem"] == ""


def test_the_kubernetes_method_gets_neither_ca_nor_token() -> None:
    plan = decide(tree(auth_method="kubernetes"), EMPTY, ISSUER, discovery=False)
    assert plan.steps[-1].fields == {
        "kubernetes_host": "https://kubernetes.default.svc",
        "disable_iss_validation": True,
    }


def test_mounts_of_every_engine_are_found_by_the_paths_of_roles() -> None:
    entries = (
        Secret("a", "kv2", "team/kv/data/shop/a"),
        Secret("b", "kv1", "old/shop/b"),
        Secret("c", "database", "db/creds/shop"),
        Secret("d", "kv1", "deep/kv1/shop/d"),
    )
    there = {
        "deep/kv1": Mount("kv", "1"),
        "pki-east": Mount("kv", "2"),
        "spiffe-east": Mount("pki", max_seconds=60),
    }
    root = signer(certificate("root")[0])
    plan = decide(
        tree(*entries), ServerFacts(there, {"jwt-east": "oidc"}, {}, (), (root,)), ISSUER, discovery=False
    )
    assert [(step.path, step.fields["options"]) for step in plan.steps] == [
        ("sys/mounts/old", {"version": "1"}),
        ("sys/mounts/team/kv", {"version": "2"}),
    ]
    assert [text.partition(",")[0] for text in plan.differs] == [
        "mount pki-east is kv",
        "mount spiffe-east signs for at most 60 s",
        "auth/jwt-east is oidc",
    ]
    assert plan.yours[0].startswith("db: a database mount")


def test_a_mount_with_none_but_foreign_issuers_gets_a_root_of_its_own() -> None:
    foreign = signer(certificate("corporate root")[0], has_key=False)
    there = {"kv": Mount("kv", "2"), "pki-east": Mount("pki"), "spiffe-east": Mount("pki")}
    ours = signer(certificate("root")[0])
    plan = decide(
        tree(), ServerFacts(there, {"jwt-east": "jwt"}, {}, (foreign,), (ours,)), ISSUER, discovery=False
    )
    assert [step.path for step in plan.steps] == ["pki-east/root/generate/internal", "auth/jwt-east/config"]


def test_no_root_is_made_beside_an_intermediate_that_awaits_its_signature(place: Place) -> None:
    """Such a root would be the default, and sign what the intermediate was meant to."""
    pki = f"pki-{place.tag}"
    place.bao.call("POST", f"sys/mounts/{pki}", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
    request = {"common_name": "ours", "key_type": "ec", "key_bits": 256}
    csr = place.bao.call("POST", f"{pki}/intermediate/generate/internal", request)["data"]["csr"]
    planned, made = place.run("bootstrap", "--json"), place.run("bootstrap", "--apply", "--json")
    assert [step["path"] for step in planned.json["missing"] if step["path"].startswith(pki)] == []
    assert planned.json["differs"][0].startswith(f"mount {pki} holds 1 key that no issuer has")
    assert (made.code, f"{pki}/root/generate/internal" in made.json["made"]) == (1, False)
    signed = place.bao.call("POST", f"spiffe-{place.tag}/root/sign-intermediate", {"csr": csr})["data"]
    chain = f"{signed['certificate']}\n{signed['issuing_ca']}"
    place.bao.call("POST", f"{pki}/intermediate/set-signed", {"certificate": chain})
    assert place.run("bootstrap").out == "nothing is missing\n"


def test_no_root_is_made_where_the_keys_of_a_mount_cannot_be_seen() -> None:
    there = {"kv": Mount("kv", "2"), "pki-east": Mount("pki")}
    facts = ServerFacts(
        there, {}, {}, (), (), {"pki-east": Unread("lacks list on pki-east/keys", "allow it")}
    )
    with pytest.raises(ClusterError, match="pki-east/keys"):
        decide(tree(), facts, ISSUER, discovery=False)


def test_a_mount_of_another_version_differs() -> None:
    plan = decide(tree(), ServerFacts({"kv": Mount("kv", "1")}, {}, {}, (), ()), ISSUER, discovery=False)
    assert plan.differs == ("mount kv is kv 1, expected kv 2; correct the role files",)


@pytest.mark.parametrize("field", ["mounts", "logins"])
def test_nothing_is_decided_without_seeing_what_is_there(field: str) -> None:
    facts = replace(EMPTY, **cast("Any", {field: Unread("forbidden", "allow it")}))
    with pytest.raises(ClusterError, match="forbidden"):
        decide(tree(), facts, ISSUER, discovery=False)


def test_without_a_token_it_says_how_to_give_one(place: Place, bao: Server) -> None:
    del bao
    done = place.run("bootstrap", token="")
    assert (done.code, "set BAO_TOKEN or VAULT_TOKEN" in done.err) == (1, True)
