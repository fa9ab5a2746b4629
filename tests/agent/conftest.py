"""A cluster's server as the generator would have set it up, and settings as the webhook would write them."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent import config
from demo.mounts import Mounts
from demo.openbao import Server

NAMESPACE = "payments"
ACCOUNT = "payments-api"
SPIFFE_ID = f"spiffe://agent.example.com/ns/{NAMESPACE}/sa/{ACCOUNT}"
DNS_NAMES = ("payments.payments", "payments.payments.svc", "payments.payments.svc.cluster.local")
SECRET = {"key": "canary-stripe-4711", "user": "pay", "port": 5432, "tls": True}


@dataclass(frozen=True)
class World:
    """One service account's pod: its server, folders and settings. `run` starts the real program."""

    bao: Server
    mounts: Mounts
    home: Path
    role: str
    settings: config.AgentConfig
    environment: dict[str, str] = field(default_factory=dict)

    def with_settings(self, **changes: Any) -> "World":  # noqa: ANN401 - fields of AgentConfig
        return replace(self, settings=self.settings._replace(**changes))

    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("COVERAGE_PROCESS_START", "PATH") if name in os.environ}
        return {
            **kept,
            config.VARIABLE: config.to_json(self.settings),
            config.POD_UID_VARIABLE: "5c3f1e5e-0000-4000-8000-000000000001",
            config.POD_IPS_VARIABLE: "10.244.1.7",
            **self.environment,
        }

    def run(self, *arguments: str, seconds: float = 60) -> "Ended":
        done = subprocess.run(
            [sys.executable, "-I", "-m", "agent", *arguments],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        log = Path(self.settings.folders.termination_log)
        return Ended(done.returncode, done.stdout, done.stderr, log.read_text() if log.exists() else "")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "agent", *arguments],
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def files(self) -> Path:
        return Path(self.settings.folders.files)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(Path(self.settings.folders.state, "state.json").read_text())
        return found

    def write_token(self, **changes: Any) -> None:  # noqa: ANN401 - arguments of Issuer.token
        Path(self.settings.login.token_file).write_text(
            self.mounts.issuer.token(NAMESPACE, ACCOUNT, **changes)
        )

    def put(self, path: str, values: dict[str, Any]) -> None:
        self.bao.call("POST", f"{self.mounts.kv}/data/{path}", {"data": values})

    def role_fields(self, **changes: Any) -> None:  # noqa: ANN401 - fields of a jwt role
        fields = {**_auth_role(f"agent-{self.role}"), **changes}
        self.bao.call("POST", f"auth/{self.mounts.jwt}/role/{self.role}", fields)

    def pki_role(self, mount: str, **changes: Any) -> None:  # noqa: ANN401 - fields of a PKI role
        self.bao.call("POST", f"{mount}/roles/{self.role}", {**_pki_role(), **changes})


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    message: str


@pytest.fixture
def world(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[World]:
    role = f"podkeys.payments.payments.{ACCOUNT}"
    made = World(bao, mounts, tmp_path, role, _settings(bao, mounts, tmp_path, role))
    made.write_token()
    bao.call("PUT", f"sys/policies/acl/agent-{role}", {"policy": _policy(mounts, role)})
    made.role_fields()
    made.pki_role(mounts.serving)
    made.pki_role(
        mounts.identity, allowed_domains=[], allowed_uri_sans=[SPIFFE_ID], server_flag=True, client_flag=True
    )
    made.put("payments/stripe", SECRET)
    bao.call("POST", f"{mounts.kv1}/payments/smtp", {"password": "canary-smtp"})
    yield made
    bao.call("DELETE", f"sys/policies/acl/agent-{role}")


@pytest.fixture
def unique() -> Callable[[], str]:
    return lambda: uuid.uuid4().hex[:8]


def certificate(mounts: Mounts, role: str, **changes: Any) -> config.Certificate:  # noqa: ANN401 - its fields
    made = config.Certificate(
        folder="certs/serving",
        mount=mounts.serving,
        sign=f"{mounts.serving}/sign/{role}",
        key="ec-p256",
        usages=("server", "client"),
        ttl_seconds=3600,
        mode="0440",
        files=config.CertificateFiles("tls.crt", "tls.key", "ca.crt", "tls.pem"),
        dns_names=DNS_NAMES,
    )
    return made._replace(**changes)


def identity(mounts: Mounts, role: str, **changes: Any) -> config.Certificate:  # noqa: ANN401 - its fields
    made = config.Certificate(
        folder="identity",
        mount=mounts.identity,
        sign=f"{mounts.identity}/sign/{role}",
        key="ec-p256",
        usages=("server", "client"),
        ttl_seconds=3600,
        mode="0440",
        files=config.CertificateFiles("svid.pem", "svid.key", "bundle.pem"),
        spiffe_id=SPIFFE_ID,
    )
    return made._replace(**changes)


def _settings(bao: Server, mounts: Mounts, home: Path, role: str) -> config.AgentConfig:
    for name in ("files", "env", "state"):
        (home / name).mkdir()
    return config.AgentConfig(
        vault=config.Vault(bao.address, "", ""),
        login=config.Login(mounts.jwt, role, str(home / "token")),
        folders=config.Folders(
            str(home / "files"), str(home / "env"), str(home / "state"), str(home / "termination-log")
        ),
        deadline_seconds=10,
        poll_seconds=300,
        sidecar=True,
        reads={
            "stripe": config.Read("kv2", f"{mounts.kv}/data/payments/stripe"),
            "smtp": config.Read("kv1", f"{mounts.kv1}/payments/smtp"),
        },
        files=(
            config.File("secrets/stripe", "stripe", "json", "0440"),
            config.File("secrets/smtp", "smtp", "raw", "0400", key="password"),
        ),
        env=(config.Variable("SMTP_PASSWORD", "smtp", "password"),),
        certificates=(certificate(mounts, role), identity(mounts, role)),
    )


def _policy(mounts: Mounts, role: str) -> str:
    readable = (f"{mounts.kv}/data/payments/*", f"{mounts.kv1}/payments/*", "database-*")
    writable = (
        f"{mounts.serving}/sign/{role}",
        f"{mounts.identity}/sign/{role}",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "sys/leases/renew",
    )
    lines = [f'path "{path}" {{ capabilities = ["read"] }}' for path in readable]
    return "\n".join([*lines, *(f'path "{path}" {{ capabilities = ["update"] }}' for path in writable)])


def _auth_role(policy: str) -> dict[str, Any]:
    return {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "bound_subject": f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
        "token_policies": [policy],
        "token_no_default_policy": True,
        "token_type": "service",
        "token_ttl": 600,
        "token_max_ttl": 3600,
    }


def _pki_role() -> dict[str, Any]:
    return {
        "allowed_domains": list(DNS_NAMES),
        "allow_bare_domains": True,
        "allow_ip_sans": True,
        "key_type": "any",
        "use_csr_common_name": False,
        "use_csr_sans": False,
        "require_cn": False,
        "key_usage": ["DigitalSignature"],
        "server_flag": True,
        "client_flag": True,
        "ttl": "1h",
        "max_ttl": "1h",
        "not_before_duration": "60s",
    }
