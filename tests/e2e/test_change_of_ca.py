"""The serving certificate from Vault, and the runbooks of docs/operate.md, followed literally while pods are created without pause."""

import base64
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from demo.openbao import binary
from tests.e2e.creations import without_pause
from tests.e2e.injected import REPLICAS, metric, replicas
from tests.e2e.installation import CHART, CLUSTER, WEBHOOK, Installation, helm, upgrade
from tests.e2e.kubectl import Json, get, kubectl, wait_for

TOP = CHART.parents[1]
TTL = 40  # seconds, so that a test sees renewals
REMAINING = "podkeys_serving_certificate_remaining_seconds"


def blocks(document: str, heading: str, language: str) -> list[str]:
    """The commands or files below a heading, with the tests' cluster in place of the example's."""
    text = (TOP / "docs" / document).read_text().split(f"\n{heading}\n")[1]
    level = heading.partition(" ")[0]
    section = re.split(rf"\n#{{1,{len(level)}}} ", text)[0]
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    return [
        re.sub(f"^{indent}", "", body, flags=re.MULTILINE).replace("eu-nl-prod-a", CLUSTER)
        for indent, body in found
    ]


@dataclass(frozen=True)
class Shell:
    """A terminal in a folder of its own, where `deploy/chart` is; its variables stay from one block to the next."""

    folder: Path
    env: dict[str, str]

    def follow(self, block: str) -> None:
        script = f"[ ! -e kept ] || . ./kept\n{block}\nset | grep -E '^(PKI|NEW|OLD)=' > kept || true\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def shell(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("runbook")
    (folder / "deploy").symlink_to(TOP / "deploy")
    values = {
        "address": "https://vault.vault.svc:8200",
        "caPEM": installation.ca.read_text(),
        "authMount": f"jwt-{CLUSTER}",
        "pkiMount": f"pki-{CLUSTER}",
        "ttlSeconds": TTL,
    }
    (folder / "vault-values.yaml").write_text(yaml.safe_dump({"certificate": {"vault": values}}))
    server = {"ADDR": installation.address, "TOKEN": installation.root_token, "CACERT": str(installation.ca)}
    path = f"{Path(binary()).parent}:{os.environ['PATH']}"
    return Shell(
        folder, {**os.environ, "PATH": path, **{f"BAO_{name}": value for name, value in server.items()}}
    )


@pytest.fixture(scope="module")
def moved(installation: Installation, shell: Shell) -> Iterator[list[str]]:
    """The webhook with a certificate from Vault, by the documented role and the runbook. What was said about pods meanwhile."""
    (role,) = (text for text in blocks("install.md", "### From Vault", "yaml") if "ServiceRole" in text)
    path = installation.folder / "roles" / "podkeys-webhook.yaml"
    path.write_text(role.replace("ttl: 24h", f"ttl: {TTL}s"))
    installation.publish()
    there, only_new, back, emptied = blocks("operate.md", "### From one way to another", "sh")[:4]
    try:
        with without_pause() as said:
            shell.follow(there)
            shell.follow(only_new)
        yield said
        with without_pause() as said:
            shell.follow(back)
            shell.follow(emptied)
        assert set(said) == {""}
    finally:
        upgrade()
        path.unlink()
        installation.podkeys("policies", "generate")
        installation.apply_catalog()
        installation.apply_policies("--prune")


def pods() -> list[Json]:
    """The webhook's, without those that are about to end."""
    names = replicas()
    return [item for item in get("pods", WEBHOOK, *REPLICAS)["items"] if item["metadata"]["name"] in names]


def ends(name: str) -> float:
    """When the certificate ends that a replica serves, in seconds since the epoch."""
    left = metric(name, REMAINING)
    assert 0 < left <= TTL
    return time.time() + left


def wait_for_renewal() -> None:
    """In each replica."""
    before = {name: ends(name) for name in replicas()}

    def renewed() -> bool:
        return all(ends(name) > end + TTL / 10 for name, end in before.items())

    wait_for("renewals", renewed, seconds=TTL)


def test_moving_to_vault_loses_no_creation_of_a_pod(moved: list[str]) -> None:
    assert len(moved) > 10
    assert set(moved) == {""}
    assert all(len(item["spec"]["initContainers"]) == 2 for item in pods())
    assert kubectl("-n", WEBHOOK, "get", "secret", "podkeys-webhook-tls", check=False).returncode == 1
    helm("test", "podkeys")


@pytest.mark.usefixtures("moved")
def test_the_webhook_serves_renewed_certificates_without_a_restart() -> None:
    """Twice: the sidecar goes on after its first renewal."""
    before = replicas()
    with without_pause() as said:
        for _ in range(2):
            wait_for_renewal()
    assert set(said) == {""}
    assert replicas() == before
    for item in pods():
        statuses = item["status"]["initContainerStatuses"] + item["status"]["containerStatuses"]
        assert [status["restartCount"] for status in statuses] == [0, 0, 0]


@pytest.mark.usefixtures("moved")
def test_a_change_of_ca_by_its_runbook_loses_no_creation_of_a_pod(
    shell: Shell, installation: Installation
) -> None:
    first = installation.call("GET", f"pki-{CLUSTER}/issuer/default")["data"]["issuer_id"]
    with without_pause() as said:
        for block in blocks("operate.md", "## Changing the CA", "sh"):
            shell.follow(block.replace("NEW=root-2", f"NEW=root-{time.time_ns()}"))
    assert len(said) > 10
    assert set(said) == {""}
    left = installation.call("LIST", f"pki-{CLUSTER}/issuers")["data"]["keys"]
    now = installation.call("GET", f"pki-{CLUSTER}/issuer/default")["data"]
    assert left == [now["issuer_id"]]
    assert now["issuer_id"] != first
    trusted = get("mutatingwebhookconfiguration", "", "podkeys")["webhooks"][0]["clientConfig"]["caBundle"]
    assert base64.b64decode(trusted).decode().strip() == now["certificate"].strip()


def told() -> str:
    """What the agent of a replica that does not start left in its pod's status."""
    for item in pods():
        status = item["status"].get("initContainerStatuses", [{}])[0]
        for state in (status.get("state", {}), status.get("lastState", {})):
            if state.get("terminated", {}).get("exitCode"):
                return str(state["terminated"].get("message"))
    return ""


@pytest.mark.usefixtures("moved")
def test_where_vault_is_not_reached_no_replica_starts_and_those_that_run_go_on(shell: Shell) -> None:
    elsewhere = "--set certificate.vault.address=https://vault.vault.svc:8201 --set flags.deadline=5"
    with without_pause() as said:
        shell.follow(f"helm upgrade podkeys deploy/chart -n {WEBHOOK} --reset-then-reuse-values {elsewhere}")
        why = wait_for("the reason of podkeys-init", told)
        shell.follow(f"helm rollback podkeys -n {WEBHOOK} --wait")
    assert why.startswith("unreachable: ")
    assert set(said) == {""}
