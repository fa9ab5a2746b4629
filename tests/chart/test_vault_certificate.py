"""The serving certificate from Vault: the chart's own pod is like one that the webhook injects."""

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import config
from policies.catalog_files import parse_cluster, parse_namespace
from policies.cli import group
from tests.chart.charts import CHART, Manifest, helm, manifests
from tests.webhook.admissions import container, injected, pod

TOP = CHART.parents[1]
VALUES = f"--values={Path(__file__).parent / 'vault.yaml'}"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def template(*values: str) -> Manifest:
    found: Manifest = manifests(VALUES, *values)["Deployment", "podkeys-webhook"]["spec"]["template"]
    return found


def settings(found: Manifest) -> config.AgentConfig:
    """As the agent reads them, after the kubelet's expansion."""
    (init, sidecar) = found["spec"]["initContainers"]
    assert init["env"] == sidecar["env"]
    return config.parse(init["env"][0]["value"].replace("$$", "$"))


def without(item: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in fields}


def test_its_containers_are_those_that_an_injected_pod_gets() -> None:
    """The rest of what holds for them, tested elsewhere, then holds here: restricted, no other mounts, limits."""
    expected = injected(pod({"certificates": "serving"}))
    for ours in template()["spec"]["initContainers"]:
        usual = container(expected, ours["name"])
        for user in ("runAsUser", "runAsGroup"):  # all run the one image, as its user or as OpenShift's
            usual["securityContext"].pop(user, None)
        assert without(ours, "env", "image") == without(usual, "env", "image")
        assert ours["env"][1:] == usual["env"][1:]
        assert ours["image"] == "registry.example.com/podkeys:0.1.0"


def test_its_key_is_in_memory_alone_and_its_token_in_the_agents_containers() -> None:
    expected = {item["name"]: item for item in injected(pod({"certificates": "serving"}))["spec"]["volumes"]}
    found = template()["spec"]
    volumes = {item["name"]: item for item in found["volumes"]}
    assert set(volumes) == {"podkeys", "podkeys-state", "podkeys-token", "catalog"}
    assert volumes["podkeys-token"] == expected["podkeys-token"]
    for name in ("podkeys", "podkeys-state"):
        assert volumes[name]["emptyDir"]["medium"] == "Memory"
    (webhook,) = found["containers"]
    assert [item["name"] for item in webhook["volumeMounts"]] == ["podkeys", "catalog"]
    assert webhook["volumeMounts"][0]["readOnly"]
    assert not [name for kind, name in manifests(VALUES) if kind == "Secret"]


def test_the_webhook_reads_the_files_that_its_agent_writes() -> None:
    found = template()
    asked = settings(found).certificates[0]
    (webhook,) = found["spec"]["containers"]
    mount = webhook["volumeMounts"][0]
    assert f"/var/run/podkeys/{mount['subPath']}" == settings(found).folders.files
    assert f"--tls-cert={mount['mountPath']}/{asked.folder}/{asked.files.chain}" in webhook["args"]
    assert f"--tls-key={mount['mountPath']}/{asked.folder}/{asked.files.key}" in webhook["args"]


def test_it_asks_for_exactly_what_the_documented_role_allows(tmp_path: Path) -> None:
    """Vault refuses any other list of names, another life, another login."""
    found: list[str] = re.findall(
        r"```yaml\n(apiVersion: podkeys.*?)```", (TOP / "docs/install.md").read_text(), re.DOTALL
    )
    shutil.copytree(TOP / "deploy/example/clusters", tmp_path / "clusters")
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles/podkeys-webhook.yaml").write_text(found[0])
    words = [f"--{name}={tmp_path / name}" for name in ("clusters", "roles")]
    done = CliRunner().invoke(group, ["generate", *words, f"--out={tmp_path / 'generated'}"])
    assert done.exit_code == 0, done.output
    generated = tmp_path / "generated/eu-nl-prod-a"
    role = parse_namespace((generated / "catalog/podkeys-system.json").read_bytes()).roles["podkeys-webhook"]
    cluster = parse_cluster((generated / "cluster.json").read_bytes())
    allowed = role.certificates["serving"]
    asked = settings(template())
    (certificate,) = asked.certificates
    assert asked.login.mount == cluster.auth_mount
    assert asked.login.role == role.service_accounts["podkeys-webhook"].auth_role
    assert certificate.mount == cluster.serving_mount
    assert (certificate.sign, certificate.dns_names) == (allowed.sign, allowed.dns_names)
    assert (certificate.ttl_seconds, certificate.usages) == (allowed.ttl_seconds, allowed.usages)
    assert (certificate.key, certificate.pod_ip) == (allowed.key, allowed.pod_ip)
    assert (certificate.revoke, asked.reads, asked.sidecar) == (allowed.revoke, {}, True)


def test_its_settings_are_the_values() -> None:
    asked = settings(template("--set=certificate.vault.authRole=mine", "--set=certificate.vault.pkiRole=own"))
    assert asked.vault == config.Vault("https://vault.example.com:8200", "platform", "")
    assert (asked.deadline_seconds, asked.poll_seconds) == (30, 60)
    assert asked.login.role == "mine"
    assert asked.certificates[0].sign == "pki-eu-nl-prod-a/sign/own"


@pytest.mark.parametrize("missing", ["caBundle", "vault.address", "vault.authMount", "vault.pkiMount"])
def test_without_what_it_needs_it_is_refused(missing: str) -> None:
    result = helm("template", "podkeys", str(CHART), VALUES, f"--set=certificate.{missing}=")
    assert result.returncode != 0
    assert missing.rpartition(".")[2] in result.stderr


def bundles(*values: str) -> list[str]:
    found = manifests(*values)
    return [
        base64.b64decode(item["webhooks"][0]["clientConfig"]["caBundle"]).decode()
        for (kind, _), item in found.items()
        if kind.endswith("WebhookConfiguration")
    ]


def test_both_registrations_trust_the_given_bundle_and_the_chart_its_own_ca_too(tmp_path: Path) -> None:
    assert bundles(VALUES) == [PEM, PEM]
    (tmp_path / "ca.pem").write_text(PEM)
    first, second = bundles(f"--set-file=certificate.caBundle={tmp_path / 'ca.pem'}")
    assert first == second
    assert first.endswith(PEM)
    assert first.count("BEGIN CERTIFICATE") == 2


def test_cert_manager_takes_no_bundle_as_it_would_replace_it() -> None:
    result = helm(
        *("template", "podkeys", str(CHART), "--set=image=podkeys", "--set=certificate.from=cert-manager"),
        f"--set=certificate.caBundle={PEM}",
    )
    assert "caBundle" in result.stderr
