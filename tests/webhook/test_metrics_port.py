import re
import socket
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from policies.catalog import cluster_json, to_bytes
from tests.webhook import catalogs
from tests.webhook.serving import write_certificate
from webhook import store, tls
from webhook.metrics import Condition, Metrics, page
from webhook.probes import MAX_HEAD, MAX_PEERS, response, start


def test_readiness_says_why_not() -> None:
    registry = CollectorRegistry()
    assert page("/readyz", registry, lambda: "").status is HTTPStatus.OK
    answer = page("/readyz", registry, lambda: "no catalog: x")
    assert (answer.status, answer.text) == (HTTPStatus.SERVICE_UNAVAILABLE, b"no catalog: x\n")


def test_liveness_does_not_depend_on_readiness() -> None:
    """A process without a catalog keeps looking for one; a restart would not help it."""
    assert page("/healthz", CollectorRegistry(), lambda: "no catalog").status is HTTPStatus.OK


def test_other_pages_are_404() -> None:
    assert page("/mutate", CollectorRegistry(), lambda: "").status is HTTPStatus.NOT_FOUND


def test_metrics_are_exposed_with_the_release_and_names_of_one_prefix() -> None:
    metrics = Metrics()
    metrics.admission("injected", "injected", 0.0002)
    text = page("/metrics", metrics.registry, lambda: "").text.decode()
    assert 'podkeys_build_info{python="' in text
    assert 'podkeys_admission_duration_seconds_bucket{le="0.00025"} 1.0' in text
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert {name.split("_")[0] for name in names} == {"podkeys", "process"}


def test_replicas_that_serve_different_catalogs_show_different_digests(tmp_path: Path) -> None:
    """With as many roles in each; a replica without a catalog serves none."""
    write_certificate(tmp_path)
    folder, cluster_file = catalogs.write(tmp_path)
    catalog = store.kept(folder, cluster_file, lambda _: None)
    certificate = tls.kept(tmp_path / "tls.crt", tmp_path / "tls.key", lambda _: None)
    registry = CollectorRegistry()
    registry.register(Condition(catalog, certificate, lambda: True))

    def shown() -> list[str]:
        text = page("/metrics", registry, lambda: "").text.decode()
        return re.findall(r"^podkeys_catalog_info\{(.*)\} 1\.0$", text, re.MULTILINE)

    assert shown() == []
    first = catalog.refresh().value
    assert first is not None
    seen = shown()
    assert f'digest="{first.digest}"' in seen[0]
    catalogs.write(tmp_path, "orders")
    catalog.refresh()
    seen += shown()
    cluster_file.write_bytes(to_bytes(cluster_json(replace(catalogs.CLUSTER, audience="other"))))
    catalog.refresh()
    seen += shown()
    assert len(set(seen)) == 3


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        probes = start(listener, Metrics().registry, lambda: "")
        yield listener.getsockname()
        probes.stop()


def _asked(server: tuple[str, int], path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server[1]}{path}", timeout=20) as answer:
        content: bytes = answer.read()
        return content


@pytest.mark.parametrize(
    "sent", [b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nX: "], ids=["silent", "line", "fields"]
)
def test_hundreds_of_peers_that_say_nothing_or_half_delay_no_probe(
    server: tuple[str, int], sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe that is not answered in its second restarts the pod. No thread waits for a peer, so nobody waits for one."""
    monkeypatch.setattr("webhook.probes.PEER_SECONDS", 600)
    before, peers = threading.active_count(), []
    for number in range(4 * MAX_PEERS):
        peers.append(socket.create_connection(server, timeout=20))
        peers[-1].sendall(sent)
        if number % 16 == 0:
            assert _asked(server, "/healthz") == b"ok\n"
    assert b"podkeys_build_info" in _asked(server, "/metrics")
    assert threading.active_count() == before
    assert peers[0].recv(1) == b"", "the oldest are ended before their own time"
    for peer in peers:
        peer.close()


def test_whoever_keeps_connecting_keeps_no_probe_out(server: tuple[str, int]) -> None:
    """Three threads that connect without pause, and never speak: each probe is answered all the same."""
    stop = threading.Event()

    def connect() -> None:
        peers: deque[socket.socket] = deque(maxlen=100)
        while not stop.is_set():
            if len(peers) == peers.maxlen:
                peers.popleft().close()
            peers.append(socket.create_connection(server, timeout=20))
        for peer in peers:
            peer.close()

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    answers = [_asked(server, "/readyz") for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    assert answers == [b"ok\n"] * 10


def test_a_peer_that_reads_nothing_holds_nobody(server: tuple[str, int]) -> None:
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        peer.connect(server)
        peer.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert _asked(server, "/healthz") == b"ok\n"


def test_a_page_that_fails_ends_its_connection_alone() -> None:
    answers = iter([ZeroDivisionError("x")])

    def ready() -> str:
        for error in answers:
            raise error
        return ""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        probes = start(listener, CollectorRegistry(), ready)
        with socket.create_connection(listener.getsockname(), timeout=20) as peer:
            peer.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
            assert peer.recv(1) == b""
        assert _asked(listener.getsockname(), "/readyz") == b"ok\n"
        probes.stop()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /healthz?verbose HTTP/1.0\n\n", 200),
        (b"GET /x HTTP/1.1\r\n\r\n", 404),
        (b"\xff\r\n\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, 431),
    ],
)
def test_the_first_line_alone_decides_what_is_answered(head: bytes, status: int) -> None:
    answer = response(head, lambda path: page(path, CollectorRegistry(), lambda: ""))
    assert answer
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert response(head.rstrip(b"\r\na")[:40], lambda _: pytest.fail("it has no end")) is None


def test_a_peer_is_heard_only_so_long_and_then_answered(server: tuple[str, int]) -> None:
    """Each field of it would be kept, and a hundred peers that drip them are more than the memory of the pod."""
    with socket.create_connection(server, timeout=20) as peer:
        begun = b"GET /healthz HTTP/1.1\r\nX: "
        peer.sendall(begun + b"a" * (MAX_HEAD + 1 - len(begun)))
        assert peer.recv(100).startswith(b"HTTP/1.1 431 ")
