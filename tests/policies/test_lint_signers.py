"""PKI roles beside boundaries: each is held to what its namespace may have, and both places are named."""

import json
import shutil
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.openbao import Server
from policies.review.lint.finding import Hit
from policies.review.lint.run import found
from policies.review.lint.settings import Settings
from tests.policies.lint_pages import looked_at

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
THIS_YEAR = datetime.now(UTC).year
PAYMENTS = "generated/eu-nl-prod-a/payments/payments"
SERVING, SVID = f"{PAYMENTS}/pki.serving.json", f"{PAYMENTS}/identity.payments-api.json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The example's generated tree beside its boundaries."""
    for name in ("boundaries", "generated"):
        shutil.copytree(EXAMPLE / name, tmp_path / name)
    return tmp_path


def change(file: Path, **fields: object) -> None:
    """None takes a field out."""
    document = json.loads(file.read_text())
    data = {name: value for name, value in (document["data"] | fields).items() if value is not None}
    file.write_text(json.dumps(document | {"data": data}, indent=2))


def hits(tree: Path) -> list[Hit]:
    return [one.hit for one in found(looked_at(tree), Settings()) if one.rule.id == "PK119"]


@pytest.mark.parametrize(
    ("file", "fields", "key", "message"),
    [
        (SERVING, {"max_ttl": 3600}, "", ""),
        (SERVING, {"max_ttl": "24h"}, "", ""),
        (SERVING, {"allowed_domains": ["payments.payments", "till.payments"]}, "allowed_domains", "got till.payments, outside {}:14, expected names of payments in payments"),
        (SERVING, {"allowed_domains": ["payments.web"]}, "allowed_domains", "got payments.web, outside {}:14"),
        (SERVING, {"allowed_domains": "payments.web"}, "allowed_domains", "got allowed_domains payments.web, outside {}:14"),
        (SERVING, {"allow_any_name": True}, "allow_any_name", "got allow_any_name True, outside {}:14, expected False"),
        (SERVING, {"allow_localhost": None}, "", "got allow_localhost True, outside {}:14, expected False"),
        (SERVING, {"allowed_ip_sans_cidr": []}, "allow_ip_sans", "got allow_ip_sans True, outside {}:14, expected false, or"),
        (SERVING, {"max_ttl": 86401}, "max_ttl", "got max_ttl 86401, outside {}:14, expected at most 1d"),
        (SERVING, {"max_ttl": 0}, "max_ttl", "got max_ttl of the mount, outside {}:14"),
        (SERVING, {"not_after": "9999-12-31T23:59:59Z"}, "not_after", "got not_after '9999-12-31T23:59:59Z', outside {}:14"),
        (SERVING, {"not_after_bound": "permit"}, "not_after_bound", "got not_after_bound 'permit', outside {}:14"),
        (SVID, {"max_ttl": 7200}, "max_ttl", "got max_ttl 7200, outside {}:15, expected at most 1h"),
        (SVID, {"allowed_uri_sans": ["spiffe://eu-nl-prod-a.example.com/ns/web/sa/web"]}, "allowed_uri_sans", "/ns/web/sa/web'], outside {}:15, expected spiffe://TRUST-DOMAIN/ns/payments/sa/payments-api alone"),
        (SVID, {"allowed_domains": ["payments.payments"]}, "allowed_domains", "outside {}:15, expected none"),
        ("generated/eu-nl-prod-a/web/storefront/pki.serving.json", {"allow_ip_sans": True}, "allow_ip_sans", "got addresses of pods, outside {}:9, expected none"),
        ("generated/eu-nl-prod-a/accounting/ledger/identity.ledger.json", {"allowed_uri_sans": [], "allowed_domains": ["a.accounting"]}, "path", "got a certificate, outside {}:5, expected none"),
    ],
)  # fmt: skip
def test_a_pki_role_is_held_to_the_boundary_of_its_namespace(
    file: str, fields: dict[str, object], key: str, message: str, tree: Path
) -> None:
    change(tree / file, **fields)
    namespace = file.split("/")[2]
    messages = hits(tree)
    assert [hit.file for hit in messages] == [file] * bool(message)
    for hit in messages:
        assert message.format(tree / "boundaries" / f"{namespace}.yaml") in hit.message
        line = (tree / file).read_text().splitlines()[hit.line - 1]
        assert line[hit.column - 1 :].startswith(f'"{key}"' if key else "{")


def test_a_pki_role_of_a_namespace_that_no_boundary_names_is_told(tree: Path) -> None:
    (tree / "boundaries" / "payments.yaml").unlink()
    told = {hit.file: hit.message for hit in hits(tree)}
    assert f"{PAYMENTS}/policy.hcl" in told
    assert told[SERVING] == (
        "got a PKI role for eu-nl-prod-a/payments, expected a namespace that a boundary names"
    )


def test_a_pki_role_that_no_policy_signs_with_is_held_by_its_folder(tree: Path) -> None:
    (tree / PAYMENTS / "policy.payments-api.hcl").unlink()
    change(tree / SVID, max_ttl=7200)
    assert [hit.file for hit in hits(tree)] == [SVID]


def test_an_exported_pki_role_is_held_by_the_policy_that_signs_with_it(tree: Path) -> None:
    path = json.loads((tree / SVID).read_text())["path"]
    exported = tree / f"{path}.json"
    exported.parent.mkdir(parents=True)
    exported.write_text(json.dumps({"data": json.loads((tree / SVID).read_text())["data"]}))
    assert hits(tree) == []
    change(exported, max_ttl=7200)
    [hit] = hits(tree)
    assert (hit.file, hit.subject) == (f"{path}.json", path)


@pytest.fixture
def mount(bao: Server) -> Iterator[str]:
    """A root from an hour ago: HashiCorp Vault signs nothing that begins before its issuer does."""
    bao.call("POST", "sys/mounts/lint-signers", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
    root = {"common_name": "root", "ttl": "80000h", "not_before_duration": "1h"}
    bao.call("POST", "lint-signers/root/generate/internal", root)
    yield "lint-signers"
    bao.call("DELETE", "sys/mounts/lint-signers")


def signed(bao: Server, mount: str, fields: dict[str, Any], **asked: str) -> bool:
    """Whether a server with this role gives a certificate."""
    bao.call("POST", f"{mount}/roles/tried", fields)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    body = {"csr": csr.public_bytes(serialization.Encoding.PEM).decode(), **asked}
    try:
        bao.call("POST", f"{mount}/sign/tried", body)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.BAD_REQUEST:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("file", "fields", "asked"),
    [
        (SERVING, {"allowed_domains": ["till.payments"]}, {"alt_names": "till.payments"}),
        (SERVING, {"allow_any_name": True}, {"alt_names": "bank.example.com"}),
        (SERVING, {"allow_localhost": None}, {"alt_names": "localhost"}),
        pytest.param(
            SERVING, {"not_after_bound": "permit"}, {"alt_names": "payments.payments", "not_after": f"{THIS_YEAR + 3}-01-01T00:00:00Z"},
            marks=pytest.mark.openbao_only("PKI roles of HashiCorp Vault have no not_after_bound: they sign any not_after"),
        ),
        (SVID, {"allowed_uri_sans": ["spiffe://x/ns/web/sa/web"]}, {"uri_sans": "spiffe://x/ns/web/sa/web"}),
    ],
)  # fmt: skip
def test_the_server_gives_what_is_told_and_not_what_was_generated(
    file: str, fields: dict[str, Any], asked: dict[str, str], bao: Server, mount: str, tree: Path
) -> None:
    assert not signed(bao, mount, json.loads((tree / file).read_text())["data"], **asked)
    change(tree / file, **fields)
    assert hits(tree)
    assert signed(bao, mount, json.loads((tree / file).read_text())["data"], **asked)
