"""Prometheus metrics, liveness and readiness: what is counted, and the page for each path.

Labels come from closed sets only: outcomes, reason codes, status codes; nothing that a caller can choose.
"""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version

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
