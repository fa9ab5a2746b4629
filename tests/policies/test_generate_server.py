"""The generated policies and roles on a real server: what the agent asks for is given, and every attack is refused.

Invariant 4: a pod gets what its role declares and no more; the server is the boundary, by policy or by role.
"""

import ipaddress
import json
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply.protections import product, writable
from tests.policies import role_texts

Body = dict[str, Any]
SERVING = "podkeys.payments.payments.serving"
API = "podkeys.payments.payments.payments-api"
WORKER = "podkeys.payments.payments.payments-worker"
SPIFFE = "spiffe://east.example.com/ns/payments/sa/payments-api"
NAMES = "payments.payments,payments.payments.svc,payments.payments.svc.cluster.local"


@dataclass(frozen=True)
class Stage:
    server: Server
    mounts: Mounts
    files: dict[str, bytes]

    def login(self, role: str = API, account: str = "payments-api") -> Body:
        jwt = self.mounts.issuer.token("payments", account)
        answer = self.server.call(
            "POST", f"auth/{self.mounts.jwt}/login", {"role": role, "jwt": jwt}, token=""
        )
        auth: Body = answer["auth"]
        return auth

    def status(self, method: str, path: str, body: Body | None, token: str) -> int:
        try:
            self.server.call(method, path, body, token=token)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def sign(self, body: Body, token: str) -> x509.Certificate:
        answer = self.server.call("POST", f"{self.mounts.serving}/sign/{SERVING}", body, token=token)
        return x509.load_pem_x509_certificate(answer["data"]["certificate"].encode())


def apply(server: Server, files: dict[str, bytes]) -> None:
    kind = product(server.call("GET", "sys/health"))
    for path, content in files.items():
        parts = path.split("/")
        if path.endswith(".hcl"):
            account = parts[-1].split(".")[1:-1]
            name = ".".join(["podkeys", *parts[:-1], *account])
            server.call("PUT", f"sys/policies/acl/{name}", {"policy": content.decode()})
        elif len(parts) == 4:
            document = json.loads(content)
            is_pki_role = "/roles/" in document["path"]
            fields = writable(kind, document["data"]) if is_pki_role else document["data"]
            server.call("POST", document["path"], fields)


@pytest.fixture
def stage(bao: Server, mounts: Mounts, tmp_path: Path) -> Stage:
    return make(bao, mounts, tmp_path)


def make(bao: Server, mounts: Mounts, base: Path, role: str = role_texts.ROLE) -> Stage:
    files = role_texts.generated(base, role_texts.on(mounts, role), role_texts.on(mounts, role_texts.CLUSTER))
    apply(bao, files)
    return Stage(bao, mounts, files)


def csr(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    *,
    names: tuple[x509.GeneralName, ...] = (),
    common_name: str = "",
) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        request = request.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = request.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def asked(**changes: Any) -> Body:  # noqa: ANN401 - JSON
    """Exactly what the agent sends for the serving certificate, with changes; None leaves a parameter out."""
    body = {"csr": csr(), "format": "pem", "ttl": "3600s", "alt_names": NAMES, "ip_sans": "10.244.1.7"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def asked_identity(**changes: Any) -> Body:  # noqa: ANN401 - JSON
    return {"csr": csr(), "format": "pem", "ttl": "3600s", "uri_sans": SPIFFE} | changes


def on(stage: Stage, fields: Body) -> Body:
    """A PKI role's fields as apply gives them to this server."""
    return writable(product(stage.server.call("GET", "sys/health")), fields)


def test_every_field_comes_back_as_it_was_written(stage: Stage) -> None:
    """A protection that a server drops or renames would show here."""
    for path, content in stage.files.items():
        if path.endswith(".hcl") or path.count("/") != 3:
            continue
        document = json.loads(content)
        found = stage.server.call("GET", document["path"])["data"]
        fields = on(stage, document["data"]) if "pki." in path or "identity." in path else document["data"]
        assert {name: found.get(name) for name in fields} == fields, path


def test_no_field_that_a_server_knows_is_left_to_its_default(stage: Stage) -> None:
    """Writes of PKI roles replace: what is not sent is what the server thinks best, now and in later versions."""
    path = json.loads(stage.files["east/payments/payments/pki.serving.json"])["path"]
    known = set(stage.server.call("GET", path)["data"])
    for file in ("pki.serving", "identity.payments-api"):
        fields = role_texts.fields(stage.files[f"east/payments/payments/{file}.json"])
        assert known == set(on(stage, fields))


def test_the_login_gives_a_short_batch_token_with_its_policies_alone(stage: Stage) -> None:
    auth = stage.login()
    policy = "podkeys.east.payments.payments"
    assert auth["token_policies"] == [policy, f"{policy}.payments-api"]
    assert (auth["token_type"], auth["lease_duration"], auth["renewable"]) == ("batch", 900, False)
    assert auth["metadata"]["pod_name"] == "pod-1"
    for method, path in (("GET", "auth/token/lookup-self"), ("POST", "auth/token/renew-self")):
        assert stage.status(method, path, None, auth["client_token"]) == 403


def test_a_role_with_leases_gets_a_service_token_that_may_renew_and_end_itself(
    bao: Server, mounts: Mounts, tmp_path: Path
) -> None:
    stage = make(
        bao, mounts, tmp_path, role_texts.ROLE.replace("ttl: 1h, usages", "revoke: true, ttl: 1h, usages")
    )
    auth = stage.login()
    assert (auth["token_type"], auth["lease_duration"], auth["renewable"]) == ("service", 3600, True)
    token = auth["client_token"]
    serial = stage.sign(asked(), token).serial_number
    for method, path in (("GET", "lookup-self"), ("POST", "renew-self"), ("POST", "revoke-self")):
        assert stage.status(method, f"auth/token/{path}", None, token) == 200
    hexed = f"{serial:x}".zfill(40)
    dashed = "-".join(hexed[i : i + 2] for i in range(0, len(hexed), 2))
    end = time.monotonic() + 10  # leases end a moment after their token
    while not (ended := bao.call("GET", f"{mounts.serving}/cert/{dashed}")["data"]["revocation_time"]):
        assert time.monotonic() < end, "the certificate must end with its token"
        time.sleep(0.05)
    assert ended > 0


@pytest.mark.parametrize(
    ("role", "namespace", "account", "audience"),
    [
        (API, "payments", "payments-worker", "vault"),
        (WORKER, "payments", "payments-api", "vault"),
        (API, "other", "payments-api", "vault"),
        (API, "payments", "payments-api", "https://kubernetes.default.svc"),
        (API.upper(), "payments", "payments-worker", "vault"),
    ],
)
def test_a_foreign_pod_does_not_log_in(
    stage: Stage, role: str, namespace: str, account: str, audience: str
) -> None:
    jwt = stage.mounts.issuer.token(namespace, account, audience=audience)
    assert stage.status("POST", f"auth/{stage.mounts.jwt}/login", {"role": role, "jwt": jwt}, "") == 400


def test_the_declared_secret_is_read_and_nothing_around_it(stage: Stage) -> None:
    kv, token = stage.mounts.kv, stage.login()["client_token"]
    for name in ("payments/stripe", "payments/other"):
        stage.server.call("POST", f"{kv}/data/{name}", {"data": {"key": "value"}})
    assert stage.status("GET", f"{kv}/data/payments/stripe", None, token) == 200
    refused = [
        ("GET", f"{kv}/data/payments/other"),
        ("GET", f"{kv}/data/payments/stripe/more"),
        ("GET", f"{kv}/metadata/payments/stripe"),
        ("LIST", f"{kv}/metadata/payments"),
        ("POST", f"{kv}/data/payments/stripe"),
        ("DELETE", f"{kv}/data/payments/stripe"),
        ("GET", "sys/policies/acl"),
        ("POST", "auth/token/create"),
    ]
    assert {path: stage.status(method, path, {"data": {}}, token) for method, path in refused} == {
        path: 403 for _, path in refused
    }


def test_every_version_of_a_declared_secret_is_read(stage: Stage) -> None:
    """What can't be held: a path has its history, and no rule about parameters belongs on key-value version 2."""
    path, token = f"{stage.mounts.kv}/data/payments/stripe", stage.login()["client_token"]
    for value in ("old", "new"):
        stage.server.call("POST", path, {"data": {"key": value}})
    found = stage.server.call("GET", f"{path}?version=1", token=token)
    assert found["data"]["data"] == {"key": "old"}
    stage.server.call("PUT", path.replace("/data/", "/destroy/"), {"versions": [1]})
    assert stage.status("GET", f"{path}?version=1", None, token) == 404


HISTORY = ("subkeys", "metadata", "undelete", "delete", "destroy")
UNGRANTED = [
    *(("GET", f"{{kv}}/{part}/payments/stripe") for part in HISTORY),
    ("GET", "{kv}/data/payments/stripe?list=true"),
    ("LIST", "{kv}/data/payments/stripe"),
    ("SCAN", "{kv}/data/payments"),
    ("GET", "{kv}/data/payments/stripe/"),
    ("POST", "sys/capabilities-self"),
    ("GET", "sys/internal/ui/resultant-acl"),
    ("POST", "sys/wrapping/wrap"),
    ("POST", "sys/tools/random"),
    ("POST", "sys/leases/lookup"),
    ("PUT", "sys/leases/revoke"),
    ("GET", "sys/mounts"),
    ("GET", "cubbyhole/x"),
    ("GET", "identity/entity/id"),
    ("POST", "identity/oidc/introspect"),
    ("POST", "auth/token/create-orphan"),
    ("POST", "auth/token/lookup"),
    ("POST", "auth/token/renew"),
    ("GET", "auth/{jwt}/config"),
    ("GET", "auth/{jwt}/role/" + API),
    ("LIST", "{serving}/roles"),
    ("POST", "{serving}/roles/" + SERVING),
]


def test_what_a_default_policy_would_give_is_not_given(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    """With the service token, which has the most: its self-calls, and nothing that reaches further."""
    stage = make(bao, mounts, tmp_path, role_texts.ROLE.replace("podIP: true", "revoke: true"))
    stage.server.call("POST", f"{mounts.kv}/data/payments/stripe", {"data": {"key": "value"}})
    token = stage.login()["client_token"]
    names = {"kv": mounts.kv, "jwt": mounts.jwt, "serving": mounts.serving}
    found = {
        (method, path): stage.status(method, path.format(**names), None if method == "GET" else {}, token)
        for method, path in UNGRANTED
    }
    refused = (403, 405)  # HashiCorp Vault knows no SCAN
    assert {asked: status for asked, status in found.items() if status not in refused} == {}


def test_what_the_agent_asks_is_signed_with_those_names_and_no_others(stage: Stage) -> None:
    foreign = (x509.DNSName("evil.example.com"), x509.RFC822Name("root@payments.payments"))
    request = csr(names=foreign, common_name="evil.example.com")
    certificate = stage.sign(asked(csr=request, ip_sans="10.244.1.7"), stage.login()["client_token"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [
        *(x509.DNSName(name) for name in sorted(NAMES.split(","))),
        x509.IPAddress(ipaddress.ip_address("10.244.1.7")),
    ]
    assert not list(certificate.subject)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.total_seconds() == 3660


def test_an_svid_has_one_uri_and_may_sign_nothing(stage: Stage) -> None:
    answer = stage.server.call(
        "POST", f"{stage.mounts.identity}/sign/{API}", asked_identity(), token=stage.login()["client_token"]
    )
    certificate = x509.load_pem_x509_certificate(answer["data"]["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(SPIFFE)]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not usage.key_encipherment


def _rsa_csr() -> str:
    return csr(rsa.generate_private_key(65537, 2048))


ATTACKS: dict[str, Callable[[], Body]] = {
    "a subset of the names": lambda: asked(alt_names="payments.payments"),
    "no names at all": lambda: asked(alt_names=None),
    "an empty list of names": lambda: asked(alt_names=""),
    "a foreign name": lambda: asked(alt_names="evil.example.com"),
    "one name more": lambda: asked(alt_names=f"{NAMES},evil.example.com"),
    "spaces after the commas": lambda: asked(alt_names=NAMES.replace(",", ", ")),
    "an e-mail address at an allowed domain": lambda: asked(alt_names=f"{NAMES},root@payments.payments"),
    "a wildcard": lambda: asked(alt_names="*.payments.payments"),
    "names as a list": lambda: asked(alt_names=NAMES.split(",")),
    "a common name": lambda: asked(common_name="payments.payments"),
    "an address outside the range": lambda: asked(ip_sans="8.8.8.8"),
    "an address outside the range beside one inside": lambda: asked(ip_sans="10.244.1.7,8.8.8.8"),
    "a URI": lambda: asked(uri_sans=SPIFFE),
    "another kind of name": lambda: asked(other_sans="1.3.6.1.4.1.311.20.2.3;utf8:root"),
    "a user id": lambda: asked(user_ids="root"),
    "a serial number in the subject": lambda: asked(serial_number="1"),
    "a shorter life": lambda: asked(ttl="60s"),
    "a longer life": lambda: asked(ttl="8760h"),
    "an end of its own": lambda: asked(not_after="2035-01-01T00:00:00Z"),
    "a start of its own": lambda: asked(not_before="2020-01-01T00:00:00Z"),
    "another format": lambda: asked(format="pem_bundle"),
    "no chain to the root": lambda: asked(remove_roots_from_chain=False),
    "another issuer": lambda: asked(issuer_ref="other"),
    "no CSR": lambda: asked(csr=None),
    "an RSA key": lambda: asked(csr=_rsa_csr()),
    "a small key": lambda: asked(csr=csr(ec.generate_private_key(ec.SECP224R1()))),
    "parameters in capitals": lambda: asked(ALT_NAMES="evil.example.com"),
    "a common name in capitals": lambda: asked(Common_Name="payments.payments"),
}


OPENBAO_ONLY = {
    "an address outside the range": "Vault's roles have no networks: plan refuses podIP there",
    "an address outside the range beside one inside": "Vault's roles have no networks: plan refuses podIP there",
}


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(name, marks=pytest.mark.openbao_only(OPENBAO_ONLY[name]) if name in OPENBAO_ONLY else ())
        for name in ATTACKS
    ],
)
def test_a_certificate_with_anything_else_is_refused(stage: Stage, attack: str) -> None:
    token = stage.login()["client_token"]
    assert stage.status("POST", f"{stage.mounts.serving}/sign/{SERVING}", ATTACKS[attack](), token) in {
        400,
        403,
    }
    assert stage.status("POST", f"{stage.mounts.serving}/sign/{SERVING}", asked(), token) == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"uri_sans": f"{SPIFFE},{SPIFFE}"},
            marks=pytest.mark.openbao_only("Vault compares the parts of a value one by one"),
        ),
        {"uri_sans": SPIFFE.replace("payments-api", "payments-worker")},
        {"uri_sans": SPIFFE.replace("east.", "west.")},
        {"uri_sans": ""},
        {"alt_names": "payments.payments"},
        {"ip_sans": "10.244.1.7"},
        {"common_name": "payments-api"},
        {"ttl": "2h"},
        {"not_after": "2035-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_an_identity_of_anyone_else_is_refused(stage: Stage, changes: Body) -> None:
    token = stage.login()["client_token"]
    path = f"{stage.mounts.identity}/sign/{API}"
    assert stage.status("POST", path, asked_identity(**changes), token) in {400, 403}
    assert stage.status("POST", path, asked_identity(), token) == 200


def test_no_other_way_to_a_certificate_is_open(stage: Stage) -> None:
    """Not another account's identity, not the issuer's own paths, not the role itself."""
    serving, identity = stage.mounts.serving, stage.mounts.identity
    token = stage.login()["client_token"]
    paths = [
        f"{identity}/sign/{WORKER}",
        f"{serving}/issuer/default/sign/{SERVING}",
        f"{serving}/issue/{SERVING}",
        f"{serving}/sign-verbatim",
        f"{serving}/sign-verbatim/{SERVING}",
        f"{serving}/root/sign-intermediate",
        f"{serving}/roles/{SERVING}",
        f"{serving}/sign/{SERVING.upper()}",
        f"{serving}/revoke",
    ]
    assert {path: stage.status("POST", path, asked(), token) for path in paths} == dict.fromkeys(paths, 403)


@pytest.mark.parametrize(
    "changes",
    [
        {"alt_names": "evil.example.com"},
        {"alt_names": "more.payments.payments"},
        {"alt_names": "*.payments.payments"},
        {"alt_names": "localhost"},
        pytest.param(
            {"ip_sans": "8.8.8.8"}, marks=pytest.mark.openbao_only("Vault's roles have no networks")
        ),
        {"uri_sans": SPIFFE},
        {"not_after": "2035-01-01T00:00:00Z"},
        pytest.param(
            {"not_before": "2020-01-01T00:00:00Z"},
            marks=pytest.mark.openbao_only("Vault's roles have no bounds: there the policy is the only line"),
        ),
        {"other_sans": "1.3.6.1.4.1.311.20.2.3;utf8:root"},
        {"csr": _rsa_csr()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_role_alone_refuses_what_it_can(stage: Stage, changes: Body) -> None:
    """As root, so that no policy helps: two lines of defence, each tested."""
    status = stage.status(
        "POST", f"{stage.mounts.serving}/sign/{SERVING}", asked(**changes), stage.server.root_token
    )
    assert status == 400


def test_the_role_alone_gives_no_longer_life(stage: Stage) -> None:
    certificate = stage.sign(asked(ttl="8760h"), stage.server.root_token)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.total_seconds() == 3660


def test_the_kubernetes_login_role_comes_back_whole(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    mount = f"kubernetes-{mounts.jwt}"
    cluster = role_texts.CLUSTER.replace(
        "method: jwt, mount: jwt-east", f"method: kubernetes, mount: {mount}"
    )
    files = role_texts.generated(tmp_path, cluster=cluster)
    document = json.loads(files["east/payments/payments/auth.payments-api.json"])
    bao.call("POST", f"sys/auth/{mount}", {"type": "kubernetes"})
    try:
        bao.call("POST", document["path"], document["data"])
        found = bao.call("GET", document["path"])["data"]
    finally:
        bao.call("DELETE", f"sys/auth/{mount}")
    assert document["path"] == f"auth/{mount}/role/{API}"
    assert {name: found.get(name) for name in document["data"]} == document["data"]
    assert document["data"]["bound_service_account_names"] == ["payments-api"]
    assert document["data"]["bound_service_account_namespaces"] == ["payments"]
    assert document["data"]["audience"] == "vault"
