"""gunicorn's worker, in which no thread waits for a peer that may never speak, and no connection ends the process."""

import errno
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from socket import SHUT_WR, socket
from threading import Thread
from typing import Any, Protocol

from gunicorn.arbiter import Arbiter
from gunicorn.workers import gthread

from webhook import logs
from webhook.connection import After, Connection
from webhook.exchange import Exchange
from webhook.incoming import LONG, Incoming
from webhook.refusal import LATE
from webhook.service import Service
from webhook.threads import Threads
from webhook.waiting import Rank, Waiting

RETRY_SECONDS = 0.02  # until a connection that could not be accepted is tried again
SWEEP_SECONDS = 0.1  # between two looks at the deadlines of all that wait
STOP_IDLE_SECONDS = 2.0  # for a request that may be on its way while the worker stops
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BROKEN = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)  # of a listener: all else is one connection's misfortune
FAILED = 1  # exit code of a worker that served and ended by a bug
EXCESS = 100  # connections above the limit, which hear that they are
MAX_HELD = 32 * 1024 * 1024  # bytes of all requests that have begun to come


class _App(Protocol):
    service: Service


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """As it comes, sixteen half-sent handshakes or requests stop it: each holds a thread.

    Here a connection stays in the poller until its peer has sent something, has taken an answer, or is out of time.
    `_end` alone ends connections and counts them out. Whatever goes wrong with one ends that one.
    """

    app: _App

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        super().__init__(*args, **named)
        self.most = self.worker_connections
        self.worker_connections += EXCESS  # where gunicorn stops to accept
        self.waiting: Waiting[Connection] = Waiting()
        self.held = 0
        self.next_sweep = 0.0

    def init_process(self) -> None:
        """What ends the worker is logged by type and place: gunicorn would print its text, in which a peer may speak."""
        try:
            super().init_process()
        except Exception as error:  # noqa: BLE001 - the process ends with it
            logs.event(logging.ERROR, "bug", logs.place(error))
            sys.exit(FAILED if self.booted else Arbiter.WORKER_BOOT_ERROR)

    def get_thread_pool(self) -> Threads[Connection]:
        self.exchange = Exchange(self.app.service, self.cfg, super().handle)
        return Threads(self.cfg.threads, self._step)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """An event of a connection that ended earlier in the same batch is stale, also when its number is in use again."""
        registered = self.poller.get_map()
        for key, _ in self.poller.select(timeout if self.alive else min(timeout, SWEEP_SECONDS)):
            if registered.get(key.fd) is key:
                self._dispatch(key)

    def _dispatch(self, key: SelectorKey) -> None:
        if isinstance(key.data, partial):
            self._alone(key.data.args[0], key.data, key.fileobj)
        else:
            key.data(key.fileobj)

    def _alone(self, conn: Connection, act: Callable[..., None], *args: object) -> None:
        """Whatever goes wrong with one connection ends that one, and not the worker."""
        try:
            act(*args)
        except OSError as error:  # its peer's doing, such as a reset
            logs.event(logging.DEBUG, "connection-failed", logs.place(error))
            self._end(conn)
        except Exception as error:  # noqa: BLE001 - a list of what may go wrong would be short of one
            logs.event(logging.ERROR, "bug", logs.place(error))
            self._end(conn)

    def accept(self, listener: socket) -> None:
        """Without room for one more, it waits in the kernel's queue; gunicorn would end, and all that it serves."""
        try:
            server = listener.getsockname()
            client, address = listener.accept()
        except OSError as error:
            if error.errno in BROKEN:
                raise
            if error.errno in EXHAUSTED and not self._make_room(Rank.IDLE):
                time.sleep(RETRY_SECONDS)
            return
        conn = Connection(self.cfg, client, address, server)
        conn.excess = self.nr_conns >= self.most and not self._make_room()
        self.nr_conns += 1
        self._alone(conn, self._wait, conn, Rank.SILENT, self.app.service.limits.handshake_seconds)

    def _make_room(self, below: int = len(Rank)) -> bool:
        """End one that waits, so that whoever only connects keeps the API server out of no more than a place."""
        conn = self.waiting.oldest(*(rank for rank in Rank if rank < below))
        if conn:
            self._count_slow(conn)
            self._end(conn)
        return conn is not None

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's own
        """Once stopped, refuse connections at once: left open, the kernel would take them and nobody answer."""
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            for listener in self.sockets:
                listener.close()

    def _wait(self, conn: Connection, rank: Rank, seconds: float) -> None:
        """Leave it to the poller. Time that it spends waiting for a thread of ours is not its peer's fault."""
        conn.timeout = time.monotonic() + seconds
        self.waiting.add(conn, rank)
        event = EVENT_WRITE if conn.unsent and not conn.lingering else EVENT_READ
        self.poller.register(conn.sock, event, partial(self._on_ready, conn))
        self._hold(conn, conn.incoming.held + conn.unsent)
        while self.held > MAX_HELD and (victim := self._holder()):
            self._count_slow(victim)
            self._end(victim)

    def _holder(self) -> Connection | None:
        """The oldest that waits with a long body; where there is none, with anything."""
        partial_ones = self.waiting.of(Rank.PARTIAL)
        return next((conn for conn in partial_ones if conn.held > LONG), next(iter(partial_ones), None))

    def _hold(self, conn: Connection, count: int) -> None:
        self.held += count - conn.held
        conn.held = count

    def _on_ready(self, conn: Connection, _sock: socket) -> None:
        rank = self._take(conn)
        conn.patience = conn.timeout - time.monotonic()
        if rank in (Rank.IDLE, Rank.UNASKED):
            self._submit_new(conn)
        elif conn.patience > 0:
            self._submit(conn)
        else:
            self._time_out(conn, rank)

    def _take(self, conn: Connection) -> Rank | None:
        """Out of the poller."""
        rank = self.waiting.discard(conn)
        if rank is not None:
            self.poller.unregister(conn.sock)
        return rank

    def _submit_new(self, conn: Connection) -> None:
        """Its request begins: where the first in the queue waits long already, it is refused without waiting."""
        limits = self.app.service.limits
        conn.patience = limits.request_seconds
        conn.refused = conn.excess or self.tpool.longest_wait() > limits.wait_seconds
        self._submit(conn)

    def _submit(self, conn: Connection) -> None:
        conn.queued_at = time.monotonic()
        short = conn.refused or conn.lingering or conn.unsent or not conn.initialized
        self.tpool.submit(conn, short=bool(short))

    def _step(self, conn: Connection) -> None:
        """In a thread."""
        try:
            after = self.exchange.step(conn)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread has others to serve
            logs.event(logging.ERROR, "bug", logs.place(error))
            after = After.END
        self.method_queue.defer(self._finish, conn, after)

    def _finish(self, conn: Connection, after: After) -> None:
        self._alone(conn, self._go_on, conn, after)

    def _go_on(self, conn: Connection, after: After) -> None:
        if after is After.WAIT:
            self._wait(conn, Rank.LINGERING if conn.lingering else Rank.PARTIAL, conn.patience)
        elif after is After.LINGER:
            self._linger(conn)
        elif after is After.END:
            self._end(conn)
        elif conn.incoming.held:  # the poller does not see what was read already
            conn.sock.settimeout(0)
            self._hold(conn, conn.incoming.held)
            self._submit_new(conn)
        else:
            conn.sock.settimeout(0)
            rank = Rank.IDLE if conn.asked else Rank.UNASKED
            self._wait(conn, rank, self.cfg.keepalive if self.alive else STOP_IDLE_SECONDS)

    def _linger(self, conn: Connection) -> None:
        """From here on the bytes that come are not even decrypted."""
        conn.sock.shutdown(SHUT_WR)
        conn.sock.settimeout(0)
        conn.lingering = True
        conn.incoming = Incoming()
        conn.patience = self.app.service.limits.request_seconds
        self._wait(conn, Rank.LINGERING, conn.patience)

    def _end(self, conn: Connection) -> None:
        """Whatever state it is in, and once."""
        if conn.ended:
            return
        conn.ended = True
        self.nr_conns -= 1
        self._hold(conn, 0)
        try:
            self._take(conn)
        except (OSError, KeyError, ValueError) as error:  # not in the poller
            logs.event(logging.DEBUG, "connection-failed", logs.place(error))
        conn.close()

    def _count_slow(self, conn: Connection) -> None:
        if conn.initialized and not conn.lingering:
            self.app.service.metrics.slow_peer()

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - gunicorn's own
        if force:
            for conn in self.waiting:
                self._end(conn)

    def murder_pending(self) -> None:
        """End all that are out of time."""
        now = time.monotonic()
        if now < self.next_sweep:
            return
        self.next_sweep = now + SWEEP_SECONDS
        for conn in self.waiting.expired(now):
            self._alone(conn, self._expire, conn)

    def _expire(self, conn: Connection) -> None:
        self._time_out(conn, self._take(conn))

    def _time_out(self, conn: Connection, rank: Rank | None) -> None:
        """Half a request is answered; for anything else there is nothing to say."""
        if rank is Rank.PARTIAL:
            self._count_slow(conn)
        if rank is not Rank.PARTIAL or not conn.partial:
            self._end(conn)
            return
        self.app.service.refuse(LATE)
        try:
            conn.sock.sendall(LATE.to_bytes(close=True))
            self._linger(conn)
        except OSError:  # it went away
            self._end(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in (*self.waiting.of(Rank.UNASKED), *self.waiting.of(Rank.IDLE)):
            conn.timeout = min(conn.timeout, deadline)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - gunicorn's own
        return bool(super()._keepalive_after(conn, keepalive and not conn.unread))

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: fail readiness first and go on serving, each answer closing its connection; then stop."""
        if self.app.service.draining:
            return
        self.app.service.draining = True
        self.max_keepalived = 0
        Thread(target=self._drain, args=(super().handle_exit, sig, frame), daemon=True).start()

    def _drain(self, stop: Callable[[int, object], None], sig: int, frame: object) -> None:
        """In a thread of its own, because a signal handler may not log."""
        seconds = self.app.service.limits.drain_seconds
        logs.event(logging.INFO, "draining", {"seconds": seconds})
        time.sleep(seconds)
        logs.event(logging.INFO, "stopping", {})
        stop(sig, frame)
