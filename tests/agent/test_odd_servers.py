"""Answers that a healthy Vault never gives: each ends in time, within bounds, with a message, and gives nothing away."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import config
from agent.clock import Clock
from agent.errors import AgentError
from agent.vault import MAX_ANSWER_BYTES, Answer, Vault
from agent.wire import checked_address, first_connected
from demo import tls
from tests.agent.servers import Reply, answer, dripping, raw, serving, silent


@contextmanager
def vault(
    address: str, *, seconds: float = 0.6, clock: Clock | None = None, ca_pem: str = ""
) -> Iterator[Vault]:
    clock = clock or Clock(chance=lambda: 0.0)
    client = Vault(config.Vault(address, "", ca_pem), clock, deadline=clock.monotonic() + seconds)
    yield client
    client.close()


def get(address: str, *, seconds: float = 0.6, clock: Clock | None = None, ca_pem: str = "") -> Answer:
    with vault(address, seconds=seconds, clock=clock, ca_pem=ca_pem) as client:
        try:
            return client.call("GET", "kv/data/x")
        finally:
            client.close()


def failure(*replies: Reply, seconds: float = 0.6) -> str:
    start = time.monotonic()
    with serving(*replies) as odd, pytest.raises(AgentError) as caught:
        get(odd.address, seconds=seconds)
    assert caught.value.name == "unreachable"
    assert time.monotonic() - start < seconds + 3
    return caught.value.line


@pytest.mark.parametrize("status", [412, 429, 472, 473, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again(status: int) -> None:
    with serving(answer(status, '{"errors":["busy"]}'), answer(200, '{"data":{"a":1}}')) as odd:
        assert get(odd.address).fields == {"a": 1}
        assert odd.requests == ["GET /v1/kv/data/x HTTP/1.1"] * 2


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refusal_is_final(status: int) -> None:
    with serving(answer(status, '{"errors":["no"]}')) as odd:
        assert get(odd.address).status == status
        assert len(odd.requests) == 1


def test_trouble_that_lasts_ends_at_the_deadline_with_the_servers_words() -> None:
    assert "answered 500: internal error" in failure(answer(500, '{"errors":["internal error"]}'))


def test_a_sealed_server_is_called_sealed() -> None:
    line = failure(answer(503, '{"errors":["Vault is sealed"]}'))
    assert "is sealed" in line
    assert "unseal it" in line


def test_trouble_that_lasts_is_said_while_it_lasts_and_once(capfd: pytest.CaptureFixture[str]) -> None:
    seconds = 0.0

    def sleep(wait: float) -> None:
        nonlocal seconds
        seconds += wait

    sealed, lost = answer(503, '{"errors":["Vault is sealed"]}'), answer(502, '{"errors":["no peer"]}')
    with serving(*[sealed] * 20, lost) as odd, pytest.raises(AgentError):
        get(odd.address, seconds=120, clock=Clock(monotonic=lambda: seconds, sleep=sleep))
    lines = capfd.readouterr().err.splitlines()
    assert ["event=waiting" in line for line in lines] == [True, True]
    assert f"{odd.address} is sealed or not initialised" in lines[0]
    assert "answered 502: no peer" in lines[1]
    assert int(lines[0].rpartition("gives_up_in=")[2].rstrip("s")) in range(108, 118)


def test_trouble_that_passes_soon_is_not_said(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(*[answer(503, '{"errors":["Vault is sealed"]}')] * 3, answer(200)) as odd:
        assert get(odd.address, clock=Clock(sleep=lambda _: None)).ok
    assert capfd.readouterr().err == ""


def test_retry_after_is_honoured_within_the_deadline() -> None:
    slept: list[float] = []
    clock = Clock(sleep=slept.append)
    with serving(answer(429, headers=("Retry-After: 7",)), answer(200)) as odd:
        assert get(odd.address, seconds=60, clock=clock).ok
    assert slept == [7.0]


def test_a_retry_after_of_nothing_is_no_leave_to_try_without_end() -> None:
    with serving(answer(429, headers=("Retry-After: 0",))) as odd:
        with pytest.raises(AgentError):
            get(odd.address)
        assert len(odd.requests) < 10


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    start = time.monotonic()
    line = failure(answer(429, headers=("Retry-After: 3600",)), seconds=20)
    assert "asked to wait 3600 s" in line
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("text", ["soon", "-1", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_is_passed_over(text: str) -> None:
    with serving(answer(429, headers=(f"Retry-After: {text}",)), answer(200)) as odd:
        assert get(odd.address).ok


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "broke off"),
        (b"garbage\r\n\r\n", "no HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>hello!", "no JSON object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "no JSON object"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"data":{"a"', "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "broke off"),
    ],
)
def test_garbage_and_broken_answers_are_tried_again_until_the_deadline(content: bytes, words: str) -> None:
    assert words in failure(raw(content))


def test_deeply_nested_json_is_no_answer() -> None:
    assert "no JSON object" in failure(answer(200, "[" * 200_000))


def test_a_huge_answer_is_cut_off() -> None:
    line = failure(answer(200, " " * (MAX_ANSWER_BYTES + 10)), seconds=3)
    assert f"more than {MAX_ANSWER_BYTES} bytes" in line


def test_a_server_that_never_answers_costs_the_deadline_and_no_more() -> None:
    stop = threading.Event()
    try:
        assert "no answer in time" in failure(silent(stop))
    finally:
        stop.set()


def test_a_header_that_drips_costs_the_deadline_and_no_more() -> None:
    stop = threading.Event()
    try:
        assert "no answer in time" in failure(dripping(stop))
    finally:
        stop.set()


def test_a_redirect_is_never_followed() -> None:
    """The token goes to the address in the settings and nowhere else."""
    with serving(answer(200)) as elsewhere:
        there = elsewhere.address.removeprefix("http://")
        line = failure(answer(307, headers=(f"Location: {elsewhere.address}/v1/kv/data/x",)))
        assert f"redirect to {there}, which is never followed" in line
        assert elsewhere.requests == []


def test_a_connection_that_the_server_closed_between_two_calls_is_opened_again() -> None:
    closing = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", close=True)
    with serving(closing, answer(200)) as odd, vault(odd.address) as client:
        assert client.call("GET", "a").ok
        assert client.call("GET", "b").ok


def test_one_connection_serves_all_calls() -> None:
    ports = set()

    def reply(connection: socket.socket, line: str) -> None:
        ports.add(connection.getpeername()[1])
        answer(200)(connection, line)

    with serving(reply) as odd, vault(odd.address) as client:
        for _ in range(3):
            client.call("GET", "a")
    assert len(ports) == 1


def test_a_server_that_is_down_is_said_with_its_address() -> None:
    with serving(answer(200)) as odd:
        address = odd.address
    with pytest.raises(AgentError, match="can't be reached: Connection refused"):
        get(address, seconds=0.3)


def test_an_address_that_is_dead_leaves_time_for_the_next() -> None:
    """As when one server of three is gone, or a network carries only one of the address families."""
    with serving(answer(200)) as odd, ExitStack() as stack:
        port = int(odd.address.rpartition(":")[2])
        dead = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(3):  # a queue that is full: what comes next gets no answer
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(dead.getsockname())
        until = time.monotonic() + 1
        with first_connected([("127.0.0.2", port), ("127.0.0.1", port)], Clock(), until) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
        with pytest.raises(TimeoutError):
            first_connected([("127.0.0.2", port)] * 3, Clock(), time.monotonic() + 0.3)
        assert time.monotonic() < until


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_servers_clock_is_read_from_its_date(hours: int) -> None:
    now = 1_800_000_000.0
    date = format_datetime(datetime.fromtimestamp(now + hours * 3600, UTC), usegmt=True)
    with (
        serving(answer(200, headers=(f"Date: {date}",))) as odd,
        vault(odd.address, clock=Clock(wall=lambda: now)) as client,
    ):
        client.call("GET", "x")
    assert abs(client.now() - now - hours * 3600) <= 1


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT", "0"])
def test_a_date_that_is_none_changes_nothing(date: str) -> None:
    with serving(answer(200, headers=(f"Date: {date}",))) as odd, vault(odd.address) as client:
        client.call("GET", "x")
    assert client.offset == 0.0


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault.example.com",
        "ftp://vault.example.com",
        "http://vault.example.com:8200",
        "http://10.0.0.1:8200",
        "https://",
        "https://user@vault.example.com",
        "https://[::1",
        "https://vault.example.com:99999",
    ],
)
def test_an_address_without_tls_or_without_sense_is_refused(address: str) -> None:
    with pytest.raises(AgentError) as caught:
        get(address)
    assert caught.value.name == "config"


@pytest.mark.parametrize("address", ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"])
def test_plain_http_is_for_loopback(address: str) -> None:
    checked_address(address)


def test_an_unreadable_ca_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(AgentError, match="no certificate that can be read"):
        get("https://vault.example.com", ca_pem="not PEM")


def test_a_certificate_that_nobody_vouched_for_is_final(tmp_path: Path) -> None:
    """No request, so no token, goes to a server that is not the one in the settings."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours, _ = tls.write_pair(tmp_path / "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls.write_pair(tmp_path / "theirs"))
    start = time.monotonic()
    with serving(answer(200), context=context) as odd, pytest.raises(AgentError) as caught:
        get(odd.address, seconds=20, ca_pem=ours.read_text())
    assert "is not trusted: self-signed certificate" in caught.value.line
    assert odd.requests == []
    assert time.monotonic() - start < 5


def test_with_the_right_ca_the_call_goes_through_tls(tmp_path: Path) -> None:
    certificate, key = tls.write_pair(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(answer(200, '{"data":{"a":1}}'), context=context) as odd:
        assert get(odd.address, ca_pem=certificate.read_text()).fields == {"a": 1}
        with pytest.raises(AgentError, match="is not trusted: Hostname mismatch"):
            get(odd.address.replace("127.0.0.1", "localhost"), seconds=5, ca_pem=certificate.read_text())


def test_a_certificate_outdated_by_this_nodes_clock_says_what_time_it_is(tmp_path: Path) -> None:
    certificate, key = tls.write_pair(tmp_path, days=0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(answer(200), context=context) as odd, pytest.raises(AgentError) as caught:
        get(odd.address, seconds=5, ca_pem=certificate.read_text())
    assert "certificate has expired" in caught.value.line
    assert "by this node's clock it is 20" in caught.value.line


@given(st.text(max_size=200))
def test_no_text_of_the_server_breaks_the_one_line(text: str) -> None:
    line = AgentError("refused", text, "do this").line
    assert line.isprintable()
    assert len(line.encode()) <= 4096
