"""What a thread does for a connection: one step of a handshake, of a request's coming or of an answer's going.

No step waits for the peer: where it has to act first, the connection goes back to the poller.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn import http

from webhook import logs
from webhook.connection import After, Connection
from webhook.incoming import LONG
from webhook.refusal import LONG_HEAD, OVERLOADED, Refusal
from webhook.service import Service
from webhook.tls import (
    RECORD as PART,  # of one read: all of a record, so that the poller sees whatever is left
)
from webhook.tls import RequestSocket

ANSWER_SECONDS = 2.0  # for a peer to take an answer
MAX_LINGER = 64 * 1024 * 1024  # bytes that a peer may send after its last answer
LINGER_PART = 64 * 1024
LINGER_PARTS = 16  # of one step


class Exchange:
    def __init__(self, service: Service, cfg: Any, respond: Callable[[Connection], object]) -> None:  # noqa: ANN401 - gunicorn publishes no types
        """`respond` reads one request from the connection's parser and answers it, as gunicorn does."""
        self._service, self._cfg, self._respond = service, cfg, respond
        self._long_one = threading.Lock()  # sixteen bodies of 3 MiB, copied and parsed at once, take 500 MB

    def step(self, conn: Connection) -> After:
        try:
            return self._step(conn)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return After.WAIT
        except OSError as error:
            logs.event(logging.DEBUG, "connection-failed", logs.place(error))
            return After.END

    def _step(self, conn: Connection) -> After:
        if conn.lingering:
            return self._discard(conn)
        if not conn.initialized:
            return self._shake_hands(conn)
        return self._send(conn) if conn.unsent else self._receive(conn)

    def _shake_hands(self, conn: Connection) -> After:
        """When it is done, the connection idles until its first request, as one that is kept alive."""
        if not isinstance(conn.sock, RequestSocket):
            context = self._service.certificate.value.context
            conn.sock = context.wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
        conn.sock.do_handshake()
        conn.initialized = True
        conn.parser = http.get_parser(self._cfg, (), conn.client)
        return After.KEEP_ALIVE

    def _receive(self, conn: Connection) -> After:
        incoming = conn.incoming
        while not incoming.whole:
            part = conn.sock.recv(PART)
            if not part:
                return After.END
            incoming.feed(part)
        conn.asked = True
        if incoming.long_head:
            return self._refuse(conn, LONG_HEAD)
        late = time.monotonic() - conn.queued_at > self._service.limits.useful_seconds
        if conn.refused or late:
            return self._refuse(conn, OVERLOADED)
        if incoming.held <= LONG:
            return self._answer(conn)
        if not self._long_one.acquire(blocking=False):  # to wait would take a thread from the others
            incoming.drop_body()
            return self._answer(conn)
        try:
            return self._answer(conn)
        finally:
            self._long_one.release()

    def _refuse(self, conn: Connection, refusal: Refusal) -> After:
        conn.unread = conn.incoming.endless
        conn.further = not (conn.unread or conn.excess or self._service.draining)
        _, conn.incoming = conn.incoming.take()
        self._service.refuse(refusal)
        conn.sock.sendall(refusal.to_bytes(close=not conn.further))
        conn.patience = ANSWER_SECONDS
        return self._send(conn)

    def _answer(self, conn: Connection) -> After:
        conn.unread = conn.incoming.endless
        request, conn.incoming = conn.incoming.take()
        # reads this, and never the connection; in parts, because it copies all that it is given at once four times
        parts = (request[start : start + PART] for start in range(0, len(request), PART))
        conn.parser = http.get_parser(self._cfg, parts, conn.client)
        conn.further = bool(self._respond(conn))
        conn.patience = ANSWER_SECONDS
        return self._send(conn)

    def _send(self, conn: Connection) -> After:
        conn.sock.flush()
        if conn.further:
            return After.KEEP_ALIVE
        return After.LINGER if conn.unread else After.END

    def _discard(self, conn: Connection) -> After:
        """What comes after the last answer: a reset, which an early end would be, could overtake the answer."""
        for _ in range(LINGER_PARTS):
            part = conn.sock.recv(LINGER_PART)
            conn.discarded += len(part)
            if not part or conn.discarded > MAX_LINGER:
                return After.END
        return After.WAIT
