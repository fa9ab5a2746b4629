"""What the threads of the serving process share: the catalog and its watch, metrics, readiness."""

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication

from webhook import logs, probes
from webhook.app import Admission, create
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.kept import Kept, State
from webhook.metrics import Condition, Metrics
from webhook.refusal import Refusal
from webhook.tls import Serving

# Two files. Not looked at when a connection comes: the first one in hours would get an old certificate if just then they can't be read.
CERTIFICATE_SECONDS = 1
LOG_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """`request_seconds` is for all of a request's bytes to arrive.

    `wait_seconds` may the first of those that wait for a thread have waited when one more joins them; it is refused
    otherwise. After `useful_seconds` nobody waits for an answer any more: the API server's own timeout is 10 s.
    `drain_seconds` go by between failing readiness and refusing connections: so long, callers may still come.
    """

    threads: int = 16
    handshake_seconds: float = 3
    request_seconds: float = 5
    drain_seconds: float = 5
    poll_seconds: float = 5
    wait_seconds: float = 1
    useful_seconds: float = 8


class Refusals:
    """Counts each, and logs no more than one line a second of a kind: to refuse must be cheap."""

    def __init__(self, counters: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._clock = counters, clock
        self._lock = threading.Lock()
        self._logged: dict[Refusal, float] = {}
        self._unlogged: Counter[Refusal] = Counter()

    def note(self, refusal: Refusal) -> None:
        self._metrics.refused(refusal.status.value)
        with self._lock:
            self._unlogged[refusal] += 1
            now = self._clock()
            if now - self._logged.get(refusal, -LOG_SECONDS) < LOG_SECONDS:
                return
            self._logged[refusal] = now
            count = self._unlogged.pop(refusal)
        fields = {"status": refusal.status.value, "message": refusal.message, "count": count}
        logs.event(logging.WARNING, "refused", fields)


class Service:
    """What the worker's threads share. Made before the worker's process is forked; `start` runs inside it."""

    def __init__(
        self,
        settings: OperatorSettings,
        catalog: Kept[LoadedCatalog | None],
        certificate: Kept[Serving],
        limits: Limits,
    ) -> None:
        self.settings, self.catalog, self.certificate, self.limits = settings, catalog, certificate, limits
        self.metrics = Metrics()
        self.refusals = Refusals(self.metrics)
        self.draining = False

    def why_not_ready(self) -> str:
        if self.draining:
            return "draining: this process was told to end"
        return "" if self.catalog.value else f"no catalog: {self.catalog.state.error}"

    def refuse(self, refusal: Refusal) -> None:
        """Count and log an answer without a review."""
        self.refusals.note(refusal)

    def start(self, listener: socket.socket) -> WSGIApplication:
        """Read the files, begin to watch them, answer on the metrics port; the application to serve."""
        for kept, seconds in (
            (self.catalog, self.limits.poll_seconds),
            (self.certificate, CERTIFICATE_SECONDS),
        ):
            self._recall(kept)
            kept.refresh()
            threading.Thread(target=self._watch, args=(kept, seconds), daemon=True).start()
        ready = Condition(self.catalog, self.certificate, lambda: not self.why_not_ready())
        self.metrics.registry.register(ready)
        probes.start(listener, self.metrics.registry, self.why_not_ready)
        return create(Admission(lambda: self.catalog.value, self.settings, self.metrics))

    def _recall(self, kept: Kept[LoadedCatalog | None] | Kept[Serving]) -> None:
        """What the worker before this one had: files that are wrong by now must not take it away."""
        try:
            kept.recall()
        except Exception as error:  # noqa: BLE001 - then the files alone count
            logs.event(logging.ERROR, "bug", logs.place(error))

    def _watch(self, kept: Kept[LoadedCatalog | None] | Kept[Serving], seconds: float) -> None:
        while not self.draining:
            time.sleep(seconds)
            try:
                kept.refresh()
            except Exception as error:  # noqa: BLE001 - the thread must live; metrics tell as well
                logs.event(logging.ERROR, "bug", logs.place(error))


def catalog_changed(state: State[LoadedCatalog | None]) -> None:
    _note("catalog", state, _summary(state.value) if state.value else {})


def certificate_changed(state: State[Serving]) -> None:
    _note("certificate", state, {})


def _note(name: str, state: State[Any], loaded: dict[str, str | int]) -> None:
    if state.error:
        so = f"the last good {name} is kept" if state.value else "not ready"
        logs.event(logging.ERROR, f"{name}-refused", {"message": state.error, "so": so})
    else:
        logs.event(logging.INFO, f"{name}-loaded", loaded)


def _summary(found: LoadedCatalog) -> dict[str, str | int]:
    return {
        "cluster": found.cluster.name,
        "digest": found.digest,
        "namespaces": len(found.namespaces),
        "roles": sum(len(item.roles) for item in found.namespaces.values()),
    }
