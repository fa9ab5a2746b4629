"""TLS for the admission port: the serving certificate as it stands on disk, and connections that can't linger."""

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from webhook.kept import Kept, State, signature

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


def read(cert_file: Path, key_file: Path) -> Serving:
    """Build a context from PEM files. Raises TLSError, also where certificate and key don't belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslsocket_class = RequestSocket
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        context.load_cert_chain(cert_file, key_file, password=lambda: "")  # never a prompt
    except (OSError, ValueError, x509.InvalidVersion) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM certificate"
        raise TLSError(
            f"{cert_file} and {key_file} can't serve: {reason}; "
            "expected a PEM certificate chain and its unencrypted PEM key"
        ) from None
    return Serving(context, certificate.not_valid_after_utc.timestamp())


def kept(cert_file: Path, key_file: Path, on_change: Callable[[State[Serving]], None]) -> Kept[Serving]:
    """What these files serve, now and when they change. Raises TLSError where they can't serve now."""
    files, now = (cert_file, key_file), time.time()
    seen = signature(files)
    return Kept(
        State(read(*files), now, now, "", seen),
        lambda: files,
        lambda: read(*files),
        TLSError,
        on_change=on_change,
    )
