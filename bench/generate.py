"""The generator's growth: 200 to 10,000 roles of one service account, one secret and one certificate, within boundaries."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import header, row
from demo.programs import PODKEYS

FOLDERS = ("boundaries", "clusters", "roles")
SIZES = (200, 2_000, 10_000)

CLUSTER = """\
apiVersion: podkeys.dev/v1
kind: Cluster
metadata: {name: bench}
spec:
  vault: {address: "https://vault.example.com:8200"}
  auth: {method: jwt, mount: jwt-bench, audience: vault}
  pki: {serving: pki-bench, identity: spiffe-bench}
  trustDomain: bench.example.com
  dnsDomains: [svc.cluster.local]
  podCIDRs: [10.244.0.0/16]
  kubernetesVersion: "1.37"
  platform: kubernetes
"""
ROLE = """\
apiVersion: podkeys.dev/v1
kind: ServiceRole
metadata: {{name: service-{number}, owner: team-{team}}}
spec:
  runsAs:
  - {{cluster: bench, namespace: team-{team}, serviceAccounts: [service-{number}]}}
  secrets:
  - {{name: main, path: kv/team-{team}/service-{number}}}
  certificates:
  - {{name: serving, services: [service-{number}], ttl: 24h, usages: [server, client]}}
"""
BOUNDARY = """\
apiVersion: podkeys.dev/v1
kind: Boundary
metadata: {{name: team-{team}}}
spec:
  namespaces: [team-{team}]
  clusters: all
  owners: [team-{team}]
  secrets:
  - {{path: "kv/{{namespace}}"}}
  - {{path: "kv/{{cluster}}/shared"}}
  certificates: {{services: all, maxTTL: 24h}}
"""
ROLES_A_NAMESPACE = 50


def write_roles(folder: Path, count: int, *, cluster: str = CLUSTER) -> list[str]:
    """`count` role files, a boundary for each namespace, and a cluster; the words that generate from them."""
    boundaries, clusters, roles = (folder / name for name in FOLDERS)
    for made in (boundaries, clusters, roles):
        made.mkdir()
    (clusters / "bench.yaml").write_text(cluster)
    for number in range(count):
        text = ROLE.format(number=number, team=number // ROLES_A_NAMESPACE)
        (roles / f"service-{number}.yaml").write_text(text)
    for team in range((count - 1) // ROLES_A_NAMESPACE + 1):
        (boundaries / f"team-{team}.yaml").write_text(BOUNDARY.format(team=team))
    where = [word for name in (*FOLDERS, "out") for word in (f"--{name}", str(folder / name))]
    return [PODKEYS, "policies", "generate", *where]


def timed(words: list[str], *, code: int = 0) -> tuple[float, float]:
    """Wall seconds, and MB of the largest process that the command was. It has to end with `code`."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        sys.exit(f"{' '.join(words)} ended with exit code {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def run() -> None:
    header(
        "roles",
        "first write s",
        "up to date s",
        "per 1,000 roles s",
        "to the smallest",
        "peak MB",
        "MB per 1,000 more",
    )
    smallest = (0, 0.0, 0.0)
    for count in SIZES:
        with tempfile.TemporaryDirectory(prefix="podkeys-bench-") as name:
            words = write_roles(Path(name), count)
            first, _ = timed(words)
            again, memory = min(timed(words) for _ in range(3))
        smallest = smallest if smallest[0] else (count, again, memory)
        more = (count - smallest[0]) / 1000
        row(
            count,
            f"{first:.2f}",
            f"{again:.2f}",
            f"{again / count * 1000:.2f}",
            f"{again / smallest[1]:.1f}",
            f"{memory:.0f}",
            f"{(memory - smallest[2]) / more:.1f}" if more else "",
        )
