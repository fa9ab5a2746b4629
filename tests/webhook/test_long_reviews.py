"""Reviews as long as the API server sends them, made to take as much memory as they can."""

import re
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.webhook import serving
from tests.webhook.serving import Webhook, post, review
from tests.webhook.test_webhook_server import connected
from webhook.incoming import LONG, MAX_BODY, Incoming

LIMIT = 320 * 1024  # KiB; `resources.limits.memory` of the chart
KEPT = 32 * 1024  # KiB that may stay when all is answered
TOLERATION = b'{"key":{}},'  # the smaller an object, the more memory for its bytes


def _long_review() -> bytes:
    start, end = review("long", more={}).split(b'"containers"')
    room = MAX_BODY - len(start) - len(end) - 100
    return start + b'"tolerations":[' + TOLERATION * (room // len(TOLERATION)) + b'{}],"containers"' + end


def _kib(webhook: Webhook, name: str) -> int:
    """Of the worker: VmRSS, what it takes, or VmHWM, the most that it took."""
    pid = webhook.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    status = Path(f"/proc/{children.read_text().strip()}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+)", status)
    assert found
    return int(found[1])


def test_sixteen_of_the_longest_at_once_fit_in_the_memory_of_the_pod(tmp_path: Path) -> None:
    """Whoever may create pods in one namespace could end the webhook for all others."""
    body = _long_review()
    answers: list[int] = []

    def send(webhook: Webhook) -> None:
        with webhook.connect() as connection:
            answers.extend(post(connection, body)[0] for _ in range(3))

    with serving.serving(tmp_path, "--drain", "0") as webhook:
        threads = [threading.Thread(target=send, args=(webhook,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert _kib(webhook, "VmHWM") < LIMIT
        with webhook.connect() as connection:
            assert post(connection, body)[0] == 200
    assert set(answers) == {200, 503}
    assert len(answers) == 48


def test_what_long_bodies_took_is_given_back(tmp_path: Path) -> None:
    """Kept for each thread, as the C library does by itself, it grows for minutes, past the memory of the pod."""
    body = _long_review()
    head = b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n".encode()

    def send(webhook: Webhook) -> None:
        for part in (100_000, 1_000_000, len(body) - 1):
            ended = suppress(OSError, HTTPException)  # the oldest bodies are ended where they are too many
            with ended, connected(webhook) as peer, webhook.connect() as connection:
                peer.sendall(head + body[:part])
                post(connection, body)

    with serving.serving(tmp_path, "--drain", "0") as webhook:
        before = _kib(webhook, "VmRSS")
        for _ in range(2):
            threads = [threading.Thread(target=send, args=(webhook,)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        until = time.monotonic() + serving.START_SECONDS
        while _kib(webhook, "VmRSS") > before + KEPT and time.monotonic() < until:
            time.sleep(0.1)
        assert _kib(webhook, "VmRSS") <= before + KEPT
        assert _kib(webhook, "VmHWM") < LIMIT


def test_a_dropped_body_leaves_its_head_and_what_came_behind_it() -> None:
    head = f"POST /mutate HTTP/1.1\r\nContent-Length: {LONG}\r\n\r\n".encode()
    incoming = Incoming()
    incoming.feed(head + b"x" * LONG + b"next")
    incoming.drop_body()
    assert incoming.whole
    request, following = incoming.take()
    assert (request, following.held) == (head, len(b"next"))
