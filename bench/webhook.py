"""The webhook over TLS keep-alive: requests a second and latency of one process, and the handler's share of it."""

import json
import socket
import ssl
import sys
import tempfile
import threading
import time
import timeit
from pathlib import Path
from typing import Any

from bench.table import header, percentile, row
from demo import tls
from demo.programs import webhook
from policies import catalog
from webhook import review
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.decide import decide
from webhook.outcome import Inject

SECONDS = 4.0
CONNECTIONS = (1, 8, 16)
NAMESPACE = "payments"
SETTINGS = OperatorSettings(image="podkeys.example.com/podkeys:bench", python=sys.executable)
CLUSTER = catalog.Cluster(
    name="bench",
    vault_address="https://vault.example.com:8200",
    vault_namespace="",
    ca_pem="",
    auth_method="jwt",
    auth_mount="jwt-bench",
    audience="vault",
    serving_mount="pki-bench",
    identity_mount="spiffe-bench",
    min_kubelet=(1, 37),
    platform="kubernetes",
)


def namespace() -> catalog.NamespaceCatalog:
    identity = catalog.Identity(
        "spiffe-bench/sign/r", f"spiffe://bench.example.com/ns/{NAMESPACE}/sa/api", 3600
    )
    serving = catalog.Certificate(
        name="serving",
        sign="pki-bench/sign/r",
        dns_names=("payments.payments.svc",),
        pod_ip=True,
        key="ec-p256",
        ttl_seconds=3600,
        usages=("server", "client"),
        revoke=False,
    )
    role = catalog.Role(
        name="payments",
        source="payments.yaml",
        owner="team-payments",
        service_accounts={"api": catalog.ServiceAccount("api", "podkeys.payments.payments.api", identity)},
        secrets={"stripe": catalog.Secret("stripe", "kv2", "kv/data/payments/stripe")},
        certificates={"serving": serving},
    )
    return catalog.NamespaceCatalog("bench", NAMESPACE, {"payments": role})


def write_catalog(folder: Path) -> list[str]:
    """Catalog and cluster.json as the generator lays them out; the flags that name them."""
    (folder / "catalog").mkdir()
    content = catalog.to_bytes(catalog.namespace_json(namespace()))
    manifest = catalog.Manifest("bench", {f"{NAMESPACE}.json": catalog.digest(content)})
    (folder / "catalog" / f"{NAMESPACE}.json").write_bytes(content)
    (folder / "catalog" / catalog.MANIFEST).write_bytes(catalog.to_bytes(catalog.manifest_json(manifest)))
    (folder / "cluster.json").write_bytes(catalog.to_bytes(catalog.cluster_json(CLUSTER)))
    flags = ["--catalog", str(folder / "catalog"), "--cluster", str(folder / "cluster.json")]
    return [*flags, "--image", SETTINGS.image, "--log-level", "warning", "--drain", "0"]


def body(size: int) -> bytes:
    """A review of about `size` bytes whose pod asks for everything; environment variables fill it up."""
    names = {"secrets": "all", "certificates": "all", "identity": "true", "inject": "true"}
    container: dict[str, Any] = {"name": "api", "image": "payments.example.com/api:1.4.2", "env": []}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "payments-api-6c9f7b5d8c-",
            "annotations": {f"podkeys.dev/{name}": value for name, value in names.items()},
        },
        "spec": {"serviceAccountName": "api", "containers": [container]},
    }
    request = {
        "uid": "3f0d7a53-9d0c-4a8e-9b3e-0c2f8a6d5e10",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "object": pod,
    }
    top = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    while len(json.dumps(top)) < size:
        container["env"].append({"name": f"SETTING_{len(container['env'])}", "value": "x" * 40})
    return json.dumps(top).encode()


class Connection:
    """One keep-alive connection that sends the same bytes again and again."""

    def __init__(self, port: int, ca: Path, payload: bytes) -> None:
        head = f"POST /mutate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        self._bytes = head.encode() + payload
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=str(ca))
        self._socket = context.wrap_socket(raw, server_hostname="127.0.0.1")

    def post(self) -> None:
        self._socket.sendall(self._bytes)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        head, _, content = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(content) < length:
            content += self._received()
        if not head.startswith(b"HTTP/1.1 200") or b'"allowed":true' not in content:
            raise RuntimeError(f"got {answer[:200]!r}")

    def _received(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionError("the webhook closed the connection")
        return part

    def run(self, end: float, latencies: list[float]) -> None:
        while (start := time.perf_counter()) < end:
            self.post()
            latencies.append(time.perf_counter() - start)


def load(port: int, ca: Path, payload: bytes, count: int) -> list[float]:
    """Latencies in seconds of all requests that `count` connections made in SECONDS."""
    connections = [Connection(port, ca, payload) for _ in range(count)]
    for connection in connections:
        connection.post()
    latencies: list[list[float]] = [[] for _ in connections]
    end = time.perf_counter() + SECONDS
    threads = [
        threading.Thread(target=connection.run, args=(end, own))
        for connection, own in zip(connections, latencies, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for own in latencies for value in own]


def handler_seconds(payload: bytes) -> float:
    """Parse, decide and answer one review, in this process: all that is our own work. The best of five rounds."""
    loaded = LoadedCatalog(CLUSTER, {NAMESPACE: namespace()}, "0" * 64)

    def answer() -> None:
        request = review.parse(payload)
        outcome = decide(request, loaded, SETTINGS)
        if not isinstance(outcome, Inject):
            raise TypeError(f"the pod was not injected: {outcome}")
        review.respond(request.uid, outcome)

    return min(timeit.repeat(answer, number=200, repeat=5)) / 200


def run() -> None:
    header(
        "pod",
        "connections",
        "requests/s",
        "to one connection",
        "p50 ms",
        "p99 ms",
        "handler's own ms",
        "its share",
    )
    with tempfile.TemporaryDirectory(prefix="podkeys-bench-") as name:
        folder = Path(name)
        certificate, key = tls.write_pair(folder)
        with webhook(write_catalog(folder), certificate, key, folder / "log") as hook:
            for size in (2_000, 50_000):
                payload = body(size)
                own = handler_seconds(payload)
                first = 0.0
                for count in CONNECTIONS:
                    latencies = load(hook.port, certificate, payload, count)
                    rate = len(latencies) / SECONDS
                    first = first or rate
                    row(
                        f"{len(payload) / 1000:.0f} KB",
                        count,
                        f"{rate:.0f}",
                        f"{rate / first:.2f}",
                        f"{percentile(latencies, 0.5) * 1000:.2f}",
                        f"{percentile(latencies, 0.99) * 1000:.2f}",
                        f"{own * 1000:.3f}",
                        f"{own * rate:.0%}",
                    )
    print(
        "\nServer and client share the machine; `its share` is the handler's own time in one second of the process."
    )
