"""What a peer hears when its request can't be read: an answer, and not a reset that says nothing."""

import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.webhook import serving
from tests.webhook.serving import Webhook, post, review
from tests.webhook.test_webhook_server import connected
from webhook.exchange import MAX_LINGER
from webhook.incoming import MAX_HEAD

HEAD = b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    flags = ("--threads", "2", "--request-timeout", "2", "--drain", "0")
    with serving.serving(tmp_path_factory.mktemp("webhook"), *flags) as running:
        yield running


def _all(peer: ssl.SSLSocket) -> bytes:
    answer = b""
    while part := peer.recv(65536):
        answer += part
    return answer


def _refused(webhook: Webhook, status: int) -> float:
    return webhook.metric(f'podkeys_http_refused_total{{status="{status}"}}')


@pytest.mark.parametrize("begun", [HEAD[:20], HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"])
def test_a_request_that_stays_shorter_than_it_says_is_answered_408(webhook: Webhook, begun: bytes) -> None:
    before = _refused(webhook, 408)
    with closing(connected(webhook)) as peer:
        peer.sendall(begun)
        answer = _all(peer)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert _refused(webhook, 408) == before + 1


@pytest.mark.parametrize("head", [HEAD + b"X: ", b"GET /"], ids=["field", "line"])
def test_a_head_without_end_is_answered_431(webhook: Webhook, head: bytes) -> None:
    before = _refused(webhook, 431)
    with closing(connected(webhook)) as peer:
        peer.sendall(head + b"a" * (MAX_HEAD + 1))
        answer = _all(peer)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"expected at most 32 KiB" in answer
    assert _refused(webhook, 431) == before + 1


@pytest.mark.parametrize("size", [20, 40])
def test_whoever_sends_a_body_far_over_the_limit_gets_to_read_the_answer(webhook: Webhook, size: int) -> None:
    """It reads only after it has sent all: a reset would overtake the answer."""
    with closing(connected(webhook)) as peer:
        peer.sendall(HEAD + f"Content-Length: {size * MIB}\r\n\r\n".encode())
        for _ in range(size):
            peer.sendall(b"x" * MIB)
        answer = _all(peer)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"expected at most 3145728 bytes" in answer


def test_a_chunked_body_is_answered_411_though_it_goes_on(webhook: Webhook) -> None:
    with closing(connected(webhook)) as peer:
        peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            peer.sendall(b"100000\r\n" + b"x" * MIB + b"\r\n")
        assert _all(peer).startswith(b"HTTP/1.1 411 ")


def test_what_comes_after_the_last_answer_is_bounded(webhook: Webhook) -> None:
    """A peer that never stops would keep its place for ever."""
    with closing(connected(webhook)) as peer:
        peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError, ssl.SSLError)):
            peer.sendall(b"x" * (4 * MAX_LINGER))
    with webhook.connect() as connection:
        assert post(connection, review("after"))[0] == 200


def test_another_content_type_is_answered_415_on_a_connection_that_stays(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        connection.request("POST", "/mutate", review("u"), {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert (answer.status, b"expected application/json" in answer.read()) == (415, True)
        assert post(connection, review("after"))[0] == 200
