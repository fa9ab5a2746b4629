"""More connections and more reviews than the worker takes: it must live, and do useful work meanwhile."""

import contextlib
import errno
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.webhook import in_process, serving
from tests.webhook.serving import post, review
from webhook.connection import Connection
from webhook.exchange import Exchange
from webhook.server import MAX_CONNECTIONS
from webhook.service import Limits
from webhook.threads import Threads
from webhook.waiting import Rank, Waiting
from webhook.worker import Worker

HEAD = (
    b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def _worker_pid(webhook: serving.Webhook) -> str:
    children = Path(f"/proc/{webhook.process.pid}/task/{webhook.process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    return children.read_text()


def _connect(port: int) -> socket.socket:
    peer = socket.socket()
    peer.settimeout(0)
    peer.connect_ex(("127.0.0.1", port))
    return peer


def test_plain_connects_end_neither_the_worker_nor_a_review(tmp_path: Path) -> None:
    """No peer can end the process: the connection that makes room may be one whose event is still to come."""
    with serving.serving(tmp_path, "--drain", "0") as webhook, webhook.connect() as connection:
        before, answers = _worker_pid(webhook), []
        peers: deque[socket.socket] = deque()
        for number in range(150):
            peers.extend(_connect(webhook.port) for _ in range(20))
            while len(peers) > MAX_CONNECTIONS + 20:
                peers.popleft().close()
            answers.append(post(connection, review(f"uid-{number}"))[0])
        for peer in peers:
            peer.close()
        assert answers == [200] * 150
        assert _worker_pid(webhook) == before, "the worker was replaced, and what it served was lost"
        assert webhook.events("bug") == []


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker, listener = in_process.make(tmp_path, Limits(threads=2))
    yield worker
    for conn in worker.waiting:
        worker._end(conn)
    worker.tpool.shutdown()
    worker.poller.close()
    worker.method_queue.close()
    worker.tmp.close()
    listener.close()


@pytest.fixture
def connected(worker: Worker) -> Iterator[Callable[[], tuple[Connection, socket.socket]]]:
    """A connection that the worker has accepted, and its peer."""
    with contextlib.ExitStack() as stack:

        def connect() -> tuple[Connection, socket.socket]:
            peer = stack.enter_context(socket.create_connection(worker.sockets[0].getsockname()))
            worker.accept(worker.sockets[0])
            return list(worker.waiting)[-1], peer

        yield connect


Connect = Callable[[], tuple[Connection, socket.socket]]


def test_an_event_of_a_connection_that_ended_in_the_same_batch_is_stale(
    worker: Worker, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the number of its descriptor is another connection's by then."""
    (first, first_peer), (second, second_peer) = connected(), connected()
    first_peer.sendall(b"x")
    second_peer.sendall(b"x")
    seen: list[Connection] = []

    def end_both(conn: Connection, _sock: socket.socket) -> None:
        seen.append(conn)
        worker._end(first)
        worker._end(second)
        connected()  # takes a number that was theirs

    for conn in (first, second):
        worker.poller.modify(conn.sock, 1, in_process.bound(end_both, conn))
    monkeypatch.setattr(worker, "_submit", lambda conn: pytest.fail(f"{conn} sent nothing"))
    worker.wait_for_and_dispatch_events(0)
    assert len(seen) == 1
    assert worker.nr_conns == 1


@pytest.mark.parametrize(
    "error", [KeyError("x"), ValueError("x"), OSError(errno.EBADF, "x"), RuntimeError("x")]
)
def test_whatever_goes_wrong_with_a_connection_ends_that_one_alone(
    worker: Worker, connected: Connect, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (conn, peer), (other, _) = connected(), connected()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "_submit", fail)
    peer.sendall(b"x")
    worker.wait_for_and_dispatch_events(0)
    assert (conn.ended, other.ended, worker.nr_conns) == (True, False, 1)
    monkeypatch.setattr(worker, "_go_on", fail)
    worker.method_queue.defer(worker._finish, conn, None)
    worker.method_queue.run_callbacks(None)
    assert worker.nr_conns == 1, "it was counted out already"
    monkeypatch.setattr(worker, "_time_out", fail)
    other.timeout = 0
    worker.murder_pending()
    assert (other.ended, worker.nr_conns) == (True, 0)


def test_a_connection_that_the_poller_does_not_take_ends_alone(
    worker: Worker, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(worker.poller, "register", full)
    with socket.create_connection(worker.sockets[0].getsockname()) as peer:
        worker.accept(worker.sockets[0])
        assert worker.nr_conns == 0
        assert peer.recv(1) == b""
    monkeypatch.undo()
    assert not connected()[0].ended


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPERM, errno.ENETDOWN, errno.EPROTO])
def test_a_connection_that_fails_before_it_is_accepted_ends_nothing(worker: Worker, number: int) -> None:
    """Linux gives its error to whoever accepts it."""

    class Listener(socket.socket):
        def accept(self) -> NoReturn:
            raise OSError(number, os.strerror(number))

    with Listener() as listener:
        worker.accept(listener)
    assert worker.nr_conns == 0


def test_a_connection_whose_socket_was_closed_ends_once(worker: Worker, connected: Connect) -> None:
    conn, _ = connected()
    conn.sock.close()
    for _ in range(2):
        worker._end(conn)
    assert (worker.nr_conns, len(worker.waiting)) == (0, 0)


def test_whoever_did_least_makes_room_first_and_of_those_the_oldest() -> None:
    waiting: Waiting[Any] = Waiting()
    names = [(rank, f"{rank.name} {number}") for number in (1, 2) for rank in reversed(Rank)]
    for rank, name in names:
        waiting.add(name, rank)
    order = []
    while (first := waiting.oldest(*Rank)) is not None:
        order.append(first)
        waiting.discard(first)
    assert order == [f"{rank.name} {number}" for rank in Rank for number in (1, 2)]


def test_short_steps_and_long_ones_are_taken_by_turns() -> None:
    """A flood of handshakes or refusals delays reviews by no more than as many steps, and the other way round."""
    taken: list[str] = []
    held, free, done = threading.Event(), threading.Event(), threading.Event()

    def step(item: str) -> None:
        held.set()
        free.wait()
        taken.append(item)
        if len(taken) == 12:
            done.set()

    threads = Threads(1, step)
    threads.submit("first", short=True)
    held.wait()
    for number in range(8):
        threads.submit(f"short {number}", short=True)
    for number in range(3):
        threads.submit(f"long {number}", short=False)
    assert threads.longest_wait() >= 0
    free.set()
    done.wait()
    threads.shutdown()
    assert [item for item in taken if item.startswith("long")] == ["long 0", "long 1", "long 2"]
    assert max(taken.index(f"long {number}") for number in range(3)) <= 7
    assert taken.index("short 0") <= 2


def test_a_request_that_comes_while_the_first_in_the_queue_waits_long_is_refused_out_of_turn(
    worker: Worker, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait already keep their place: they are served, and nobody waits without end."""
    conn, _ = connected()
    submitted: list[bool] = []

    class Queue:
        wait = 0.0

        def longest_wait(self) -> float:
            return self.wait

        def submit(self, _conn: Connection, *, short: bool) -> None:
            submitted.append(short)

    conn.initialized, queue, sock = True, Queue(), conn.sock
    conn.sock = _Unsent()
    monkeypatch.setattr(worker, "tpool", queue)
    worker._submit_new(conn)
    queue.wait = worker.app.service.limits.wait_seconds + 0.1
    worker._submit_new(conn)
    assert (submitted, conn.refused) == ([False, True], True)
    queue.wait = 0
    worker._submit_new(conn)
    assert not conn.refused
    monkeypatch.undo()
    conn.sock, conn.initialized = sock, False


class _Unsent:
    """A socket on which one request has come, and that takes any answer."""

    def __init__(self, *parts: bytes) -> None:
        self.parts, self.sent, self.unsent = list(parts), b"", b""

    def recv(self, _size: int) -> bytes:
        return self.parts.pop(0)

    def sendall(self, content: bytes) -> None:
        self.sent += content

    def flush(self) -> None: ...


class _Plain(_Unsent):
    """As a connection after its handshake, on a socket that is registered in the poller."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self.fileno, self.close, self.shutdown, self.settimeout = (
            sock.fileno,
            sock.close,
            sock.shutdown,
            sock.settimeout,
        )


def test_half_a_request_that_is_out_of_time_is_answered_and_takes_no_memory_any_more(
    worker: Worker, connected: Connect
) -> None:
    conn, _ = connected()
    worker._take(conn)
    conn.sock, conn.initialized = _Plain(conn.sock), True
    conn.incoming.feed(HEAD[:-1])
    worker._wait(conn, Rank.PARTIAL, 0)
    assert (worker.held, conn.held) == (len(HEAD) - 1, len(HEAD) - 1)
    worker.next_sweep = 0
    worker.murder_pending()
    assert conn.sock.sent.startswith(b"HTTP/1.1 408 ")
    assert (worker.held, conn.incoming.held, worker.waiting.of(Rank.LINGERING)) == (0, 0, {conn: None}.keys())


@pytest.mark.parametrize("why", ["refused", "late"])
def test_a_refusal_needs_no_work_and_leaves_the_connection_open(
    worker: Worker, connected: Connect, why: str
) -> None:
    """A request that waited longer than the API server does is no use to anybody."""
    conn, _ = connected()
    kept, conn.sock = conn.sock, _Unsent(HEAD)
    conn.initialized, conn.refused, conn.queued_at = True, why == "refused", time.monotonic()
    if why == "late":
        conn.queued_at -= worker.app.service.limits.useful_seconds + 0.1
    exchange = Exchange(worker.app.service, worker.cfg, lambda _: pytest.fail("it was worked on"))
    assert exchange.step(conn).name == "KEEP_ALIVE"
    assert conn.sock.sent.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in conn.sock.sent
    assert conn.incoming.held == 0
    conn.sock, conn.initialized = kept, False


def test_connections_above_the_limit_hear_that_at_once_while_all_others_are_busy(tmp_path: Path) -> None:
    """Hung in the kernel's queue instead, the API server would wait for nothing."""
    free = threading.Event()

    def app(_environ: object, start_response: Callable[..., object]) -> list[bytes]:
        free.wait()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    limits = Limits(threads=4, wait_seconds=60)
    with in_process.running(tmp_path, limits, app, most=2) as server, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(server.connect()) for _ in range(2)]
        for peer in busy:
            peer.sendall(HEAD)
        while len(server.worker.waiting):
            time.sleep(0.01)  # until threads have both
        for _ in range(3):
            with server.connect() as peer:
                peer.sendall(HEAD)
                answer = peer.recv(4096)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"Connection: close" in answer
                assert peer.recv(1) == b""
        free.set()
        assert all(peer.recv(12) == b"HTTP/1.1 200" for peer in busy)
