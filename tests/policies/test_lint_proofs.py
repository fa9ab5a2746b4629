"""What the rules of lint warn of really happens on a live server: with the bad example of a rule's page, and not with its good one."""

import base64
import json
import re
import threading
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.acl.decide import Operation, Request, decide
from policies.acl.dialects import OPENBAO_2_5, Dialect
from policies.acl.parse import parse_policy
from policies.review.lint.catalogue import RULES
from tests.policies.lint_pages import Example, examples, looked_at

SECRETS = ("shop", "shop/card", "shop/eu/card", "mail", "mail/smtp", "bob", "bobby", "team/bob", "api")


@dataclass(frozen=True)
class Lab:
    """A server with the mounts that the pages name, and an issuer whom its jwt mount trusts."""

    bao: Server
    issuer: Issuer

    def status(self, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        try:
            self.bao.call(method, path, body, token=token)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def policies(self, example: Example, folder: Path) -> list[str]:
        """Write the example's policies; the names of those that its auth role has, else of all."""
        for name, looked in looked_at(example.written(folder)).policies.items():
            loose = {f"allow_{what}_in_identity_templates": True for what in looked.file.loose}
            text = looked.file.text.decode().replace("2099-", "2020-")
            self.bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text, **loose})
        role = example.files.get("auth/jwt/role/shop.json")
        return json.loads(role)["data"]["token_policies"] if role else list(looked_at(folder).policies)

    def token(self, example: Example, folder: Path) -> str:
        """Of an entity called bob, whose team is mail/smtp."""
        body = {"policies": self.policies(example, folder), "no_default_policy": True, "entity_alias": "bob"}
        return str(self.bao.call("POST", "auth/token/create/lint", body)["auth"]["client_token"])

    def unknown_token(self, example: Example, folder: Path) -> str:
        """Without an entity."""
        body = {"policies": self.policies(example, folder), "no_default_policy": True}
        return str(self.bao.call("POST", "auth/token/create", body)["auth"]["client_token"])

    def role(self, example: Example, folder: Path) -> None:
        """Write the example's policies and its auth role `shop` of the jwt method."""
        self.policies(example, folder)
        self.bao.call("DELETE", "auth/jwt/role/shop")
        data = json.loads(example.files["auth/jwt/role/shop.json"])["data"]
        self.bao.call("POST", "auth/jwt/role/shop", data)

    def login(self, namespace: str, account: str) -> dict[str, Any]:
        """The `auth` of the answer."""
        body = {"role": "shop", "jwt": self.issuer.token(namespace, account)}
        found: dict[str, Any] = self.bao.call("POST", "auth/jwt/login", body)["auth"]
        return found

    def logs_in(self, namespace: str, account: str) -> bool:
        body = {"role": "shop", "jwt": self.issuer.token(namespace, account)}
        status = self.status("", "POST", "auth/jwt/login", body)
        assert status in (200, 400)
        return status == 200


@pytest.fixture
def lab(laboratory: Lab) -> Lab:
    """With all secrets as they were."""
    for secret in SECRETS:
        laboratory.bao.call("POST", f"kv/data/{secret}", {"data": {"key": "value"}})
    return laboratory


@pytest.fixture(scope="module")
def laboratory(bao: Server) -> Iterator[Lab]:
    issuer = Issuer()
    mounts: dict[str, dict[str, Any]] = {
        "kv": {"type": "kv", "options": {"version": "2"}},
        "kv1": {"type": "kv"},
    }
    mounts |= {kind: {"type": kind} for kind in ("pki", "transit", "database")}
    for name, body in mounts.items():
        bao.call("POST", f"sys/mounts/{name}", body)
    bao.call("POST", "kv1/shop/card", {"key": "value"})
    bao.call("POST", "pki/root/generate/internal", {"common_name": "root"})
    bao.call("POST", "transit/keys/shop", {"exportable": True})
    bao.call("POST", "sys/auth/jwt", {"type": "jwt"})
    bao.call("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [issuer.public_pem]})
    bao.call("POST", "auth/token/roles/lint", {"allowed_entity_aliases": ["*"]})
    entity = {"name": "bob", "metadata": {"team": "mail/smtp"}}
    bao.call("POST", "identity/entity", entity)
    ids = bao.call("GET", "identity/entity/name/bob")["data"]["id"]
    accessor = bao.call("GET", "sys/auth")["data"]["token/"]["accessor"]
    alias = {"name": "bob", "canonical_id": ids, "mount_accessor": accessor}
    bao.call("POST", "identity/entity-alias", alias)
    yield Lab(bao, issuer)
    for name in mounts:
        bao.call("DELETE", f"sys/mounts/{name}")
    for path in ("sys/auth/jwt", "auth/token/roles/lint", f"identity/entity/id/{ids}"):
        bao.call("DELETE", path)


@dataclass(frozen=True)
class Way:
    """A request that the bad example lets through and the good one doesn't.

    `useless`: the other way round, as what the bad example says is never asked for. `refused`: how it isn't let through.
    """

    method: str
    path: str
    body: dict[str, Any] | None = None
    useless: bool = False
    refused: int = 403


def request_for_any_name() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bank.example.com")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


ALL = 'path "*" { capabilities = ["sudo", "read", "update"] }'
CONNECTION = {
    "plugin_name": "redis-database-plugin",
    "host": "thief.example.com",
    "port": 6379,
    "verify_connection": False,
}
CONNECTION |= {"username": "admin", "password": "secret"}
WAYS = {
    "PK101": Way("GET", "kv/data/mail"),
    "PK102": Way("POST", "kv/data/mail", {"data": {"key": "another"}}),
    "PK103": Way("LIST", "sys/leases/lookup/"),
    "PK104": Way("PUT", "sys/policies/acl/shop-more", {"policy": ALL}),
    "PK105": Way("POST", "sys/mounts/lint-own", {"type": "kv"}),
    "PK106": Way("DELETE", "sys/audit/lint"),
    "PK107": Way(
        "POST",
        "auth/jwt/role/own",
        {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "x", "token_policies": "root"},
    ),
    "PK108": Way("POST", "identity/entity", {"name": "lint-own", "policies": ["anything"]}),
    "PK109": Way("POST", "auth/token/create", {"ttl": "8h"}),
    "PK110": Way("GET", "kv/data/shop", useless=True),
    "PK111": Way("DELETE", "kv/data/shop"),
    "PK112": Way("POST", "pki/sign-verbatim", {"csr": request_for_any_name(), "ttl": "1h"}),
    "PK113": Way("GET", "transit/export/encryption-key/shop"),
    "PK114": Way("POST", "database/config/shop", CONNECTION),
    "PK115": Way("LIST", "kv/metadata/"),
    "PK116": Way("POST", "kv/data/shop", {"data": {"key": "second"}}, useless=True),
    "PK117": Way("GET", "kv/data/mail/smtp"),
    "PK118": Way("GET", "kv/data/shop/eu/card"),
    "PK119": Way("GET", "kv/data/mail/smtp"),
    "PK202": Way("GET", "kv/data/shop/card"),
    "PK203": Way("GET", "kv/data/shop/card"),
    "PK205": Way("GET", "kv/data/bobby"),
    "PK207": Way("GET", "kv/data/shop/card", useless=True),
    "PK208": Way("GET", "kv/data/shop/card", useless=True),
    "PK209": Way("GET", "kv/data/shop", useless=True),
    "PK210": Way("PUT", "kv/data/shop/eu/card", {"data": {"key": "second"}}, useless=True),
    "PK212": Way("LIST", "kv1/shop/"),
    "PK214": Way("GET", "kv/data/shop", useless=True),
    "PK216": Way("GET", "kv/data/mail/smtp", refused=400),
    "PK301": Way("POST", "kv/data/shop", {"data": {"password": "x"}}),
    "PK302": Way("POST", "kv1/shop", {"uses": 0}),
    "PK303": Way("POST", "kv1/shop", {"password": "x"}),
    "PK304": Way("POST", "kv1/shop", {"anything": "x"}),
}

NOT_ON_VAULT = {
    "PK203": "HashiCorp Vault has no expiration of a path",
    "PK214": "HashiCorp Vault has no expiration of a path",
    "PK216": "HashiCorp Vault 1.21 has no guard of templates that a setting could lift",
}


def marks(rule: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.openbao_only(NOT_ON_VAULT[rule])] if rule in NOT_ON_VAULT else []


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=marks(rule)) for rule in WAYS])
def test_a_token_with_the_bad_example_can_do_what_one_with_the_good_example_cannot(
    rule: str, lab: Lab, tmp_path: Path
) -> None:
    """For rules of what is useless, the other way round."""
    way = WAYS[rule]
    bad, good = examples(rule)
    if way.useless:
        bad, good = good, bad
    token = lab.token(bad, tmp_path / "bad")
    assert lab.status(token, way.method, way.path, way.body) == 200
    token = lab.token(good, tmp_path / "good")
    assert lab.status(token, way.method, way.path, way.body) == way.refused


def test_a_policy_that_is_told_to_be_refused_is_refused(lab: Lab) -> None:
    [text] = examples("PK001")[0].files.values()
    assert lab.status(lab.bao.root_token, "PUT", "sys/policies/acl/lint-refused", {"policy": text}) == 400


@pytest.mark.openbao_only("the control groups of HashiCorp Vault are Enterprise's; Community holds nothing")
def test_of_a_plain_grant_and_a_control_group_only_the_first_counts(lab: Lab, tmp_path: Path) -> None:
    bad, good = examples("PK201")
    answer = lab.bao.call("GET", "kv/data/shop", token=lab.token(bad, tmp_path / "bad"))
    assert answer["data"]["data"] == {"key": "value"}
    answer = lab.bao.call("GET", "kv/data/shop", token=lab.token(good, tmp_path / "good"))
    assert answer["data"] is None


def test_a_denial_with_a_template_does_not_deny_a_token_without_an_entity(lab: Lab, tmp_path: Path) -> None:
    bad, good = examples("PK204")
    assert lab.status(lab.token(bad, tmp_path / "known"), "GET", "kv/data/team/bob") == 403
    assert lab.status(lab.unknown_token(bad, tmp_path / "unknown"), "GET", "kv/data/team/bob") == 200
    assert lab.status(lab.unknown_token(good, tmp_path / "good"), "GET", "kv/data/team/bob") == 403


def test_a_service_account_of_that_name_elsewhere_gets_what_the_template_names(
    lab: Lab, tmp_path: Path
) -> None:
    bad, good = examples("PK206")
    accessor = lab.bao.call("GET", "sys/auth")["data"]["jwt/"]["accessor"]
    real = Example({name: text.replace("auth_jwt_1a2b3c4d", accessor) for name, text in bad.files.items()})
    lab.role(real, tmp_path / "bad")
    for namespace in ("shop", "mail"):
        assert lab.status(lab.login(namespace, "api")["client_token"], "GET", "kv/data/api") == 200
    lab.role(good, tmp_path / "good")
    assert lab.logs_in("shop", "api")
    assert not lab.logs_in("mail", "api")


def test_an_older_server_lists_what_a_newer_one_refuses(lab: Lab, dialect: Dialect, tmp_path: Path) -> None:
    """Whether the server of the tests is one of the older, its dialect tells; OpenBao's older one is the model's."""
    bad, _ = examples("PK211")
    path = "kv/metadata/shop/eu/"
    assert lab.status(lab.token(bad, tmp_path), "LIST", path) == (403 if dialect.slash_late else 200)
    [text] = bad.files.values()
    policy = parse_policy(text, "bad", dialect=dialect)
    assert decide([policy], Request(Operation.LIST, path), dialect).allowed is not dialect.slash_late
    assert decide([parse_policy(text, "bad")], Request(Operation.LIST, path), OPENBAO_2_5).allowed


def test_a_policy_beside_the_generated_one_has_other_lives_signed(lab: Lab, tmp_path: Path) -> None:
    """The PKI role is one of HashiCorp Vault's: it has no bound of the end."""
    role = {"allowed_domains": ["shop.shop"], "allow_bare_domains": True, "max_ttl": "2h", "key_type": "any"}
    lab.bao.call(
        "POST", "pki/roles/podkeys.shop.shop.web", role | {"require_cn": False, "use_csr_common_name": False}
    )
    request = {"csr": request_for_any_name(), "alt_names": "shop.shop", "format": "pem"}
    usual = request | {"ttl": "3600s"}
    long = request | {"not_after": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"}
    path = "pki/sign/podkeys.shop.shop.web"
    for example, status in zip(examples("PK120"), (200, 403), strict=True):
        lab.policies(example, tmp_path / str(status))
        for name, statuses in (("operators", (status, status)), ("podkeys.east.shop.shop", (200, 403))):
            body = {"policies": [name], "no_default_policy": True}
            token = lab.bao.call("POST", "auth/token/create", body)["auth"]["client_token"]
            assert (lab.status(token, "POST", path, usual), lab.status(token, "POST", path, long)) == statuses


def test_an_entity_of_the_team_plus_reads_what_every_team_has(
    lab: Lab, dialect: Dialect, tmp_path: Path
) -> None:
    """Where the server has a guard, only once that is lifted; HashiCorp Vault before 2.0.1 has none."""
    guarded = 400 if "+" in dialect.blocked else 200
    bad, good = examples("PK217")
    entity = lab.bao.call("POST", "identity/entity", {"metadata": {"team": "+"}})["data"]["id"]
    accessor = lab.bao.call("GET", "sys/auth")["data"]["token/"]["accessor"]
    alias = {"name": "wild", "canonical_id": entity, "mount_accessor": accessor}
    lab.bao.call("POST", "identity/entity-alias", alias)
    for number, (example, lifted, status) in enumerate(
        ((bad, True, 200), (bad, False, guarded), (good, True, 403))
    ):
        names = lab.policies(example, tmp_path / str(number))
        body = {"policies": names, "no_default_policy": True, "entity_alias": "wild"}
        for name in names:
            policy = lab.bao.call("GET", f"sys/policies/acl/{name}")["data"]["policy"]
            fields = {"policy": policy, "allow_wildcards_in_identity_templates": lifted}
            lab.bao.call("PUT", f"sys/policies/acl/{name}", fields)
        token = lab.bao.call("POST", "auth/token/create/lint", body)["auth"]["client_token"]
        assert lab.status(token, "GET", "kv/data/mail/smtp") == status
    lab.bao.call("DELETE", f"identity/entity/id/{entity}")


def test_a_name_in_upper_case_overwrites_the_one_in_lower_case(lab: Lab) -> None:
    lab.bao.call("PUT", "sys/policies/acl/lint-shop", {"policy": "# the first"})
    lab.bao.call("PUT", "sys/policies/acl/Lint-Shop", {"policy": "# the second"})
    assert lab.bao.call("GET", "sys/policies/acl/lint-shop")["data"]["policy"] == "# the second"


@pytest.mark.parametrize(
    ("rule", "namespace", "account"),
    [
        ("PK401", "shop", "debug-shell"),
        ("PK402", "anywhere", "api"),
        ("PK406", "mail", "worker"),
        ("PK407", "shop", "api-of-a-guest"),
    ],
)
def test_the_bad_example_lets_somebody_in_whom_nobody_meant(
    rule: str, namespace: str, account: str, lab: Lab, tmp_path: Path
) -> None:
    bad, good = examples(rule)
    lab.role(bad, tmp_path / "bad")
    assert lab.logs_in(namespace, account)
    lab.role(good, tmp_path / "good")
    assert not lab.logs_in(namespace, account)
    assert lab.logs_in("shop", "api")


def test_a_role_with_root_is_taken_and_lets_nobody_in(lab: Lab, tmp_path: Path) -> None:
    bad, good = examples("PK403")
    lab.role(bad, tmp_path / "bad")
    assert not lab.logs_in("shop", "api")
    lab.role(good, tmp_path / "good")
    assert lab.logs_in("shop", "api")


def test_who_defines_a_policy_later_gives_it_to_tokens_that_are_out(lab: Lab, tmp_path: Path) -> None:
    lab.bao.call("DELETE", "sys/policies/acl/shop-admin")
    lab.role(examples("PK404")[0], tmp_path)
    token = lab.login("shop", "api")["client_token"]
    assert lab.status(token, "GET", "kv/data/mail") == 403
    lab.bao.call(
        "PUT", "sys/policies/acl/shop-admin", {"policy": 'path "kv/data/mail" { capabilities = ["read"] }'}
    )
    assert lab.status(token, "GET", "kv/data/mail") == 200


def test_without_a_ttl_a_token_lives_for_32_days(lab: Lab, tmp_path: Path) -> None:
    bad, good = examples("PK408")
    lab.role(bad, tmp_path / "bad")
    assert lab.login("shop", "api")["lease_duration"] == 32 * 24 * 3600
    lab.role(good, tmp_path / "good")
    assert lab.login("shop", "api")["lease_duration"] == 3600


def test_without_a_maximum_a_token_is_renewed_for_a_month(lab: Lab, tmp_path: Path) -> None:
    def renewed() -> int:
        body = {"token": lab.login("shop", "api")["client_token"], "increment": "700h"}
        return int(lab.bao.call("POST", "auth/token/renew", body)["auth"]["lease_duration"])

    bad, good = examples("PK409")
    lab.role(bad, tmp_path / "bad")
    assert renewed() == 700 * 3600
    lab.role(good, tmp_path / "good")
    assert renewed() <= 24 * 3600


def test_a_periodic_token_without_the_right_can_not_renew_itself(lab: Lab, tmp_path: Path) -> None:
    for example, status in zip(examples("PK410"), (403, 200), strict=True):
        lab.role(example, tmp_path / str(status))
        assert lab.status(lab.login("shop", "api")["client_token"], "POST", "auth/token/renew-self") == status


def test_the_default_policy_grants_a_cubbyhole(lab: Lab, tmp_path: Path) -> None:
    for example, status in zip(examples("PK411"), (200, 403), strict=True):
        lab.role(example, tmp_path / str(status))
        token = lab.login("shop", "api")["client_token"]
        assert lab.status(token, "POST", "cubbyhole/hidden", {"key": "value"}) == status


class Reviewer(BaseHTTPRequestHandler):
    """An API server's token review that knows each token, for the audiences that it is asked about or for its own."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payload = review["spec"]["token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        asked = (
            review["spec"].get("audiences") or claims["aud"]
        )  # its own: here whatever the token was made for
        audiences = [audience for audience in asked if audience in claims["aud"]]
        user = {
            "username": claims["sub"],
            "uid": claims["kubernetes.io"]["serviceaccount"]["uid"],
            "groups": ["system:serviceaccounts"],
        }
        status = {"authenticated": bool(audiences), "user": user, "audiences": audiences}
        body = json.dumps(review | {"status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        del format, args


@pytest.fixture
def reviewer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Reviewer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_without_an_audience_a_token_for_another_service_logs_in(lab: Lab, reviewer: str) -> None:
    lab.bao.call("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
    config = {
        "kubernetes_host": reviewer,
        "kubernetes_ca_cert": lab.bao.call("GET", "pki/cert/ca")["data"]["certificate"],
        "token_reviewer_jwt": lab.issuer.token("vault", "vault"),
        "disable_iss_validation": True,
    }
    lab.bao.call("POST", "auth/kubernetes/config", config)
    for example, status in zip(examples("PK405"), (200, 403), strict=True):
        data = json.loads(example.files["auth/kubernetes/role/shop.json"])["data"]
        lab.bao.call("POST", "auth/kubernetes/role/shop", data)
        stolen = lab.issuer.token("shop", "api", audience="another-service")
        body = {"role": "shop", "jwt": stolen}
        assert lab.status(lab.bao.root_token, "POST", "auth/kubernetes/login", body) == status
    lab.bao.call("DELETE", "sys/auth/kubernetes")


SHOWN_ELSEWHERE = {"PK213"}  # nothing is possible with what nobody has: its page says so


def test_each_rule_has_a_proof() -> None:
    text = Path(__file__).read_text()
    proven = set(re.findall(r'examples\("(PK\d+)"\)|\("(PK\d+)", "', text))
    flat = {one for pair in proven for one in pair if one} | set(WAYS) | {"PK215"} | SHOWN_ELSEWHERE
    assert flat == {rule.id for rule in RULES}
