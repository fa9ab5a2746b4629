"""The webhook against floods: plain connects, twice the load that it bears, long bodies without pause.

Every figure is a count, a ratio within this run, or a peak of memory: none depends on how quick the machine is.
"""

import contextlib
import re
import socket
import ssl
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from bench.table import header, percentile, row, spread
from bench.webhook import Connection, body, write_catalog
from demo import tls
from demo.programs import Webhook, webhook
from webhook.incoming import MAX_BODY

CONNECTIONS = 700
BEST = 32  # reviews under way that bring the most good answers
SECONDS = 4.0
ROUNDS = 5
CONNECTS = 820  # more than the worker takes
REVIEWS = 2_000
LONG_SECONDS = 120.0
LONG_PEERS = 24
TOLERATION = b'{"key":{}},'
HEAD = (
    "POST /mutate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


@dataclass
class Tally:
    """What became of the reviews that were sent. `seconds` are the latencies of the good answers."""

    sent: int = 0
    good: int = 0
    refused: int = 0
    lost: int = 0
    seconds: list[float] = field(default_factory=list)


class Client:
    """Many keep-alive connections in one thread, each with at most one review under way."""

    def __init__(self, port: int, ca: Path, count: int) -> None:
        self._port, self._context = port, ssl.create_default_context(cafile=str(ca))
        payload = body(2_000)
        self._request = HEAD.format(len(payload)).encode() + payload
        self._selector = DefaultSelector()
        self._idle: deque[ssl.SSLSocket] = deque(self._connect() for _ in range(count))
        self._sent_at: dict[ssl.SSLSocket, float] = {}

    def _connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = self._context.wrap_socket(raw, server_hostname="127.0.0.1")
        peer.settimeout(0)
        self._selector.register(peer, EVENT_READ)
        return peer

    def offer(self, rate: float, seconds: float, most: int = CONNECTIONS) -> Tally:
        """Send `rate` reviews a second, with `most` under way; at rate 0 as many as are answered."""
        tally, start = Tally(), time.perf_counter()
        skipped = 0
        while (now := time.perf_counter() - start) < seconds:
            due = int(rate * now) - tally.sent - skipped if rate else most - len(self._sent_at)
            for _ in range(min(due, len(self._idle))):
                self._send(tally)
                due -= 1
            skipped += max(0, due) if rate else 0
            self._read(tally, 0.002)
        while self._sent_at and time.perf_counter() - start < seconds + 15:
            self._read(tally, 0.1)
        tally.lost += len(self._sent_at)
        return tally

    def _send(self, tally: Tally) -> None:
        peer = self._idle.popleft()
        peer.settimeout(10)
        peer.sendall(self._request)
        peer.settimeout(0)
        self._sent_at[peer] = time.perf_counter()
        tally.sent += 1

    def _read(self, tally: Tally, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            peer = key.fileobj
            assert isinstance(peer, ssl.SSLSocket)
            try:
                answer = peer.recv(65536)
                while answer and not _whole(answer):
                    peer.settimeout(10)
                    answer += peer.recv(65536)
                peer.settimeout(0)
            except ssl.SSLWantReadError:
                continue
            except OSError:
                answer = b""
            self._count(peer, answer, tally)

    def _count(self, peer: ssl.SSLSocket, answer: bytes, tally: Tally) -> None:
        began = self._sent_at.pop(peer, None)
        if began is None or not answer:
            tally.lost += began is not None
        elif answer.startswith(b"HTTP/1.1 200"):
            tally.good += 1
            tally.seconds.append(time.perf_counter() - began)
        else:
            tally.refused += 1
        if answer and b"onnection: close" not in answer:
            self._idle.append(peer)
            return
        self._selector.unregister(peer)
        peer.close()
        with contextlib.suppress(OSError):
            self._idle.append(self._connect())

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, ssl.SSLSocket)
            key.fileobj.close()
        self._selector.close()


def _whole(answer: bytes) -> bool:
    head, end, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return bool(end) and len(content) >= (int(length[1]) if length else 0)


def worker(hook: Webhook) -> int:
    return int(Path(f"/proc/{hook.pid}/task/{hook.pid}/children").read_text().split()[0])


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def goodput(hook: Webhook, certificate: Path) -> None:
    """At once and at twice the load by turns: what else the machine does is borne by both."""
    header("load", "offered/s", "good/s", "to the best beside it", "refused/s", "lost", "p50 ms", "p99 ms")
    client = Client(hook.port, certificate, CONNECTIONS)
    rounds = []
    for _ in range(ROUNDS):
        best = client.offer(0, SECONDS, BEST)
        rate = best.good / SECONDS
        paced = [client.offer(factor * rate, SECONDS) for factor in (1, 2)]
        rounds.append((best, *paced, client.offer(0, SECONDS)))
    client.close()
    names = (f"the best, {BEST} under way", "at once", "twice", f"{CONNECTIONS} under way")
    for name, tallies in zip(names, zip(*rounds, strict=True), strict=True):
        ratios = [tally.good / best.good for tally, (best, *_) in zip(tallies, rounds, strict=True)]
        seconds = [second for tally in tallies for second in tally.seconds]
        row(
            name,
            f"{_rate(tally.sent for tally in tallies):.0f}",
            f"{_rate(tally.good for tally in tallies):.0f}",
            spread(ratios),
            f"{_rate(tally.refused for tally in tallies):.0f}",
            sum(tally.lost for tally in tallies),
            f"{percentile(seconds, 0.5) * 1000:.0f}",
            f"{percentile(seconds, 0.99) * 1000:.0f}",
        )
    print()


def _rate(counts: Iterable[int]) -> float:
    return sum(counts) / ROUNDS / SECONDS


@contextlib.contextmanager
def beside(work: "Work") -> Iterator[None]:
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        work.stop.set()
        thread.join()


class Work:
    """Something that is repeated until it is stopped."""

    def __init__(self, port: int) -> None:
        self.port, self.stop, self.count = port, threading.Event(), 0

    def run(self) -> None:
        while not self.stop.is_set():
            self.step()

    def step(self) -> None:
        raise NotImplementedError


class Connects(Work):
    """CONNECTS sockets that only connect, and another one for each that goes away."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._peers: deque[socket.socket] = deque()

    def step(self) -> None:
        for _ in range(20):
            peer = socket.socket()
            peer.settimeout(0)
            peer.connect_ex(("127.0.0.1", self.port))
            self._peers.append(peer)
            self.count += 1
        while len(self._peers) > CONNECTS:
            self._peers.popleft().close()
        self.stop.wait(0.05)


def flood(hook: Webhook, certificate: Path) -> None:
    header("plain connects", "reviews", "lost", "not good", "the same worker at the end")
    first, lost, bad = worker(hook), 0, 0
    payload = body(2_000)
    connects = Connects(hook.port)
    with beside(connects):
        connection: Connection | None = None
        for _ in range(REVIEWS):
            try:
                connection = connection or Connection(hook.port, certificate, payload)
                connection.post()
            except RuntimeError:
                bad += 1
            except OSError:
                lost, connection = lost + 1, None
    row(connects.count, REVIEWS, lost, bad, "yes" if worker(hook) == first else "no")
    print()


def long_body() -> bytes:
    """A review as long as the worker takes, of the many small objects that need most memory for their bytes."""
    start, end = body(0).split(b'"containers"')
    room = MAX_BODY - len(start) - len(end) - 100
    return start + b'"tolerations":[' + TOLERATION * (room // len(TOLERATION)) + b'{}],"containers"' + end


class LongBodies(Work):
    """Whole ones and half-sent ones by turns, on connections of their own."""

    def __init__(self, port: int, ca: Path, content: bytes, cut: int) -> None:
        super().__init__(port)
        self._context = ssl.create_default_context(cafile=str(ca))
        self._request = HEAD.format(len(content)).encode() + content
        self._cut = cut

    def step(self) -> None:
        with contextlib.suppress(OSError), self._connected() as half, self._connected() as whole:
            half.sendall(self._request[: self._cut])
            whole.sendall(self._request)
            self.count += bool(whole.recv(65536))

    def _connected(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self._context.wrap_socket(raw, server_hostname="127.0.0.1")


def memory(hook: Webhook, certificate: Path) -> None:
    header("seconds of long bodies", "answered", "peak MiB of the worker", "to the peak of the first third")
    content = long_body()
    cuts = (100_000, 1_000_000, len(content) - 1)
    works = [LongBodies(hook.port, certificate, content, cuts[number % 3]) for number in range(LONG_PEERS)]
    pid, first = worker(hook), 0.0
    with contextlib.ExitStack() as stack:
        for work in works:
            stack.enter_context(beside(work))
        for third in range(1, 4):
            time.sleep(LONG_SECONDS / 3)
            peak = peak_mib(pid)
            first = first or peak
            answered = sum(work.count for work in works)
            row(f"{LONG_SECONDS / 3 * third:.0f}", answered, f"{peak:.0f}", f"{peak / first:.2f}")
    print()


def run() -> None:
    with tempfile.TemporaryDirectory(prefix="podkeys-bench-") as name:
        folder = Path(name)
        certificate, key = tls.write_pair(folder)
        flags = write_catalog(folder)
        with webhook(flags, certificate, key, folder / "log") as hook:
            goodput(hook, certificate)
        with webhook(flags, certificate, key, folder / "log") as hook:
            flood(hook, certificate)
        with webhook(flags, certificate, key, folder / "log") as hook:
            memory(hook, certificate)
    print(
        "Server and client share the machine. The best is what is good with 32 reviews under way; `twice` is twice that, over 700 connections."
    )
