"""TLS for the admission port: the serving certificate as it stands on disk, and connections that can't linger."""

import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from webhook.kept import Content, Kept, State, signature
from webhook.snapshot import anonymous

RECORD = 16 * 1024  # bytes, of TLS at most


class TLSError(ValueError):
    """The certificate and key can't serve. The message names the files, never what stands in the key."""


class RequestSocket(ssl.SSLSocket):
    """A connection on which no thread waits for an answer to be read.

    What the peer does not take at once is `unsent`, until `flush` has sent the last of it.
    """

    unsent: bytes = b""

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]  # gunicorn sends bytes only
        del flags
        self.unsent += data
        with suppress(ssl.SSLWantWriteError):
            self.flush()

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # gunicorn sends bytes only
        """As `sendall`: gunicorn says 100 Continue so, and would wait for ever."""
        self.sendall(data, flags)
        return len(data)

    def flush(self) -> None:
        """Raises SSLWantWriteError where the peer has to read first."""
        self.settimeout(0)
        view = memoryview(self.unsent)
        try:
            while view:
                view = view[super().send(view[:RECORD]) :]
        finally:
            self.unsent = bytes(view)


@dataclass(frozen=True, slots=True)
class Serving:
    """A context, and when its certificate ends (seconds since the epoch)."""

    context: ssl.SSLContext
    not_after: float


def read(cert_file: Path, key_file: Path) -> tuple[Serving, bytes]:
    """What PEM files serve, and what stands in them. Raises TLSError, also where they don't belong together."""
    try:
        pems = {"certificate": cert_file.read_bytes().decode(), "key": key_file.read_bytes().decode()}
    except (OSError, ValueError) as error:
        raise _cannot_serve(cert_file, key_file, error) from None
    content = json.dumps(pems).encode()
    return parse(content, cert_file, key_file), content


def parse(content: bytes, cert_file: Path, key_file: Path) -> Serving:
    """Build a context from what was read. Raises TLSError."""
    pems = {name: text.encode() for name, text in json.loads(content).items()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslsocket_class = RequestSocket
    try:
        certificate = x509.load_pem_x509_certificate(pems["certificate"])
        with _file(pems["certificate"]) as chain, _file(pems["key"]) as key:
            context.load_cert_chain(chain, key, password=lambda: "")  # never a prompt
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise _cannot_serve(cert_file, key_file, error) from None
    return Serving(context, certificate.not_valid_after_utc.timestamp())


def _cannot_serve(cert_file: Path, key_file: Path, error: Exception) -> TLSError:
    reason = (
        getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError)
        else getattr(error, "strerror", None)
    )
    return TLSError(
        f"{cert_file} and {key_file} can't serve: {reason or 'no PEM certificate'}; "
        "expected a PEM certificate chain and its unencrypted PEM key"
    )


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Its path: OpenSSL takes a key from files alone."""
    descriptor = anonymous(content)
    try:
        yield f"/dev/fd/{descriptor}"
    finally:
        os.close(descriptor)


def kept(cert_file: Path, key_file: Path, on_change: Callable[[State[Serving]], None]) -> Kept[Serving]:
    """What these files serve, now and when they change. Raises TLSError where they can't serve now."""
    files, now = (cert_file, key_file), time.time()
    seen = signature(files)
    value, content = read(*files)
    first = State(value, now, now, "", seen)
    how = Content(lambda: read(*files), lambda content: parse(content, *files), TLSError)
    serving = Kept(first, lambda: files, how, on_change=on_change)
    serving.remember(content)
    return serving
