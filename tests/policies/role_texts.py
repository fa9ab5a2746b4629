"""Role, cluster and boundary files as text for tests, and what sound ones generate."""

import json
from pathlib import Path
from typing import Any

from demo.mounts import Mounts
from policies.generate import run, tree

ROLE = """\
apiVersion: podkeys.dev/v1
kind: ServiceRole
metadata: {name: payments, owner: team-payments}
spec:
  runsAs:
  - {cluster: east, namespace: payments, serviceAccounts: [payments-api, payments-worker]}
  secrets:
  - {name: stripe, path: kv/payments/stripe}
  certificates:
  - {name: serving, services: [payments], podIP: true, ttl: 1h, usages: [server, client]}
  identity: {ttl: 1h}
"""

CLUSTER = """\
apiVersion: podkeys.dev/v1
kind: Cluster
metadata: {name: east}
spec:
  vault: {address: "https://vault.example.com:8200"}
  auth: {method: jwt, mount: jwt-east, audience: vault}
  pki: {serving: pki-east, identity: spiffe-east}
  trustDomain: east.example.com
  dnsDomains: [svc.cluster.local]
  podCIDRs: [10.244.0.0/16]
  podIPCertificates: accepted
  kubernetesVersion: "1.37"
"""

BOUNDARY = """\
apiVersion: podkeys.dev/v1
kind: Boundary
metadata: {name: payments}
spec:
  namespaces: [payments]
  clusters: [east]
  owners: [team-payments]
  secrets:
  - {path: kv/payments}
  databases:
  - {path: database/creds/payments-orders}
  certificates: {services: [payments], maxTTL: 1h, podIP: true}
  identity: {maxTTL: 1h}
"""


def on(mounts: Mounts, text: str) -> str:
    """The text with one test's mounts in place of the plain ones."""
    for plain, real in (
        ("jwt-east", mounts.jwt),
        ("pki-east", mounts.serving),
        ("spiffe-east", mounts.identity),
        ("kv1/", f"{mounts.kv1}/"),
        ("kv/", f"{mounts.kv}/"),
    ):
        text = text.replace(plain, real)
    return text


def folders(
    base: Path, roles: dict[str, str], clusters: dict[str, str], boundaries: dict[str, str] | None = None
) -> run.Folders:
    """The folders on disk, by file name; without `boundaries` that one is not there."""
    limits = None if boundaries is None else base / "boundaries"
    found = run.Folders(base / "clusters", base / "roles", base / "generated", limits)
    for folder, files in ((found.roles, roles), (found.clusters, clusters), (limits, boundaries)):
        if folder is None or files is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return found


def generate(where: run.Folders) -> run.Result:
    result = run.compare(where, lambda done, total: None)  # noqa: ARG005 - nobody looks
    tree.write(where.out, result.changed, result.removed)
    return result


def generated(base: Path, role: str = ROLE, cluster: str = CLUSTER) -> dict[str, bytes]:
    """The tree of one role in one cluster, from nothing."""
    return run.compare(folders(base, {"r.yaml": role}, {"c.yaml": cluster}), lambda done, total: None).changed  # noqa: ARG005


def fields(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content)["data"]
    return found
