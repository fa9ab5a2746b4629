"""The running server: real process, real TLS, peers that behave and peers that don't."""

import os
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import pytest

from tests.webhook import catalogs, serving
from tests.webhook.serving import Webhook, post, review

JSON = {"Content-Type": "application/json"}
T = TypeVar("T", bound=socket.socket)


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """One for the tests that leave it as it was. Two threads: a peer that holds any is soon noticed."""
    flags = ("--threads", "2", "--handshake-timeout", "0.5", "--request-timeout", "0.5", "--drain", "0")
    with serving.serving(tmp_path_factory.mktemp("webhook"), *flags, "--log-level", "debug") as running:
        yield running


def _raw(webhook: Webhook) -> socket.socket:
    return socket.create_connection(("127.0.0.1", webhook.port), timeout=10)


def connected(webhook: Webhook) -> ssl.SSLSocket:
    return serving.lenient().wrap_socket(_raw(webhook))


@contextmanager
def _peers(count: int, connect: Callable[[Webhook], T], webhook: Webhook) -> Iterator[list[T]]:
    """So many connections, closed afterwards and not before."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connect(webhook))) for _ in range(count)]


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="webhook.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


def test_one_connection_carries_a_hundred_reviews(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        connection.connect()
        first = connection.sock
        for number in range(100):
            status, response = post(connection, review(f"uid-{number}"))
            assert (status, response["uid"], response["allowed"]) == (200, f"uid-{number}", True)
            assert response["patchType"] == "JSONPatch"
        assert connection.sock is first


def test_a_connection_may_idle_longer_than_any_deadline(webhook: Webhook) -> None:
    """The API server keeps idle connections for 90 s; deadlines are for handshakes and begun requests."""
    with webhook.connect() as connection:
        assert post(connection, review("before"))[0] == 200
        first = connection.sock
        time.sleep(0.8)
        assert post(connection, review("after"))[0] == 200
        assert connection.sock is first


def test_a_connection_that_was_opened_in_advance_may_wait_for_its_first_request(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        connection.connect()
        time.sleep(0.8)
        assert post(connection, review("late"))[0] == 200


@pytest.mark.parametrize("sent", [b"", _client_hello()[:100]], ids=["silent", "half-sent"])
def test_handshakes_that_are_never_finished_hold_no_thread(webhook: Webhook, sent: bytes) -> None:
    with _peers(16, _raw, webhook) as peers, webhook.connect() as connection:
        for peer in peers:
            peer.sendall(sent)
        started = time.monotonic()
        assert post(connection, review("beside"))[0] == 200
        assert time.monotonic() - started < 2, "16 of them on 2 threads, 0.5 s each, would be 4 s"
        for peer in peers:
            assert peer.recv(1) == b"", "the connection was not ended"


def _is_over(peer: socket.socket) -> bool:
    """Whether the server ended the connection, with or without a TLS alert, and said nothing else."""
    try:
        return b"HTTP" not in peer.recv(100)
    except ConnectionResetError:
        return True


def test_tls_before_1_2_and_plain_http_are_refused(webhook: Webhook) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with _raw(webhook) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)
    with _raw(webhook) as plain:
        plain.sendall(b"POST /mutate HTTP/1.1\r\n\r\n")
        assert _is_over(plain)


@pytest.mark.parametrize(
    "begin",
    [
        b"POST /mu",
        b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nX-Slow: ",
        b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Length: 1000\r\n\r\n{",
    ],
    ids=["request-line", "headers", "body"],
)
def test_a_request_dripped_byte_by_byte_is_ended_by_one_deadline(webhook: Webhook, begin: bytes) -> None:
    slow_before = webhook.metric("podkeys_slow_peers_total")
    with _peers(2, connected, webhook) as peers:
        started = time.monotonic()
        for peer in peers:
            peer.sendall(begin)
        while sum(_ended(peer) for peer in peers) < len(peers):
            assert time.monotonic() - started < 3
            time.sleep(0.1)
        assert webhook.metric("podkeys_slow_peers_total") == slow_before + len(peers)
        with webhook.connect() as connection:
            assert post(connection, review("beside"))[0] == 200


def _ended(peer: ssl.SSLSocket) -> bool:
    """Drip one byte; whether the server ended the connection."""
    peer.settimeout(0.01)
    try:
        peer.sendall(b"x")
        return peer.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_peer_that_never_closes_does_not_stop_the_others(webhook: Webhook) -> None:
    """The server waits for a peer to read the last answer, but not in the thread that all connections need."""
    head = b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    with _peers(8, connected, webhook) as peers, webhook.connect() as connection:
        for peer in peers:
            peer.sendall(head)
        for peer in peers:
            assert peer.recv(100).startswith(b"HTTP/1.1 4")
        started = time.monotonic()
        assert post(connection, review("beside"))[0] == 200
        assert time.monotonic() - started < 1.5


def test_a_body_over_the_limit_is_answered_not_reset(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        connection.request("POST", "/mutate", b"x" * (3 * 1024 * 1024 + 1))
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"expected at most 3145728 bytes" in answer.read()
        assert post(connection, review("next"))[0] == 200, "the connection is of further use"


def test_a_body_just_under_the_limit_is_read(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        status, response = post(connection, review("big", padding=3_000_000))
        assert (status, response["uid"]) == (200, "big")


def _post_until(webhook: Webhook, stop: threading.Event, answers: list[int], failures: list[str]) -> None:
    with webhook.connect() as connection:
        while not stop.is_set():
            try:
                status, response = post(connection, review("uid"))
                answers.append(status if response.get("allowed") else 0)
            except ConnectionRefusedError:
                return  # nothing was sent: the listener is gone
            except (OSError, HTTPException) as error:
                failures.append(f"{type(error).__name__}: {error}")
                connection.close()


def _clients(
    webhook: Webhook, stop: threading.Event, during: Callable[[], None]
) -> tuple[list[int], list[str]]:
    answers: list[int] = []
    failures: list[str] = []
    threads = [
        threading.Thread(target=_post_until, args=(webhook, stop, answers, failures)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + serving.START_SECONDS
        while len(answers) < 20 and not failures and time.monotonic() < until:
            time.sleep(0.01)  # until all have their connection
        during()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return answers, failures


def test_sigterm_loses_no_review_that_was_sent(tmp_path: Path) -> None:
    """Readiness fails first; then each answer closes its connection, until nobody comes."""
    stop = threading.Event()
    with serving.serving(tmp_path, "--drain", "0.6") as webhook:
        assert webhook.page("/readyz") == (200, "ok\n")

        def terminate() -> None:
            time.sleep(0.3)
            webhook.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + 0.5
            while webhook.page("/readyz")[0] == 200:
                assert time.monotonic() < until
            assert webhook.page("/readyz") == (503, "draining: this process was told to end\n")
            time.sleep(0.2)
            assert webhook.process.poll() is None
            stop.set()  # as the endpoints of a Service change before the process ends

        answers, failures = _clients(webhook, stop, terminate)
        assert failures == []
        assert set(answers) == {200}
        assert len(answers) > 50
        assert webhook.process.wait(timeout=10) == 0
        assert webhook.events("draining")
        assert webhook.events("stopping")


def test_while_draining_each_answer_closes_its_connection(tmp_path: Path) -> None:
    with (
        serving.serving(tmp_path, "--drain", "0.5") as webhook,
        webhook.connect() as kept,
        webhook.connect() as fresh,
    ):
        assert post(kept, review("before"))[0] == 200
        webhook.process.send_signal(signal.SIGTERM)
        while webhook.page("/readyz")[0] == 200:
            time.sleep(0.01)
        for connection in (kept, fresh):
            connection.request("POST", "/mutate", review("last"), JSON)
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            assert b'"uid":"last"' in answer.read()


def _served(webhook: Webhook) -> bytes:
    with connected(webhook) as peer:
        return peer.getpeercert(binary_form=True) or b""


def test_a_certificate_replaced_on_disk_is_served_without_a_lost_review(tmp_path: Path) -> None:
    with serving.serving(tmp_path, "--drain", "0") as webhook:
        seen = {_served(webhook)}

        def replace() -> None:
            for number in range(3):
                serving.write_certificate(tmp_path, common_name=f"renewed-{number}")
                webhook.wait_for_events("certificate-loaded", number + 1)
                seen.add(_served(webhook))
                _open_and_post(webhook)

        answers, failures = _clients(webhook, threading.Event(), replace)
        assert failures == []
        assert set(answers) == {200}
        assert len(seen) == 4


def test_a_renewed_certificate_is_served_even_when_it_was_never_needed_before_its_files_broke(
    tmp_path: Path,
) -> None:
    """Kept-alive connections ask for none for hours: the next one must not get what has ended meanwhile."""
    with serving.serving(tmp_path, "--drain", "0") as webhook:
        first = _served(webhook)
        serving.write_certificate(tmp_path, common_name="renewed")
        webhook.wait_for_events("certificate-loaded", 1)
        serving.replace(tmp_path / "tls.crt", b"no certificate")
        assert _served(webhook) != first


def _open_and_post(webhook: Webhook) -> None:
    for _ in range(10):
        with webhook.connect() as connection:
            assert post(connection, review("new"))[0] == 200


def test_a_broken_certificate_on_disk_leaves_the_old_one_in_use_and_says_so(tmp_path: Path) -> None:
    ok = "podkeys_serving_certificate_last_attempt_ok"
    with serving.serving(tmp_path, "--drain", "0") as webhook:
        assert webhook.metric(ok) == 1
        assert 86_000 < webhook.metric("podkeys_serving_certificate_remaining_seconds") <= 86_400
        serving.replace(tmp_path / "tls.crt", b"no certificate")
        with webhook.connect() as connection:
            assert post(connection, review("still"))[0] == 200
        webhook.eventually(ok, 0)
        refused = webhook.events("certificate-refused")
        assert len(refused) == 1, "one line, however often it looks"
        assert "can't serve" in refused[0]["message"]
        serving.write_certificate(tmp_path, hours=1)
        webhook.eventually(ok, 1)
        assert 3500 < webhook.metric("podkeys_serving_certificate_remaining_seconds") <= 3600


def test_a_catalog_that_breaks_is_kept_and_a_repaired_one_is_served(tmp_path: Path) -> None:
    ok, success = "podkeys_catalog_last_attempt_ok", "podkeys_catalog_last_success_timestamp_seconds"
    with (
        serving.serving(tmp_path, "--drain", "0", "--catalog-poll", "0.1") as webhook,
        webhook.connect() as connection,
    ):
        manifest = tmp_path / "catalog" / "manifest.json"
        good = manifest.read_bytes()
        serving.replace(manifest, b"{")
        webhook.eventually(ok, 0)
        assert webhook.page("/readyz")[0] == 200
        assert post(connection, review("still"))[1]["allowed"]
        assert webhook.metric(success) > 0
        refused = webhook.events("catalog-refused")
        assert len(refused) == 1
        assert refused[0]["so"] == "the last good catalog is kept"

        serving.replace(manifest, good)
        webhook.eventually(ok, 1)
        catalogs.write(tmp_path, "payments", "orders")
        webhook.eventually("podkeys_catalog_roles", 2)
        assert len(webhook.events("catalog-loaded")) == 3


def test_without_a_catalog_it_is_not_ready_and_refuses_pods(tmp_path: Path) -> None:
    """A pod that asked for injection never runs without it."""
    serving.write_certificate(tmp_path)
    _, cluster_file = catalogs.write(tmp_path)
    good = cluster_file.read_bytes()
    cluster_file.write_bytes(b"{}")
    with serving.serving(tmp_path, "--drain", "0", "--catalog-poll", "0.1", make_files=False) as webhook:
        status, reason = webhook.page("/readyz")
        assert status == 503
        assert "cluster.json: version: got None" in reason
        with webhook.connect() as connection:
            _, response = post(connection, review("refused"))
            assert (response["uid"], response["allowed"]) == ("refused", False)
            assert "no valid catalog" in response["status"]["message"]
            assert webhook.metric('podkeys_admissions_total{outcome="denied",reason="no-catalog"}') == 1
            serving.replace(cluster_file, good)
            webhook.eventually("podkeys_ready", 1)
            assert post(connection, review("allowed"))[1]["allowed"]


def test_each_review_is_one_json_line_with_its_uid_and_no_value_of_the_pod(webhook: Webhook) -> None:
    """No secret, token or key in a log."""
    with webhook.connect() as connection:
        canary = {"podkeys.dev/template.stripe": "canary-4711 {{ key }}", "example.com/other": "canary-4711"}
        assert post(connection, review("logged\nforged", more=canary))[0] == 200
    lines = [line for line in webhook.events("admission") if line["uid"] == "logged\nforged"]
    assert len(lines) == 1
    assert {"time", "level", "uid", "namespace", "outcome", "reason", "role", "duration_ms"} <= set(lines[0])
    assert (lines[0]["namespace"], lines[0]["outcome"], lines[0]["role"]) == (
        "payments",
        "injected",
        "payments",
    )
    assert "canary-4711" not in (webhook.home / "log").read_text()


def test_a_broken_request_is_logged_without_what_was_sent(webhook: Webhook) -> None:
    """No token in a log: a header that lost its colon may be one."""
    with _peers(1, connected, webhook) as peers:
        peers[0].sendall(b"POST /mutate HTTP/1.1\r\nAuthorization Bearer canary-0815\r\n\r\n")
        assert peers[0].recv(100).startswith(b"HTTP/1.1 400")
    assert any("Invalid request from" in line["message"] for line in webhook.events("gunicorn.error"))
    assert "canary-0815" not in (webhook.home / "log").read_text()


def test_a_worker_that_dies_is_replaced_on_both_ports(tmp_path: Path) -> None:
    with serving.serving(tmp_path, "--drain", "0") as webhook:
        pid = webhook.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        if not children.exists():
            pytest.skip("this system does not list a process's children")
        os.kill(int(children.read_text()), signal.SIGKILL)
        with webhook.connect() as connection:
            assert post(connection, review("after"))[0] == 200
        assert webhook.page("/readyz")[0] == 200
        assert any("Perhaps out of memory?" in line["message"] for line in webhook.events("gunicorn.error"))


def test_after_draining_connections_are_refused_at_once_and_a_kept_one_is_answered(tmp_path: Path) -> None:
    with serving.serving(tmp_path, "--drain", "0") as webhook, webhook.connect() as kept:
        assert post(kept, review("before"))[0] == 200
        webhook.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            _connect_until_refused(webhook)
        kept.request("POST", "/mutate", review("last"), JSON)
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        answer.read()
        assert webhook.process.wait(timeout=10) == 0


def _connect_until_refused(webhook: Webhook) -> None:
    until = time.monotonic() + 1
    while time.monotonic() < until:
        _raw(webhook).close()
        time.sleep(0.02)


def test_sighup_and_its_like_change_nothing(webhook: Webhook) -> None:
    """A reload by SIGHUP loses reviews under TLS."""
    with webhook.connect() as connection:
        assert post(connection, review("before"))[0] == 200
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
            webhook.process.send_signal(number)
        time.sleep(0.2)
        first = connection.sock
        assert post(connection, review("after"))[0] == 200
        assert connection.sock is first


def _worker(webhook: Webhook) -> int:
    children = Path(f"/proc/{webhook.process.pid}/task/{webhook.process.pid}/children")
    return int(children.read_text())


def test_running_out_of_file_descriptors_ends_nothing(tmp_path: Path) -> None:
    """Connections beyond the limit wait in the kernel's queue; those that are open are served meanwhile."""
    with serving.serving(tmp_path, "--handshake-timeout", "0.5", "--drain", "0") as webhook:
        worker = _worker(webhook)
        with webhook.connect() as connection:
            assert post(connection, review("before"))[0] == 200
            most = len(list(Path(f"/proc/{worker}/fd").iterdir())) + 5
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (most, most))
            with _peers(20, _raw, webhook):
                time.sleep(0.2)
                assert post(connection, review("meanwhile"))[0] == 200
        with webhook.connect() as connection:
            assert post(connection, review("after"))[0] == 200
        assert _worker(webhook) == worker, "the worker was replaced, and what it served was lost"
