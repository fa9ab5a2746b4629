"""Peers that send a part of a request and wait: they must cost neither threads nor memory."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from tests.webhook import serving
from tests.webhook.serving import Webhook, post, review
from tests.webhook.test_webhook_server import connected
from webhook.exchange import ANSWER_SECONDS
from webhook.incoming import MAX_BODY, MAX_DISCARDED
from webhook.server import MAX_CONNECTIONS
from webhook.worker import MAX_HELD

HEAD = b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
SLOW = "podkeys_slow_peers_total"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """Two threads, and a deadline that outlasts the tests: what goes on, goes on beside the peers."""
    flags = ("--threads", "2", "--request-timeout", "30", "--drain", "0")
    with serving.serving(tmp_path_factory.mktemp("webhook"), *flags) as running:
        yield running


@contextmanager
def _peers(webhook: Webhook, count: int) -> Iterator[list[ssl.SSLSocket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connected(webhook))) for _ in range(count)]


@pytest.mark.parametrize(
    "begun",
    [b"P", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"],
    ids=["request-line", "headers", "body"],
)
def test_half_sent_requests_hold_no_thread(webhook: Webhook, begun: bytes) -> None:
    """Sixty-four on two threads, and none is ended meanwhile: were one thread held each, nothing would go on."""
    ended = webhook.metric(SLOW)
    with _peers(webhook, 64) as peers, webhook.connect() as connection:
        for peer in peers:
            peer.sendall(begun)
        for number in range(20):
            status, response = post(connection, review(f"uid-{number}"))
            assert (status, response["uid"]) == (200, f"uid-{number}")
        for peer in peers:
            peer.settimeout(0)
            with pytest.raises(ssl.SSLWantReadError):
                peer.recv(1)
        assert webhook.metric(SLOW) == ended


def test_a_request_in_many_parts_is_answered(webhook: Webhook) -> None:
    body = review("parts")
    whole = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with _peers(webhook, 1) as (peer,), webhook.connect() as connection:
        for start in range(0, len(whole), 50):
            peer.sendall(whole[start : start + 50])
            assert post(connection, review("beside"))[0] == 200
        assert b'"uid":"parts"' in _answer(peer)


def _answer(peer: ssl.SSLSocket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
        part = peer.recv(65536)
        assert part, f"the connection was ended after {answer!r}"
        answer += part
    return answer


def test_a_request_sent_before_the_last_one_was_answered_waits_its_turn(webhook: Webhook) -> None:
    """What was read already does not make the connection readable: nobody would look at it again."""
    one, other = (
        HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        for body in (review("first"), review("second"))
    )
    with _peers(webhook, 1) as (peer,):
        peer.sendall(one + other[:-10])
        assert b'"uid":"first"' in _answer(peer)
        peer.sendall(other[-10:] + one)
        found = b""
        while b'"uid":"first"' not in found:
            found += _answer(peer)
        assert found.index(b'"uid":"second"') < found.index(b'"uid":"first"')


def test_half_sent_bodies_are_held_up_to_a_limit_and_the_oldest_are_ended(webhook: Webhook) -> None:
    """Three MiB from each of a thousand peers would be all of a node's memory."""
    size = 2 * 1024 * 1024
    fit = MAX_HELD // size
    ended = webhook.metric(SLOW)
    with _peers(webhook, fit + 2) as peers, webhook.connect() as connection:
        for peer in peers:
            peer.sendall(HEAD + f"Content-Length: {size + 1}\r\n\r\n".encode() + b"x" * size)
            assert post(connection, review("beside"))[0] == 200
        webhook.eventually(SLOW, ended + 3)  # each takes a little more than its body
        assert peers[0].recv(1) == b""
        peers[-1].sendall(b"x")
        assert peers[-1].recv(12) == b"HTTP/1.1 400", "the youngest is still there"


def test_answers_that_nobody_reads_hold_no_thread(webhook: Webhook) -> None:
    """Eight on two threads, each with more answers than the network takes: all ended, and none waited for."""
    ended, body = webhook.metric(SLOW), review("x" * 120_000)
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with _peers(webhook, 8) as peers, webhook.connect() as connection:
        for peer in peers:
            peer.settimeout(0.2)
            with suppress(OSError):
                for _ in range(200):
                    peer.sendall(request)
        started = time.monotonic()
        assert post(connection, review("beside"))[0] == 200
        assert time.monotonic() - started < ANSWER_SECONDS / 2
        webhook.eventually(SLOW, ended + len(peers))


def test_peers_that_connect_and_say_nothing_keep_nobody_out(webhook: Webhook) -> None:
    """Nor end they what was asked before: the API server's own idle connections are the last to go."""
    ended, context = webhook.metric(SLOW), serving.lenient()
    with webhook.connect() as connection, ExitStack() as stack:
        assert post(connection, review("kept"))[0] == 200
        first = connection.sock
        peers = [
            stack.enter_context(
                context.wrap_socket(
                    socket.create_connection(("127.0.0.1", webhook.port), timeout=serving.START_SECONDS)
                )
            )
            for _ in range(MAX_CONNECTIONS + 20)
        ]
        with webhook.connect() as other:
            assert post(other, review("new"))[0] == 200
        assert post(connection, review("still"))[0] == 200
        assert connection.sock is first
        assert peers[0].recv(1) == b"", "the oldest is ended"
        assert webhook.metric(SLOW) > ended


@pytest.mark.parametrize(
    ("header", "status"),
    [("Transfer-Encoding: chunked", 411), (f"Content-Length: {MAX_BODY + MAX_DISCARDED + 1}", 413)],
)
def test_a_body_whose_end_is_not_waited_for_ends_its_connection(
    webhook: Webhook, header: str, status: int
) -> None:
    """Whatever follows must not be taken for a request."""
    with _peers(webhook, 1) as (peer,):
        peer.sendall(HEAD + f"{header}\r\n\r\n".encode() + b"2\r\n{}\r\n0\r\n\r\n" + HEAD + b"\r\n")
        answer = b""
        while part := peer.recv(4096):
            answer += part
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1") == 1
    assert webhook.metric(f'podkeys_http_refused_total{{status="{status}"}}') == 1
