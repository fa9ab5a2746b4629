"""TLS for the admission port: the serving certificate as it stands on disk, and connections that can't linger."""

import errno
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from webhook.kept import Kept, State, signature

ANSWER_SECONDS = 2.0  # for the peer to take an answer


class TLSError(ValueError):
    """The certificate and key can't serve. The message names the files, never what stands in the key."""


class RequestSocket(ssl.SSLSocket):
    """A connection on which each answer has one deadline, however slowly it is read.

    What is late is reported as a reset connection: gunicorn ends those without a trace.
    """

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]  # gunicorn sends bytes only
        late = time.monotonic() + ANSWER_SECONDS
        view = memoryview(data)
        while view:
            remaining = late - time.monotonic()
            if remaining <= 0:
                raise ConnectionResetError(errno.ECONNRESET, "the answer was not read in time")
            self.settimeout(remaining)
            try:
                view = view[self.send(view, flags) :]
            except TimeoutError:
                continue


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
