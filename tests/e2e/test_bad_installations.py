"""Something is wrong with what was installed: what a person sees says what it is, and pods that asked don't run without."""

import base64
import copy
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from demo import tls
from tests.e2e.injected import (
    CARD,
    DEPLOYMENT,
    deployed,
    described,
    failure_of,
    init_of,
    look_at_volumes,
    metric,
    refused,
    replicas,
    restart_webhook,
    wait_until_rolled_out,
)
from tests.e2e.installation import CLUSTER, NAMESPACE, PODKEYS, WEBHOOK, Installation, helm, upgrade
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for

AUTH_ROLE = f"auth/jwt-{CLUSTER}/role/podkeys.shop.shop.shop"


@contextmanager
def published(installation: Installation, change: Callable[[Json], None]) -> Iterator[None]:
    """ConfigMaps of the generated tree after `change`, which gets {file name: text} of each; then as they were."""
    path = installation.folder / "generated" / CLUSTER / "catalog.configmap.yaml"
    maps = [item for item in yaml.safe_load_all(path.read_text()) if item.get("data")]
    changed = copy.deepcopy(maps)
    for item in changed:
        item["metadata"]["namespace"] = WEBHOOK
        change(item["data"])
    apply(*changed)
    try:
        yield
    finally:
        kubectl("apply", "-n", WEBHOOK, "--server-side", "--force-conflicts", "-f", str(path))


def failed_checks(installation: Installation) -> set[str]:
    """The names of what `podkeys cluster check` finds wrong, each of which comes with what to do."""
    words = ["cluster", "check", "--cluster", CLUSTER, "--address", installation.address, "--json"]
    env = {**os.environ, "VAULT_TOKEN": installation.root_token}
    done = subprocess.run(
        [PODKEYS, *words], cwd=installation.folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return {check["name"] for check in json.loads(done.stdout)["checks"] if check["result"] == "failed"}


def test_a_wrong_ca_of_the_server_shows_in_the_description_of_the_pod(
    installation: Installation, tmp_path: Path
) -> None:
    foreign, _ = tls.write_pair(tmp_path)

    def change(files: Json) -> None:
        if "cluster.json" in files:
            cluster = json.loads(files["cluster.json"])
            cluster["vault"]["caPEM"] = foreign.read_text()
            files["cluster.json"] = json.dumps(cluster)

    try:
        with published(installation, change):
            restart_webhook()
            with deployed("distrusts", CARD):
                found = failure_of("distrusts")
                assert found["exitCode"] == 14, found["message"]
                said = described("distrusts")
                assert "https://vault.vault.svc:8200 is not trusted" in said
                assert "check caFile in the cluster file" in said
                assert "catalog-current" in failed_checks(installation)
    finally:
        restart_webhook()


def test_a_broken_catalog_leaves_the_last_good_one_and_keeps_new_replicas_from_serving(
    installation: Installation,
) -> None:
    def change(files: Json) -> None:
        if f"{NAMESPACE}.json" in files:
            files[f"{NAMESPACE}.json"] += " "

    before = replicas()
    try:
        with published(installation, change):
            look_at_volumes()
            wait_for("both to refuse it", lambda: not any(attempt_ok(name) for name in before))
            assert refused() == ""
            assert "catalog-current" in failed_checks(installation)
            kubectl("-n", WEBHOOK, "rollout", "restart", DEPLOYMENT)
            fresh = wait_for("a new replica", lambda: [name for name in replicas() if name not in before])[0]
            wait_for("its reason", lambda: f"/catalog/{NAMESPACE}.json: got SHA-256" in log_of(fresh))
            wait_for("the kubelet to see it", lambda: "Readiness probe failed" in described_replica(fresh))
            assert set(before) < set(replicas())
            assert refused() == ""
    finally:
        look_at_volumes()
        wait_until_rolled_out()


def attempt_ok(replica: str) -> bool:
    return metric(replica, "podkeys_catalog_last_attempt_ok") == 1


def log_of(replica: str) -> str:
    return kubectl("-n", WEBHOOK, "logs", replica, check=False).stdout


def described_replica(replica: str) -> str:
    return kubectl("-n", WEBHOOK, "describe", "pod", replica).stdout


@contextmanager
def installed(change: Callable[[Json], None]) -> Iterator[None]:
    """The chart's objects after `change`, which gets each; then as they were. Helm stays the owner of every field."""
    manifest = [item for item in yaml.safe_load_all(helm("get", "manifest", "podkeys")) if item]
    changed = copy.deepcopy(manifest)
    for item in changed:
        change(item)
    pairs = [(first, then) for first, then in zip(manifest, changed, strict=True) if first != then]
    try:
        _apply_as_helm(then for _, then in pairs)
        yield
    finally:
        _apply_as_helm(first for first, _ in pairs)


def _apply_as_helm(objects: Iterable[Json]) -> None:
    text = yaml.safe_dump_all(objects)
    words = ("apply", "-n", WEBHOOK, "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-")
    kubectl(*words, stdin=text)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_a_serving_certificate_that_the_bundle_does_not_cover_is_said_to_whoever_creates_a_pod(
    installation: Installation, tmp_path: Path
) -> None:
    foreign, _ = tls.write_pair(tmp_path)

    def change(item: Json) -> None:
        if item["kind"] == "MutatingWebhookConfiguration":
            item["webhooks"][0]["clientConfig"]["caBundle"] = _base64(foreign)

    with installed(change):
        said = wait_for("the refusal", refused)
        assert {"webhook-called", "serving-certificate"} <= failed_checks(installation)
    assert 'failed calling webhook "pods.podkeys.dev"' in said
    assert "certificate signed by unknown authority" in said
    wait_for("pods to be admitted", lambda: not refused())


def test_an_expired_serving_certificate_is_said_to_whoever_creates_a_pod_and_by_a_metric(
    installation: Installation, tmp_path: Path
) -> None:
    certificate, key = tls.write_pair(tmp_path, days=0, names=(f"podkeys-webhook.{WEBHOOK}.svc",))

    def change(item: Json) -> None:
        if item["kind"] == "MutatingWebhookConfiguration":
            item["webhooks"][0]["clientConfig"]["caBundle"] = _base64(certificate)
        if item["kind"] == "Secret":
            item["data"] |= {"tls.crt": _base64(certificate), "tls.key": _base64(key)}

    with installed(change):
        look_at_volumes()
        wait_for("both to serve it", lambda: all(remaining(name) < 0 for name in replicas()))
        wait_for("the refusal", lambda: "certificate has expired" in refused())
        assert {"webhook-called", "serving-certificate"} <= failed_checks(installation)
    look_at_volumes()
    wait_for("both to serve their own", lambda: all(remaining(name) > 0 for name in replicas()))
    wait_for("pods to be admitted", lambda: not refused())


def remaining(replica: str) -> float:
    return metric(replica, "podkeys_serving_certificate_remaining_seconds")


def test_a_missing_image_of_the_agent_shows_in_the_pods_status(installation: Installation) -> None:
    del installation
    try:
        upgrade("agent.image=localhost/podkeys:missing")
        with deployed("imageless", CARD):
            waiting = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull")
            wait_for(
                "the kubelet's reason",
                lambda: init_of("imageless").get("state", {}).get("waiting", {}).get("reason") in waiting,
            )
            assert "localhost/podkeys:missing" in described("imageless").split("Events:")[1]
    finally:
        upgrade()


def test_a_missing_image_of_the_webhook_leaves_the_old_replicas_serving(installation: Installation) -> None:
    del installation
    before = replicas()

    def change(item: Json) -> None:
        if item["kind"] == "Deployment":
            item["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/podkeys:missing"

    try:
        with installed(change):
            wait_for("the event", lambda: "localhost/podkeys:missing" in pull_failures())
            assert set(before) < set(replicas())
            assert refused() == ""
    finally:
        wait_until_rolled_out()


def pull_failures() -> str:
    events = get("events", WEBHOOK, "--field-selector", "reason=Failed")["items"]
    return "".join(event["message"] for event in events)


def test_another_audience_in_the_chart_than_in_the_cluster_file_is_said_to_whoever_creates_a_pod(
    installation: Installation,
) -> None:
    try:
        upgrade("audience=elsewhere")
        said = wait_for("the refusal", refused)
        assert "podkeys-token must be one service account token with audience elsewhere" in said
        assert "is the chart installed with the audience of the cluster file?" in said
        assert "audience" in failed_checks(installation)
    finally:
        upgrade()
        wait_for("pods to be admitted", lambda: not refused())


def test_another_audience_on_the_server_shows_in_the_description_of_the_pod(
    installation: Installation,
) -> None:
    role = installation.call("GET", AUTH_ROLE)["data"]
    installation.call("POST", AUTH_ROLE, {**role, "bound_audiences": ["elsewhere"]})
    try:
        with deployed("unheard", CARD):
            found = failure_of("unheard")
            assert found["exitCode"] == 12, found["message"]
            said = described("unheard")
            assert "audience" in said.split("Message:")[1].split("\n")[0]
    finally:
        installation.call("POST", AUTH_ROLE, role)
