"""The API server's side of the demo: the webhook serves, and pods come to it."""

import base64
import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonpatch
import yaml

from demo import redis, tls
from demo.kubelet import Pod
from demo.programs import Webhook, webhook
from demo.screen import check
from demo.stage import CLUSTER, EXAMPLE, NAMESPACE, SERVICE_ACCOUNT, Stage


@contextmanager
def serve_webhook(stage: Stage) -> Iterator[Webhook]:
    certificate, key = tls.write_pair(stage.folder)
    cluster = stage.generated / CLUSTER
    flags = ["--catalog", str(cluster / "catalog"), "--cluster", str(cluster / "cluster.json")]
    flags += ["--image", "podkeys.example.com/podkeys:demo", "--agent-python", sys.executable]
    flags += ["--poll-interval", "5", "--drain", "0"]
    with webhook(flags, certificate, key, stage.folder / "webhook.log") as hook:
        stage.screen.seen("podkeys webhook serve", f"https://127.0.0.1:{hook.port}/mutate, ready")
        yield hook


def example_pod() -> dict[str, Any]:
    """The example's pod that asks for everything its role offers; the database only where there is one."""
    pod: dict[str, Any] = yaml.safe_load((EXAMPLE / "pods" / "payments-api.yaml").read_text())
    if not redis.available():
        pod["metadata"]["annotations"]["podkeys.dev/secrets"] = "stripe, smtp"
    return pod


def review_of(pod: dict[str, Any], uid: str) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod,
            "dryRun": False,
        },
    }


def admit(stage: Stage, hook: Webhook) -> Pod:
    """Four pods meet the webhook; the one that may have everything comes back as the API server would store it."""
    stage.screen.step("Four pods are created")
    pod = example_pod()
    answer = hook.review(review_of(pod, "everything"))
    check(answer["allowed"] and answer["uid"] == "everything", f"the example pod was refused: {answer}")
    patch = json.loads(base64.b64decode(answer["patch"]))
    patched = jsonpatch.apply_patch(pod, patch)
    ours = [c["name"] for c in patched["spec"]["initContainers"] if c["name"].startswith("podkeys-")]
    check(ours == ["podkeys-init", "podkeys-sidecar"], f"got containers {ours}")
    stage.screen.seen(
        "asks for everything", f"allowed, {len(patch)} additions: {', '.join(ours)} and their volumes"
    )

    undeclared = copy.deepcopy(pod)
    undeclared["metadata"]["annotations"]["podkeys.dev/secrets"] = "ledger"
    refused(stage, hook, ("asks for another's secret", undeclared))

    forged = copy.deepcopy(pod)
    forged["spec"].setdefault("initContainers", []).append(
        {"name": "podkeys-init", "image": "evil.example.com/x"}
    )
    refused(stage, hook, ("brings a forged container", forged))

    opted_out = copy.deepcopy(pod)
    opted_out["metadata"]["annotations"] = {"podkeys.dev/inject": "false"}
    answer = hook.review(review_of(opted_out, "opted-out"))
    check(answer["allowed"] and "patch" not in answer, f"the pod that opted out was touched: {answer}")
    stage.screen.seen("opted out", "allowed, untouched")

    root = stage.folder / "pod"
    root.mkdir()
    admitted = Pod(patched, root, stage.mounts.issuer.token(NAMESPACE, SERVICE_ACCOUNT))
    admitted.create_volumes()
    return admitted


def refused(stage: Stage, hook: Webhook, case: tuple[str, dict[str, Any]]) -> None:
    label, pod = case
    answer = hook.review(review_of(pod, label))
    check(not answer["allowed"] and answer["uid"] == label, f"{label}: allowed: {answer}")
    stage.screen.seen(label, "refused:")
    stage.screen.line(answer["status"]["message"])
