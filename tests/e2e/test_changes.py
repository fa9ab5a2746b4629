"""What changes while pods run: secrets, certificates, roles; and what ends with a pod."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.e2e.database import accounts, database
from tests.e2e.installation import NAMESPACE, POLL_SECONDS, SECRETS, Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.tokens import ask, log_in, token_of
from tests.e2e.workloads import pod, seen, template

PROGRAMS = Path(__file__).parent / "programs"
SLEEP = "import time; time.sleep(3600)"
CARD = {"inject": "true", "secrets": "card"}


@contextmanager
def running(*pods: Json) -> Iterator[None]:
    apply(*pods)
    try:
        yield
    finally:
        for item in pods:
            words = ("pod", item["metadata"]["name"], "--ignore-not-found")
            kubectl("-n", NAMESPACE, "delete", *words)


def test_a_changed_secret_is_in_the_file_within_the_time_between_looks(installation: Installation) -> None:
    """The time between looks is spread by a tenth either way; the rest is what the tick itself takes."""
    wait_for_change = """
import json, pathlib, time
card = pathlib.Path("/var/run/podkeys/secrets/card")
before = card.read_text()
print(json.dumps({"ready": True}), flush=True)
while card.read_text() == before:
    time.sleep(0.05)
print(json.dumps({"changed": time.time()}), flush=True)
time.sleep(3600)
"""
    with running(pod("changed", template({**CARD, "sidecar": "true"}, wait_for_change))):
        wait_for("the app", lambda: seen("changed").get("ready"))
        before = time.time()
        installation.call("POST", "kv/data/shop/card", {"data": {"api_key": "rotated"}})
        try:
            changed = wait_for("the change", lambda: seen("changed").get("changed"), 30)
        finally:
            installation.call("POST", "kv/data/shop/card", {"data": SECRETS["shop/card"]})
    assert changed - before < POLL_SECONDS * 1.1 + 3


def test_a_short_certificate_is_renewed_thrice_and_always_matches_its_key(installation: Installation) -> None:
    """Invariant: who opens a folder once always finds a complete, matching set."""
    del installation
    program = (PROGRAMS / "watcher.py").read_text()
    with running(pod("watch", template({"inject": "true", "certificates": "brief"}, program))):
        wait_for("the watching pod", lambda: get("pod", NAMESPACE, "watch")["status"]["phase"] == "Running")

        def line() -> str:
            return kubectl("-n", NAMESPACE, "logs", "watch", "-c", "app", check=False).stdout

        found = json.loads(wait_for("three renewals", line, 180))
    assert found["renewed"] == 3
    assert found["reads"] > 1000


def refusal_of(made: Json) -> str:
    """What a person would be told who creates this pod; empty where it would be accepted."""
    done = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made), check=False)
    return done.stderr if done.returncode else ""


def test_a_removed_role_is_injected_no_more_logs_nobody_in_and_its_tokens_read_nothing(
    installation: Installation,
) -> None:
    """In the order of docs/apply.md: the catalog first, then what the server has, by `--prune`."""
    file, auth_role = installation.folder / "roles" / "leaver.yaml", "podkeys.shop.leaver.leaver"
    text = file.read_text()
    made = pod("stays", template(CARD, SLEEP, serviceAccountName="leaver"))
    with running(made):
        wait_for("the pod", lambda: get("pod", NAMESPACE, "stays")["status"]["phase"] == "Running")
        jwt = token_of(get("pod", NAMESPACE, "stays"))
        token = log_in(installation, jwt, auth_role).body["auth"]["client_token"]
        assert ask(installation, "GET", "kv/data/shop/card", token=token).status == 200
        file.unlink()
        try:
            installation.podkeys("policies", "generate")
            installation.apply_catalog()
            later = {**made, "metadata": {**made["metadata"], "name": "later"}}
            said = wait_for("the webhook's new catalog", lambda: refusal_of(later))
            installation.apply_policies("--prune")
            login = log_in(installation, jwt, auth_role)
            read = ask(installation, "GET", "kv/data/shop/card", token=token)
        finally:
            file.write_text(text)
            installation.publish()
            wait_for("the role again", lambda: not refusal_of(later))
    assert 'got "leaver", which no role of namespace shop lists' in said
    assert (login.status, read.status) == (400, 403)
    assert "role" in login.text


TOKEN_SECONDS = 40
ORDERS = {"inject": "true", "secrets": "orders", "certificates": "revoked"}
LEASED = """
import json, pathlib
base = pathlib.Path("/var/run/podkeys")
user = json.loads((base / "secrets/orders").read_text())["username"]
print(json.dumps({"user": user, "certificate": (base / "certs/revoked/tls.crt").read_text()}), flush=True)
"""


def leasing(name: str, **annotations: str) -> Json:
    return pod(name, template({**ORDERS, **annotations}, LEASED + SLEEP, serviceAccountName="orders"))


@pytest.fixture(scope="module")
def leases(installation: Installation) -> Iterator[dict[str, Json]]:
    """What the apps of three pods found; the token of `lost` lives for a short time, and no sidecar will revoke it."""
    with database(installation):
        role = installation.login_role(NAMESPACE, "orders", "orders")
        installation.call("POST", role["path"], {**role["data"], "token_ttl": TOKEN_SECONDS})
        with running(leasing("lost", sidecar="false")):
            found = {"lost": seen("lost")}
            installation.apply_policies()
            with running(leasing("deleted"), leasing("forced")):
                yield found | {name: seen(name) for name in ("deleted", "forced")}


def is_revoked(installation: Installation, pem: str) -> bool:
    serial = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    colons = ":".join(serial[at : at + 2] for at in range(0, len(serial), 2))
    return bool(installation.call("GET", f"pki-e2e/cert/{colons}")["data"]["revocation_time"])


def ended(installation: Installation, lease: Json) -> bool:
    return lease["user"] not in accounts() and is_revoked(installation, lease["certificate"])


@pytest.mark.parametrize(("name", "how"), [("deleted", ()), ("forced", ("--grace-period=0", "--force"))])
def test_a_deleted_pods_account_and_certificate_end_with_it(
    installation: Installation, leases: dict[str, Json], name: str, how: tuple[str, ...]
) -> None:
    """The sidecar revokes the token, an hour before its time."""
    lease = leases[name]
    assert lease["user"] in accounts()
    assert not is_revoked(installation, lease["certificate"])
    kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=false", *how)
    wait_for(f"what {name} had leased to end", lambda: ended(installation, lease), 20)


def test_what_a_lost_pod_had_ends_with_its_tokens_life(
    installation: Installation, leases: dict[str, Json]
) -> None:
    """Nobody revokes for a node that dies, nor for a pod without a sidecar: the token's TTL is the guarantee."""
    lease = leases["lost"]
    kubectl("-n", NAMESPACE, "delete", "pod", "lost", "--grace-period=0", "--force")
    assert lease["user"] in accounts()
    assert not is_revoked(installation, lease["certificate"])
    wait_for("the lost pod's leases to end", lambda: ended(installation, lease), TOKEN_SECONDS + 20)
