"""Injected Deployments that live as long as a `with`, and what is to be seen of them and of the webhook's replicas."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.installation import NAMESPACE, WEBHOOK
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.workloads import pod, template, workload

ASLEEP = "import time; time.sleep(3600)"
CARD = {"inject": "true", "secrets": "card"}
REPLICAS = ("-l", "app.kubernetes.io/component=webhook")
DEPLOYMENT = "deployment/podkeys-webhook"


@contextmanager
def deployed(name: str, annotations: dict[str, str]) -> Iterator[None]:
    apply(workload("Deployment", name, template(annotations, ASLEEP)))
    try:
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "deployment", name, "--wait=false")


def wait_until_ready(name: str) -> None:
    wait_for(f"{name} to be ready", lambda: get("deployment", NAMESPACE, name)["status"].get("readyReplicas"))


def pod_of(name: str) -> Json:
    """The one pod of a Deployment, once it has been created."""
    found: Json = wait_for(f"a pod of {name}", lambda: get("pods", NAMESPACE, "-l", f"app={name}")["items"])[
        0
    ]
    return found


def init_of(name: str) -> Json:
    """The status of podkeys-init, empty before the kubelet has written one."""
    statuses = pod_of(name)["status"].get("initContainerStatuses", [])
    return next((status for status in statuses if status["name"] == "podkeys-init"), {})


def failure_of(name: str) -> Json:
    """How podkeys-init ended, once it has failed."""

    def failed() -> Json | None:
        status = init_of(name)
        states = (status.get("state", {}), status.get("lastState", {}))
        return next(
            (state["terminated"] for state in states if state.get("terminated", {}).get("exitCode")), None
        )

    found: Json = wait_for(f"podkeys-init of {name} to fail", failed, 60)
    return found


def described(name: str) -> str:
    return kubectl("-n", NAMESPACE, "describe", "pod", "-l", f"app={name}").stdout


def refused() -> str:
    """What is said to a pod that asks for a secret, tried without making one; empty when it would be made."""
    tried = json.dumps(pod("tried", template(CARD)))
    done = kubectl("create", "--dry-run=server", "-f", "-", stdin=tried, check=False)
    return done.stderr if done.returncode else ""


def replicas() -> list[str]:
    """The names of the webhook's pods that are not about to end."""
    items = get("pods", WEBHOOK, *REPLICAS)["items"]
    return [item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"]]


def wait_until_rolled_out() -> None:
    kubectl("-n", WEBHOOK, "rollout", "status", DEPLOYMENT, "--timeout=90s")


def restart_webhook() -> None:
    kubectl("-n", WEBHOOK, "rollout", "restart", DEPLOYMENT)
    wait_until_rolled_out()


def metric(replica: str, name: str) -> float:
    page = kubectl("get", "--raw", f"/api/v1/namespaces/{WEBHOOK}/pods/{replica}:8080/proxy/metrics").stdout
    return next(float(line.split()[1]) for line in page.splitlines() if line.split()[0] == name)


def look_at_volumes() -> None:
    """Kubelets bring a changed Secret or ConfigMap within a minute or so; to a pod that changes, at once."""
    seen = f"e2e.example.com/seen={secrets.token_hex(4)}"
    kubectl("-n", WEBHOOK, "annotate", "pods", *REPLICAS, "--overwrite", seen)
