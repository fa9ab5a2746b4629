"""gunicorn, embedded: one worker process with threads, its settings, and a clean end.

Settings that look usual but lose admissions are absent on purpose: a limit of requests a worker, and reloading by
SIGHUP. The API server does not repeat a POST after a reset, so no idle connection is closed before its own 90 s.
"""

import errno
import logging
import os
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn import glogging, http
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers import gthread

from webhook import logs, metrics
from webhook.app import Admission, create
from webhook.config import OperatorSettings
from webhook.metrics import Condition, Metrics
from webhook.store import State, Store
from webhook.tls import Contexts, RequestSocket

KEEPALIVE_SECONDS = 120  # the API server drops its idle connections after 90 s; it must be the first
STOP_SECONDS = 25  # for what is in flight, within the 30 s that a pod has by default
RETRY_SECONDS = 0.02  # until a connection that could not be accepted is tried again
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
LATER = object()  # a connection that waits for its peer, and needs no thread meanwhile
IGNORED_SIGNALS = (
    signal.SIGHUP,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)  # reload, re-execute, resize


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


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets: bound before anything else starts, so that a taken port is a plain error message."""

    admission: socket.socket
    metrics: socket.socket


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


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's threaded worker, in which no thread waits for a peer that may never speak.

    As it comes, sixteen half-sent handshakes stop it: each holds a thread. Here a new connection stays in the
    poller until its handshake is done, and a request that has begun must end by a deadline.
    """

    app: "Server"

    def accept(self, listener: socket.socket) -> None:
        """Without room for one more, it waits in the kernel's queue; gunicorn would end, and all that it serves."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            time.sleep(RETRY_SECONDS)

    def enqueue_req(self, conn: gthread.TConn) -> None:
        self.app.service.queue.append(None)
        super().enqueue_req(conn)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's own
        """Once stopped, refuse connections at once: left open, the kernel would take them and nobody answer."""
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            for listener in self.sockets:
                listener.close()

    def _park(self, conn: gthread.TConn) -> None:
        """Wait for the peer, as long as its patience lasts; time spent waiting for a thread of ours is not its fault."""
        conn.timeout = time.monotonic() + conn.patience
        conn.sock.settimeout(0)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: gthread.TConn, client: socket.socket) -> None:
        conn.patience = conn.timeout - time.monotonic()
        super().on_pending_socket_readable(conn, client)

    def finish_request(self, conn: gthread.TConn, fs: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        result = False if fs.cancelled() or fs.exception() else fs.result()
        if result is LATER:
            self._park(conn)
        elif result:
            super().finish_request(conn, fs)
        else:  # gunicorn would wait here for the peer to close first, up to 2 s, and all others with it
            self.nr_conns -= 1
            conn.close()

    def handle(self, conn: gthread.TConn) -> object:
        """In a thread: one step of a handshake, or one request."""
        service = self.app.service
        service.queue.popleft()
        if not conn.initialized:
            return self._shake_hands(conn)
        conn.sock.expect(service.limits.request_seconds, service.metrics.slow_peer)
        return super().handle(conn)

    def _shake_hands(self, conn: gthread.TConn) -> object:
        """True when done: the connection then idles until its first request, as one that is kept alive."""
        try:
            if not isinstance(conn.sock, RequestSocket):
                conn.patience = self.app.service.limits.handshake_seconds
                context = self.app.service.contexts.current()
                conn.sock = context.wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
            conn.sock.do_handshake()
        except ssl.SSLWantReadError:
            return LATER
        except OSError as error:
            logs.event(logging.DEBUG, "handshake-failed", logs.place(error))
            return False
        conn.initialized = True
        conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        return True

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: fail readiness first and go on serving, each answer closing its connection; then stop."""
        if self.app.service.draining:
            return
        self.app.service.draining = True
        self.max_keepalived = 0
        threading.Thread(target=self._drain, args=(super().handle_exit, sig, frame), daemon=True).start()

    def _drain(self, stop: Callable[[int, object], None], sig: int, frame: object) -> None:
        """In a thread of its own, because a signal handler may not log."""
        seconds = self.app.service.limits.drain_seconds
        logs.event(logging.INFO, "draining", {"seconds": seconds})
        time.sleep(seconds)
        logs.event(logging.INFO, "stopping", {})
        stop(sig, frame)


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's own messages, through the process's handlers: JSON lines as all others."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        super().setup(cfg)
        self.error_log.propagate = True

    def warning(self, msg: str, *values: object, **named: Any) -> None:  # noqa: ANN401 - logging's own
        """A refused request by its sender alone: gunicorn would add the line, and a broken header may be a token."""
        sender, _, _ = msg.partition(": ")
        super().warning(sender if msg.startswith("Invalid request from") else msg, *values, **named)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn publishes no types
    def __init__(self, service: Service, listeners: Listeners, options: dict[str, Any]) -> None:
        self.service, self._listeners, self._options = service, listeners, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """In the worker's process: threads don't survive the fork."""
        return self.service.start(self._listeners.metrics)


def options(listener: socket.socket, limits: Limits, level: str) -> dict[str, Any]:
    """What gunicorn is told, whatever the environment says. It owns the listener from here on."""
    return {
        "bind": f"fd://{listener.detach()}",
        "workers": 1,
        "worker_class": Worker,
        "threads": limits.threads,
        "keepalive": KEEPALIVE_SECONDS,
        "max_requests": 0,
        "graceful_timeout": STOP_SECONDS,
        "worker_tmp_dir": _memory_folder(),
        "control_socket_disable": True,
        "proc_name": "podkeys-webhook",
        "logger_class": Logger,
        "loglevel": level if level in ("debug", "error") else "warning",  # our own lines say the rest
        "errorlog": None,
        "accesslog": None,
        "forwarded_allow_ips": "",
        "when_ready": _ignore_signals,
    }


def _memory_folder() -> str:
    """Where the worker's heartbeat file lives: in memory, also because the root may be read-only."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - not shared by name


def _ignore_signals(arbiter: object) -> None:
    del arbiter
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def run(service: Service, listeners: Listeners, level: str) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process by SystemExit, 0 after a clean stop."""
    Arbiter(Server(service, listeners, options(listeners.admission, service.limits, level))).run()
