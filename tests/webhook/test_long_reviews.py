"""Reviews as long as the API server sends them, made to take as much memory as they can."""

import re
import threading
from pathlib import Path

import pytest

from tests.webhook import serving
from tests.webhook.serving import Webhook, post, review
from webhook.incoming import LONG, MAX_BODY, Incoming

LIMIT = 320 * 1024  # KiB; `resources.limits.memory` of the chart
TOLERATION = b'{"key":{}},'  # the smaller an object, the more memory for its bytes


def _long_review() -> bytes:
    start, end = review("long", more={}).split(b'"containers"')
    room = MAX_BODY - len(start) - len(end) - 100
    return start + b'"tolerations":[' + TOLERATION * (room // len(TOLERATION)) + b'{}],"containers"' + end


def _most_kib(webhook: Webhook) -> int:
    pid = webhook.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    status = Path(f"/proc/{children.read_text().strip()}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
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
        assert _most_kib(webhook) < LIMIT
        with webhook.connect() as connection:
            assert post(connection, body)[0] == 200
    assert set(answers) == {200, 503}
    assert len(answers) == 48


def test_a_dropped_body_leaves_its_head_and_what_came_behind_it() -> None:
    head = f"POST /mutate HTTP/1.1\r\nContent-Length: {LONG}\r\n\r\n".encode()
    incoming = Incoming()
    incoming.feed(head + b"x" * LONG + b"next")
    incoming.drop_body()
    assert incoming.whole
    request, following = incoming.take()
    assert (request, following.held) == (head, len(b"next"))
