"""OpenBao in the cluster: one pod that forgets everything when it ends, served with a certificate of its own."""

import base64
from pathlib import Path
from typing import Any


def objects(certificate: Path, key: Path, token: str) -> list[dict[str, Any]]:
    labels = {"app": "vault"}
    listener = 'listener "tcp" { address = "[::]:8200" tls_cert_file = "/tls/tls.crt" tls_key_file = "/tls/tls.key" }'
    container = {
        "name": "vault",
        "image": "localhost/openbao:e2e",
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "server",
            "-dev",
            "-dev-no-store-token",
            "-dev-listen-address=127.0.0.1:8300",
            "-config=/tls/vault.hcl",
        ],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - in its container
            {"name": "BAO_DEV_ROOT_TOKEN_ID", "value": token},
            {"name": "BAO_DISABLE_MLOCK", "value": "true"},
        ],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "readinessProbe": {"tcpSocket": {"port": 8200}, "periodSeconds": 1},
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "tls", "defaultMode": 0o444}}],
    }
    files = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes(), "vault.hcl": listener.encode()}
    metadata = {"namespace": "vault"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vault"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tls", **metadata},
            "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "vault", **metadata},
            "spec": {"selector": labels, "ports": [{"port": 8200}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "vault", **metadata},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": {"run": token[:6]}}, "spec": spec},
                "strategy": {"type": "Recreate"},
            },
        },
    ]
