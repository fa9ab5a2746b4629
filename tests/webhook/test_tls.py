import base64
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.webhook.serving import lenient, replace, write_certificate
from webhook.tls import RequestSocket, TLSError, kept, read


def test_the_context_asks_for_tls_1_2_and_hands_out_session_tickets(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    context = read(tmp_path / "tls.crt", tmp_path / "tls.key")[0].context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert not context.options & ssl.OP_NO_TICKET
    assert context.num_tickets > 0
    assert context.verify_mode is ssl.CERT_NONE


def _no_certificate(home: Path) -> None:
    (home / "tls.crt").write_text("nothing")


def _no_file(home: Path) -> None:
    (home / "tls.key").unlink()


def _another_key(home: Path) -> None:
    kept = (home / "tls.crt").read_bytes()
    write_certificate(home)
    replace(home / "tls.crt", kept)


def _encrypted_key(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(b"canary-4711")
    (home / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def _no_known_version(home: Path) -> None:
    """X.509 version 2, which nobody issues: cryptography has an error of its own for it, that is no ValueError."""
    path = home / "tls.crt"
    found = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    other = base64.encodebytes(found.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1))
    replace(path, b"-----BEGIN CERTIFICATE-----\n" + other + b"-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    "damage", [_no_certificate, _no_file, _another_key, _encrypted_key, _no_known_version]
)
def test_files_that_cannot_serve_are_refused_by_name(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write_certificate(tmp_path)
    damage(tmp_path)
    with pytest.raises(TLSError, match=r"tls\.crt and .*tls\.key can't serve: .+; expected a PEM") as refusal:
        read(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert "canary-4711" not in str(refusal.value)


def test_a_context_is_built_once_and_again_when_the_files_change(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    changes: list[str] = []
    certificate = kept(tmp_path / "tls.crt", tmp_path / "tls.key", lambda state: changes.append(state.error))
    first = certificate.refresh().value.context
    assert certificate.refresh().value.context is first
    write_certificate(tmp_path, hours=1)
    second = certificate.refresh().value.context
    assert second is not first
    assert certificate.refresh().value.context is second
    assert changes == [""]
    assert certificate.value.not_after < time.time() + 3601


def test_a_pair_that_does_not_match_keeps_the_old_context_until_it_does(tmp_path: Path) -> None:
    """The two files may be replaced one after the other."""
    write_certificate(tmp_path)
    changes: list[str] = []
    certificate = kept(tmp_path / "tls.crt", tmp_path / "tls.key", lambda state: changes.append(state.error))
    first = certificate.refresh().value.context
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    write_certificate(fresh)
    replace(tmp_path / "tls.crt", (fresh / "tls.crt").read_bytes())
    for _ in range(3):
        assert certificate.refresh().value.context is first
    assert "KEY_VALUES_MISMATCH" in certificate.state.error
    assert len(changes) == 1, "said once, not at each connection"
    replace(tmp_path / "tls.key", (fresh / "tls.key").read_bytes())
    assert certificate.refresh().value.context is not first
    assert certificate.state.error == ""


def test_files_that_could_not_be_read_at_all_are_tried_again_as_they_are(tmp_path: Path) -> None:
    """Without a free file descriptor a renewed certificate would otherwise be served never."""
    write_certificate(tmp_path)
    changes: list[str] = []
    certificate = kept(tmp_path / "tls.crt", tmp_path / "tls.key", lambda state: changes.append(state.error))
    first = certificate.refresh().value.context
    write_certificate(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert certificate.refresh().value.context is first
        assert certificate.refresh().value.context is first
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert certificate.refresh().value.context is not first
    assert "Too many open files" in changes[0]
    assert changes[1:] == [""], "one line a reason, not one a connection"


def test_a_swap_as_a_secret_volume_makes_it_is_noticed(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        write_certificate(tmp_path / version)
    link = tmp_path / "..data"
    link.symlink_to("v1")
    certificate = kept(link / "tls.crt", link / "tls.key", lambda _: None)
    first = certificate.refresh().value.context
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(link)
    assert certificate.refresh().value.context is not first


@pytest.fixture
def pair(tmp_path: Path) -> "tuple[RequestSocket, ssl.SSLSocket]":
    """A server's and a client's end of one TLS connection."""
    write_certificate(tmp_path)
    ours, theirs = socket.socketpair()
    found: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: found.append(lenient().wrap_socket(theirs)))
    thread.start()
    server = read(tmp_path / "tls.crt", tmp_path / "tls.key")[0].context.wrap_socket(ours, server_side=True)
    thread.join()
    assert isinstance(server, RequestSocket)
    return server, found[0]


def test_an_answer_that_nobody_reads_holds_no_thread_and_arrives_later(
    pair: tuple[RequestSocket, ssl.SSLSocket],
) -> None:
    server, client = pair
    answer = bytes(range(256)) * 20_000
    with server, client:
        server.sendall(answer[:3_000_000])
        server.sendall(answer[3_000_000:])
        assert 0 < len(server.unsent) < len(answer)
        server.settimeout(None)
        assert server.send(b"behind") == len(b"behind")
        answer += b"behind"
        found = bytearray()
        while len(found) < len(answer):
            found += client.recv(65536)
            with suppress(ssl.SSLWantWriteError):
                server.flush()
        assert found == answer
        assert server.unsent == b""
