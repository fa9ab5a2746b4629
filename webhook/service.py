"""What the threads of the serving process share: the catalog and its watch, metrics, readiness."""

import logging
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from wsgiref.types import WSGIApplication

from webhook import logs, metrics
from webhook.app import Admission, create
from webhook.config import OperatorSettings
from webhook.metrics import Condition, Metrics
from webhook.store import State, Store
from webhook.tls import Contexts


@dataclass(frozen=True, slots=True)
class Limits:
    """`request_seconds` is for all of a request's bytes to arrive; `waiting` counts requests without a thread.

    `drain_seconds` go by between failing readiness and refusing connections: so long, callers may still come.
    """

    threads: int = 16
    handshake_seconds: float = 3
    request_seconds: float = 5
    drain_seconds: float = 5
    poll_seconds: float = 5
    waiting: int = 512


class Service:
    """What the worker's threads share. Made before the worker's process is forked; `start` runs inside it."""

    def __init__(self, settings: OperatorSettings, store: Store, contexts: Contexts, limits: Limits) -> None:
        self.settings, self.store, self.contexts, self.limits = settings, store, contexts, limits
        self.metrics = Metrics()
        self.queue: deque[None] = deque()  # one item a connection that waits for a thread
        self.draining = False

    def why_not_ready(self) -> str:
        if self.draining:
            return "draining: this process was told to end"
        return "" if self.store.catalog else f"no catalog: {self.store.state.error}"

    def busy(self) -> bool:
        return len(self.queue) > self.limits.waiting

    def start(self, listener: socket.socket) -> WSGIApplication:
        """Read the catalog, begin to watch it, answer on the metrics port; the application to serve."""
        self.watch_once()
        threading.Thread(target=self._watch, name="catalog", daemon=True).start()
        ready = Condition(self.store, self.contexts, lambda: not self.why_not_ready())
        self.metrics.registry.register(ready)
        metrics.start(listener, self.metrics.registry, self.why_not_ready)
        return create(Admission(lambda: self.store.catalog, self.settings, self.metrics, self.busy))

    def _watch(self) -> None:
        while not self.draining:
            time.sleep(self.limits.poll_seconds)
            try:
                self.watch_once()
            except Exception as error:  # noqa: BLE001 - the thread must live; the age of the catalog tells as well
                logs.event(logging.ERROR, "bug", logs.place(error))

    def watch_once(self) -> None:
        before = self.store.state
        after = self.store.refresh()
        if after.error and after.error != before.error:
            kept = "the last good catalog is kept" if after.catalog else "not ready"
            logs.event(logging.ERROR, "catalog-refused", {"message": after.error, "so": kept})
        elif after.loaded_at != before.loaded_at or (before.error and not after.error):
            logs.event(logging.INFO, "catalog-loaded", _summary(after))


def _summary(state: State) -> dict[str, str | int]:
    if not state.catalog:
        return {}
    found = state.catalog
    roles = sum(len(item.roles) for item in found.namespaces.values())
    return {
        "cluster": found.cluster.name,
        "digest": found.digest,
        "namespaces": len(found.namespaces),
        "roles": roles,
    }
