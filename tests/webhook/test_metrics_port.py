import re
import socket
import threading
import urllib.request
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CollectorRegistry

from policies.catalog import cluster_json, to_bytes
from tests.webhook import catalogs
from tests.webhook.serving import write_certificate
from webhook import store, tls
from webhook.metrics import MAX_HEAD, MAX_PEERS, PEER_SECONDS, Condition, Metrics, page, start


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


def test_probers_that_say_nothing_hold_neither_the_next_one_nor_threads_without_end() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    before = threading.active_count()
    server = start(listener, CollectorRegistry(), lambda: "")
    address = listener.getsockname()
    silent = [socket.create_connection(address) for _ in range(3 * MAX_PEERS)]
    with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/healthz", timeout=2) as answer:
        assert answer.read() == b"ok\n"
    for peer in silent[:MAX_PEERS]:
        peer.settimeout(PEER_SECONDS / 2)
        assert peer.recv(1) == b"", "the oldest are ended, before their own time"
    assert threading.active_count() < before + 2 * MAX_PEERS
    for peer in silent:
        peer.close()
    server.shutdown()
    server.server_close()
    assert not any(thread.name == "metrics" for thread in threading.enumerate())


def test_a_peer_is_heard_only_so_long_and_then_answered() -> None:
    """Each header of it would be kept, and thirty-two peers that drip them are more than the memory of the pod."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = start(listener, CollectorRegistry(), lambda: "")
    with socket.create_connection(listener.getsockname(), timeout=PEER_SECONDS / 2) as peer:
        begun = b"GET /healthz HTTP/1.1\r\nX: "
        peer.sendall(begun + b"a" * (MAX_HEAD - len(begun)))
        assert peer.recv(100).startswith(b"HTTP/1.0 200 ")
    server.shutdown()
    server.server_close()
