"""Workloads whose app prints what a program sees at its first instruction."""

import hashlib
import json

from tests.e2e.installation import NAMESPACE, SECRETS
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for

EVERYTHING = {
    "inject": "true",
    "secrets": "card, mail",
    "certificates": "serving",
    "identity": "true",
    "env": "MAIL_PASSWORD=mail.password",
}
# What the app prints is what a program sees at its first instruction.
LOOK = """
import hashlib, json, os, pathlib, time
base = pathlib.Path("/var/run/podkeys")
now = (base / "..data").resolve()
print(json.dumps({
    "files": sorted(str(p.relative_to(now)) for p in now.rglob("*") if p.is_file()),
    "card": hashlib.sha256(json.loads((base / "secrets/card").read_bytes())["api_key"].encode()).hexdigest(),
    "mail": hashlib.sha256(os.environ["MAIL_PASSWORD"].encode()).hexdigest(),
    "certificate": (base / "certs/serving/tls.crt").read_text(),
    "svid": (base / "identity/svid.pem").read_text(),
    "ip": os.environ["IP"],
}), flush=True)
"""


def template(annotations: dict[str, str], script: str = LOOK, **spec: object) -> Json:
    container = {
        "name": "app",
        "image": "localhost/podkeys:e2e",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/podkeys/bin/python", "-c", script],
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1234, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "metadata": {"annotations": {f"podkeys.dev/{name}": value for name, value in annotations.items()}},
        "spec": {
            "serviceAccountName": "shop",
            "terminationGracePeriodSeconds": 3,
            "securityContext": security,
            "containers": [container],
            **spec,
        },
    }


def pod(name: str, pods: Json, namespace: str = NAMESPACE) -> Json:
    """A pod made by hand of what `template` returned."""
    metadata = {**pods["metadata"], "name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pods["spec"]}


def workload(kind: str, name: str, pods: Json, namespace: str = NAMESPACE) -> Json:
    labels = {"app": name}
    pods["metadata"]["labels"] = labels
    metadata = {"name": name, "namespace": namespace}
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    spec: Json = {"template": pods}
    if kind in ("Job", "CronJob"):
        pods["spec"]["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": labels}
    if kind == "CronJob":
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def seen(name: str, namespace: str = NAMESPACE) -> Json:
    """What the app of a workload's pod printed last."""

    def last_line() -> str:
        done = kubectl("-n", namespace, "logs", "-l", f"app={name}", "-c", "app", "--tail=1", check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    found: Json = json.loads(wait_for(f"the app of {name}", last_line).splitlines()[0])
    return found


def digest(path: str, key: str) -> str:
    return hashlib.sha256(SECRETS[path][key].encode()).hexdigest()


def refusal(name: str, pods: Json, namespace: str = NAMESPACE) -> str:
    """Create a Deployment; the message of its ReplicaSet's FailedCreate event."""
    apply(workload("Deployment", name, pods, namespace))

    def message() -> str:
        events = get("events", namespace, "--field-selector", "reason=FailedCreate")["items"]
        return next((e["message"] for e in events if e["involvedObject"]["name"].startswith(name)), "")

    found: str = wait_for(f"the refusal of {name}", message)
    kubectl("-n", namespace, "delete", "deployment", name, "--wait=false")
    return found
