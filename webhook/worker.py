"""gunicorn's threaded worker, in which no thread waits for a peer that may never speak."""

import errno
import logging
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from selectors import EVENT_READ, EVENT_WRITE
from socket import socket
from typing import Any, Protocol

from gunicorn import http
from gunicorn.workers import gthread

from webhook import logs
from webhook.incoming import LONG, Incoming
from webhook.service import Service
from webhook.tls import RequestSocket

ANSWER_SECONDS = 2.0  # for a peer to take an answer
RETRY_SECONDS = 0.02  # until a connection that could not be accepted is tried again
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
LATER = object()  # a connection that waits for its peer, and needs no thread meanwhile
PART = (
    16 * 1024
)  # bytes of one read: all of a TLS record, so that nothing stays where the poller doesn't see it
MAX_HELD = 32 * 1024 * 1024  # bytes of all requests that have begun to come


class _App(Protocol):
    service: Service


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """As it comes, sixteen half-sent handshakes or requests stop it: each holds a thread.

    Here a connection stays in the poller until its handshake is done, and again until a whole request is there.
    Both must end by a deadline. A thread takes what has come, and never waits for more.
    """

    app: _App

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        super().__init__(*args, **named)
        self.held: dict[gthread.TConn, int] = {}  # bytes of requests that have begun, the oldest first
        self.long_one = threading.Lock()  # sixteen bodies of 3 MiB, copied and parsed at once, take 500 MB

    def accept(self, listener: socket) -> None:
        """Without room for one more, it waits in the kernel's queue; gunicorn would end, and all that it serves."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            time.sleep(RETRY_SECONDS)
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def _make_room(self) -> None:
        """End one that waits, so that whoever only connects keeps the API server out of no more than a place.

        First those that never asked, then half-sent ones, and only then what is kept alive; of each the oldest.
        """
        silent = (conn for conn in self.keepalived_conns if not conn.asked)
        half_sent = sorted(self.pending_conns, key=lambda conn: conn.timeout)
        for conn in chain(silent, half_sent, self.keepalived_conns):
            self._end(conn)
            return

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
        self.pending_conns.append(conn)
        unsent = len(conn.sock.unsent) if conn.initialized else 0
        event = EVENT_WRITE if unsent else EVENT_READ
        self.poller.register(conn.sock, event, partial(self.on_pending_socket_readable, conn))
        if conn.initialized:
            self.held[conn] = conn.incoming.held + unsent
            while sum(self.held.values()) > MAX_HELD:
                self._end(next(conn for conn in self.held if conn in self.pending_conns))

    def on_client_socket_readable(self, conn: gthread.TConn, client: socket) -> None:
        conn.patience = self.app.service.limits.request_seconds
        super().on_client_socket_readable(conn, client)

    def on_pending_socket_readable(self, conn: gthread.TConn, client: socket) -> None:
        conn.patience = conn.timeout - time.monotonic()
        super().on_pending_socket_readable(conn, client)

    def murder_pending(self) -> None:
        """End all whose patience is over; gunicorn looks no further than the first that has some left."""
        now = time.monotonic()
        for conn in [conn for conn in self.pending_conns if conn.timeout <= now]:
            self._end(conn)

    def _end(self, conn: gthread.TConn) -> None:
        if conn.initialized:
            self.app.service.metrics.slow_peer()
        self.held.pop(conn, None)
        (self.pending_conns if conn in self.pending_conns else self.keepalived_conns).remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def finish_request(self, conn: gthread.TConn, fs: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        error = None if fs.cancelled() else fs.exception()
        if error:
            logs.event(logging.ERROR, "bug", logs.place(error))
        result = False if fs.cancelled() or error else fs.result()
        if result is LATER:
            self._park(conn)
            return
        self.held.pop(conn, None)
        if (
            not result
        ):  # gunicorn would wait here for the peer to close first, up to 2 s, and all others with it
            self.nr_conns -= 1
            conn.close()
        elif conn.incoming.held:  # the poller does not see what was read already
            conn.sock.settimeout(0)
            conn.patience = self.app.service.limits.request_seconds
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def handle(self, conn: gthread.TConn) -> object:
        """In a thread: one step of a handshake, of a request's coming or of an answer's going, or one request."""
        self.app.service.queue.popleft()
        step = self._shake_hands
        if conn.initialized:
            step = self._send if conn.sock.unsent else self._receive
        try:
            return step(conn)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return LATER
        except OSError as error:
            logs.event(logging.DEBUG, "connection-failed", logs.place(error))
            return False

    def _shake_hands(self, conn: gthread.TConn) -> object:
        """True when done: the connection then idles until its first request, as one that is kept alive."""
        if not isinstance(conn.sock, RequestSocket):
            conn.patience = self.app.service.limits.handshake_seconds
            context = self.app.service.certificate.value.context
            conn.sock = context.wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
        conn.sock.do_handshake()
        conn.initialized, conn.asked, conn.incoming = True, False, Incoming()
        conn.parser = http.get_parser(self.cfg, (), conn.client)
        return True

    def _receive(self, conn: gthread.TConn) -> object:
        """Whether the connection is of further use, once a request came and was answered."""
        incoming: Incoming = conn.incoming
        while not incoming.whole:
            part = conn.sock.recv(PART)
            if not part:
                return False
            incoming.feed(part)
        conn.asked = True
        if incoming.held <= LONG:
            return self._answer(conn)
        if not self.long_one.acquire(blocking=False):  # to wait would take a thread from the others
            incoming.drop_body()
            return self._answer(conn)
        try:
            return self._answer(conn)
        finally:
            self.long_one.release()

    def _answer(self, conn: gthread.TConn) -> object:
        incoming: Incoming = conn.incoming
        request, conn.incoming = incoming.take()
        conn.endless = incoming.endless
        # reads this, and never the connection; in parts, because it copies all that it is given at once four times
        parts = (request[start : start + PART] for start in range(0, len(request), PART))
        conn.parser = http.get_parser(self.cfg, parts, conn.client)
        conn.further = super().handle(conn)
        conn.patience = ANSWER_SECONDS
        return self._send(conn)

    def _send(self, conn: gthread.TConn) -> object:
        """Whether the connection is of further use, once the last of an answer was taken."""
        conn.sock.flush()
        return conn.further

    def _keepalive_after(self, conn: gthread.TConn, keepalive: bool) -> bool:  # noqa: FBT001 - gunicorn's own
        return bool(super()._keepalive_after(conn, keepalive and not conn.endless))

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
