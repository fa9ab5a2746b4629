"""Prometheus metrics, liveness and readiness, on a port of their own, from a thread of the serving process.

Labels come from closed sets only: outcomes, reason codes, status codes; nothing that a caller can choose.
"""

import io
import platform
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from policies.catalog import cluster_json, digest, to_bytes
from webhook.config import LoadedCatalog
from webhook.kept import Kept
from webhook.tls import Serving

BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
)  # seconds
MAX_PEERS = 32  # at a time; one more ends the oldest, so that whoever says nothing keeps no prober out
PEER_SECONDS = 5.0  # for a scraper or a prober to send its few bytes and read the answer
MAX_HEAD = 16 * 1024  # bytes of what one peer may say; the library alone would keep 6 MiB of headers


class Metrics:
    """What requests count. One registry a process, so that tests share nothing."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("podkeys_build", "This release.", registry=self.registry).info(
            {"version": version("podkeys"), "python": platform.python_version()}
        )
        self._admissions = Counter(
            "podkeys_admissions",
            "Admission reviews answered, by outcome (injected, skipped, denied) and reason code.",
            ("outcome", "reason"),
            registry=self.registry,
        )
        self._workloads = Counter(
            "podkeys_workload_reviews",
            "Workloads looked at, by what their pods have to expect (injected, skipped, denied) and reason code.",
            ("pods", "reason"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "podkeys_admission_duration_seconds",
            "From a review's last byte to its finished answer: the decision alone, without TLS and HTTP.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._refused = Counter(
            "podkeys_http_refused",
            "Requests answered without a review, by HTTP status.",
            ("status",),
            registry=self.registry,
        )
        self._slow = Counter(
            "podkeys_slow_peers",
            "Connections ended: a request not sent or an answer not taken in time, or too many or too big ones waited.",
            registry=self.registry,
        )

    def admission(self, outcome: str, reason: str, seconds: float) -> None:
        self._admissions.labels(outcome, reason).inc()
        self._duration.observe(seconds)

    def workload(self, pods: str, reason: str) -> None:
        self._workloads.labels(pods, reason).inc()

    def refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()

    def slow_peer(self) -> None:
        self._slow.inc()


class Condition(Collector):
    """Gauges that are read when they are asked for, so that they can't go stale."""

    def __init__(
        self, catalog: Kept[LoadedCatalog | None], certificate: Kept[Serving], ready: Callable[[], bool]
    ) -> None:
        self._catalog, self._certificate, self._ready = catalog, certificate, ready

    def collect(self) -> Iterator[Metric]:
        state = self._catalog.state
        if state.value:
            yield _served(state.value)
        certificate = self._certificate.state
        roles = sum(len(item.roles) for item in state.value.namespaces.values()) if state.value else 0
        for name, text, value in (
            ("podkeys_ready", "1 while pods should be sent here.", self._ready()),
            (
                "podkeys_catalog_last_attempt_ok",
                "1 when the files on disk are the catalog that is served.",
                not state.error,
            ),
            (
                "podkeys_catalog_last_success_timestamp_seconds",
                "When the files were last found to be the catalog that is served.",
                state.succeeded_at,
            ),
            (
                "podkeys_catalog_loaded_timestamp_seconds",
                "When the catalog that is served was read.",
                state.loaded_at,
            ),
            ("podkeys_catalog_roles", "Service roles in the catalog, once for each namespace.", roles),
            (
                "podkeys_serving_certificate_remaining_seconds",
                "Until the serving certificate ends; negative afterwards.",
                certificate.value.not_after - time.time(),
            ),
            (
                "podkeys_serving_certificate_last_attempt_ok",
                "1 when the files on disk are the certificate that is served.",
                not certificate.error,
            ),
        ):
            yield GaugeMetricFamily(name, text, value)


def _served(found: LoadedCatalog) -> Metric:
    """The same on all replicas that serve the same; the cluster file has no place in the manifest."""
    value = {"digest": found.digest, "cluster_file": digest(to_bytes(cluster_json(found.cluster)))}
    return InfoMetricFamily(
        "podkeys_catalog",
        "The catalog that is served, by its manifest's digest, as pods' status has it.",
        value,
    )


@dataclass(frozen=True, slots=True)
class Page:
    status: HTTPStatus
    text: bytes
    content_type: str = "text/plain; charset=utf-8"


def page(path: str, registry: CollectorRegistry, why_not_ready: Callable[[], str]) -> Page:
    """The answer for a path: /healthz, /readyz (503 with the reason) or /metrics."""
    if path == "/healthz":
        return Page(HTTPStatus.OK, b"ok\n")
    if path == "/readyz":
        reason = why_not_ready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return Page(status, f"{reason or 'ok'}\n".encode())
    if path == "/metrics":
        return Page(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
    return Page(HTTPStatus.NOT_FOUND, b"expected /healthz, /readyz or /metrics\n")


class _Head(socket.SocketIO):
    """What a peer says, as if it ended after MAX_HEAD bytes."""

    def __init__(self, peer: socket.socket) -> None:
        super().__init__(peer, "r")
        self._left = MAX_HEAD

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - the library's own
        count = super().readinto(memoryview(buffer)[: self._left])
        self._left -= count or 0
        return count


class _Server(ThreadingHTTPServer):
    """On a bound socket, with a thread for each of at most MAX_PEERS connections."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._peers: deque[socket.socket] = deque()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's own
        with self._lock:
            self._peers.append(request)
            if len(self._peers) > MAX_PEERS:
                with suppress(OSError):  # its thread is ending it
                    self._peers.popleft().shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the library's own
        with self._lock, suppress(ValueError):
            self._peers.remove(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """A prober that went away is no news, and a traceback is no JSON."""


def start(
    listener: socket.socket, registry: CollectorRegistry, why_not_ready: Callable[[], str]
) -> ThreadingHTTPServer:
    """Answer on a bound socket, from daemon threads, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PEER_SECONDS

        def setup(self) -> None:
            super().setup()
            self.rfile.close()
            self.rfile = io.BufferedReader(_Head(self.connection))

        def do_GET(self) -> None:
            answer = page(self.path.partition("?")[0], registry, why_not_ready)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.text)))
            self.end_headers()
            self.wfile.write(answer.text)

        def log_message(self, *_: object) -> None:
            """Probes every few seconds are no news."""

    server = _Server(listener, Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
