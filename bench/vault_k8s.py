"""hashicorp/vault-k8s in the cluster, from a binary that is given: two replicas, registered for one namespace alone."""

import base64
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo import tls
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for

NAME = "vault-k8s"
HOME = "bench-vault-k8s"
PODS = "bench-vault-k8s-pods"
ANNOTATIONS = {
    "vault.hashicorp.com/agent-inject": "true",
    "vault.hashicorp.com/role": "shop",
    "vault.hashicorp.com/agent-inject-secret-card": "kv/data/shop/card",
    "vault.hashicorp.com/agent-inject-secret-tls": "pki/issue/shop",
    "vault.hashicorp.com/agent-inject-template-tls": '{{ with pkiCert "pki/issue/shop" "common_name=shop.shop.svc" "ttl=1h" }}{{ .Key }}{{ .Cert }}{{ .CA }}{{ end }}',
}
# The binary comes by `kubectl exec`, so that no image need be built.
WAIT_AND_RUN = """
import os, pathlib, time
while not pathlib.Path("/tmp/whole").exists():
    time.sleep(0.2)
os.execv("/tmp/vault-k8s", ["/tmp/vault-k8s", "agent-inject"])
"""
TAKE = """
import os, pathlib, shutil, sys
with open("/tmp/vault-k8s", "wb") as file:
    shutil.copyfileobj(sys.stdin.buffer, file)
os.chmod("/tmp/vault-k8s", 0o755)
pathlib.Path("/tmp/whole").touch()
"""
PYTHON = "/opt/podkeys/bin/python"


@contextmanager
def running(binary: Path) -> Iterator[str]:
    """Yields the namespace whose pods it injects. Nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="podkeys-bench-") as folder:
        certificate, key = tls.write_pair(Path(folder), names=(f"{NAME}.{HOME}.svc",))
        objects = [*permissions(), *server(certificate, key)]
        configuration = registration(certificate)
    try:
        apply(*objects)
        bring(binary)
        kubectl("-n", HOME, "rollout", "status", f"deployment/{NAME}", "--timeout=60s")
        apply(configuration)
        yield PODS
    finally:
        for kind in ("mutatingwebhookconfiguration", "clusterrolebinding", "clusterrole"):
            kubectl("delete", kind, HOME, "--ignore-not-found")
        kubectl("delete", "namespace", HOME, PODS, "--ignore-not-found")


def bring(binary: Path) -> None:
    def all_running() -> list[Json] | None:
        pods: list[Json] = get("pods", HOME)["items"]
        started = [item for item in pods if item["status"]["phase"] == "Running"]
        return started if len(started) == 2 else None

    for pod in wait_for("pods for vault-k8s", all_running):
        words = ["kubectl", "-n", HOME, "exec", "-i", pod["metadata"]["name"], "--", PYTHON, "-c", TAKE]
        with binary.open("rb") as file:
            subprocess.run(words, stdin=file, check=True)


def permissions() -> list[Json]:
    """Namespaces, and what the program asks of the API server: to watch registrations of webhooks."""
    rbac = "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["get", "list", "watch"],
    }
    return [
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"bench": name}}}
            for name in (HOME, PODS)
        ),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": PODS}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": HOME}, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": HOME},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": HOME},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": HOME}],
        },
    ]


def container() -> Json:
    settings = {
        "LISTEN": ":8443",
        "VAULT_ADDR": "https://vault.vault.svc:8200",
        "VAULT_IMAGE": "vault.example.com/vault:bench",
        "TLS_CERT_FILE": "/tls/tls.crt",
        "TLS_KEY_FILE": "/tls/tls.key",
    }
    return {
        "name": NAME,
        "image": "localhost/podkeys:e2e",
        "imagePullPolicy": "IfNotPresent",
        "command": [PYTHON, "-c", WAIT_AND_RUN],
        "env": [{"name": f"AGENT_INJECT_{name}", "value": value} for name, value in settings.items()],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "readinessProbe": {
            "httpGet": {"path": "/health/ready", "port": 8443, "scheme": "HTTPS"},
            "periodSeconds": 1,
        },
    }


def server(certificate: Path, key: Path) -> list[Json]:
    labels = {"app": NAME}
    metadata = {"name": NAME, "namespace": HOME}
    spec = {"containers": [container()], "volumes": [{"name": "tls", "secret": {"secretName": NAME}}]}
    files = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": 8443}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
    ]


def registration(certificate: Path) -> Json:
    """As its own manifest has it, for one namespace, and failing closed as ours."""
    service = {"name": NAME, "namespace": HOME, "path": "/mutate", "port": 443}
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": HOME},
        "webhooks": [
            {
                "name": "vault.hashicorp.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {"service": service, "caBundle": bundle},
                "namespaceSelector": {"matchLabels": {"bench": PODS}},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
            }
        ],
    }
