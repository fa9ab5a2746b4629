"""The metrics port: one thread that waits for no peer, so that no number of silent ones delays a probe."""

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector, SelectorKey

from prometheus_client import CollectorRegistry

from webhook import logs
from webhook.metrics import Page, page
from webhook.refusal import LONG_HEAD, Refusal
from webhook.waiting import Rank, Waiting

MAX_PEERS = 128  # at a time; one more ends the oldest of those that have sent least
PEER_SECONDS = 5.0  # for a scraper or a prober to send its few bytes and read the answer
MAX_HEAD = 16 * 1024  # bytes of what one peer may say
LONG = Refusal(LONG_HEAD.status, f"got a longer request head, expected at most {MAX_HEAD} bytes")
ACCEPTS = 16  # between two looks at those that were accepted
RETRY_SECONDS = 0.02  # until a connection that could not be accepted is tried again
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ENDS = (b"\r\n\r\n", b"\n\n")


def response(head: bytes, answer: Callable[[str], Page]) -> bytes | None:
    """The answer to a request, of which the first line alone counts; None while its end has not come."""
    if len(head) > MAX_HEAD:
        return LONG.to_bytes(close=True)
    if not any(end in head for end in _ENDS):
        return None
    target = head.partition(b"\n")[0].decode("latin-1").split(" ")
    found = answer(target[1].partition("?")[0].strip() if len(target) > 1 else "")
    fields = (
        f"HTTP/1.1 {found.status.value} {found.status.phrase}",
        f"Content-Type: {found.content_type}",
        f"Content-Length: {len(found.text)}",
        "Connection: close",
    )
    return "\r\n".join([*fields, "", ""]).encode() + (b"" if target[0] == "HEAD" else found.text)


class Peer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.timeout = sock, time.monotonic() + PEER_SECONDS
        self.head, self.unsent = b"", b""


class Probes:
    """Answers on a bound socket until it is stopped."""

    def __init__(self, listener: socket.socket, answer: Callable[[str], Page]) -> None:
        self._listener, self._answer = listener, answer
        self._peers: Waiting[Peer] = Waiting()
        self._selector = DefaultSelector()
        self._stopped, self._waker = socket.socketpair()
        listener.settimeout(0)
        self._selector.register(listener, EVENT_READ)
        self._selector.register(self._stopped, EVENT_READ)
        self.thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self._waker.close()
        self.thread.join()

    def _run(self) -> None:
        while self._turn():
            for peer in self._peers.expired(time.monotonic()):
                self._end(peer)
        for peer in self._peers:
            self._end(peer)
        self._selector.close()
        self._stopped.close()

    def _turn(self) -> bool:
        """Whether it goes on. An event of a peer that ended earlier in the same batch is stale."""
        registered = self._selector.get_map()
        for key, _ in self._selector.select(1.0):
            if key.fileobj is self._stopped:
                return False
            if registered.get(key.fd) is key:
                self._dispatch(key)
        return True

    def _dispatch(self, key: SelectorKey) -> None:
        peer = key.data.args[0] if key.data else None
        try:
            (key.data or self._accept)()
        except Exception as error:  # noqa: BLE001 - the thread must live
            level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
            logs.event(level, "probe-failed", logs.place(error))
            if peer:
                self._end(peer)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    time.sleep(RETRY_SECONDS)
                raise
            self._make_room()
            sock.settimeout(0)
            self._wait(Peer(sock), Rank.SILENT)

    def _make_room(self) -> None:
        if len(self._peers) >= MAX_PEERS and (peer := self._peers.oldest(*Rank)):
            self._end(peer)

    def _wait(self, peer: Peer, rank: Rank) -> None:
        self._peers.add(peer, rank)
        act = self._write if peer.unsent else self._read
        self._selector.register(peer.sock, EVENT_WRITE if peer.unsent else EVENT_READ, partial(act, peer))

    def _take(self, peer: Peer) -> None:
        if self._peers.discard(peer) is not None:
            self._selector.unregister(peer.sock)

    def _read(self, peer: Peer) -> None:
        part = peer.sock.recv(MAX_HEAD + 1)
        self._take(peer)
        peer.head += part
        answer = response(peer.head, self._answer) if part else b""
        if answer is None:
            self._wait(peer, Rank.PARTIAL)
            return
        peer.unsent = answer
        self._write(peer)

    def _write(self, peer: Peer) -> None:
        self._take(peer)
        with suppress(BlockingIOError):
            peer.unsent = peer.unsent[peer.sock.send(peer.unsent) :] if peer.unsent else b""
        if peer.unsent:
            self._wait(peer, Rank.IDLE)
        else:
            self._end(peer)

    def _end(self, peer: Peer) -> None:
        self._take(peer)
        peer.sock.close()


def start(listener: socket.socket, registry: CollectorRegistry, why_not_ready: Callable[[], str]) -> Probes:
    """Answer on a bound socket, from a thread, until the process ends."""
    return Probes(listener, lambda path: page(path, registry, why_not_ready))
