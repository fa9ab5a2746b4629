"""TLS for the admission port: the serving certificate as it stands on disk, and connections that can't linger."""

import errno
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

ANSWER_SECONDS = 2.0  # for the peer to take an answer

Signature = tuple[tuple[int, int, int], ...]


class TLSError(ValueError):
    """The certificate and key can't serve. The message names the files, never what stands in the key."""


class UnreadableError(TLSError):
    """The files could not be read at all, such as without a free file descriptor: worth another try as they are."""


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
    """Build a context from PEM files.

    Raises TLSError, also where certificate and key don't belong together, and UnreadableError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslsocket_class = RequestSocket
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        context.load_cert_chain(cert_file, key_file, password=lambda: "")  # never a prompt
    except (OSError, ValueError, x509.InvalidVersion) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM certificate"
        unreadable = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
        raise (UnreadableError if unreadable else TLSError)(
            f"{cert_file} and {key_file} can't serve: {reason}; "
            "expected a PEM certificate chain and its unencrypted PEM key"
        ) from None
    return Serving(context, certificate.not_valid_after_utc.timestamp())


class Contexts:
    """The context for the next connection; a new one when the files changed, the old one while they are wrong.

    Safe to call from many threads. `error` is empty, or says why the files on disk are not what is served.
    """

    def __init__(self, cert_file: Path, key_file: Path, on_change: Callable[[str], None]) -> None:
        """Raises TLSError. `on_change` gets `error` each time that changed files were read."""
        self._files, self._on_change = (cert_file, key_file), on_change
        self._lock = threading.Lock()
        self._seen = _signature(self._files)
        self._serving = read(cert_file, key_file)
        self.error = ""

    @property
    def not_after(self) -> float:
        return self._serving.not_after

    def current(self) -> ssl.SSLContext:
        """Two stat calls when nothing changed. One thread reads what did; the others don't wait for it."""
        if _signature(self._files) != self._seen and self._lock.acquire(blocking=False):
            try:
                self._reread()
            finally:
                self._lock.release()
        return self._serving.context

    def _reread(self) -> None:
        before, seen = (
            self.error,
            _signature(self._files),
        )  # before reading: the next look sees a swap in the middle
        try:
            self._serving = read(*self._files)
            self._seen, self.error = seen, ""
        except UnreadableError as error:
            self.error = str(error)
            if self.error == before:
                return
        except TLSError as error:
            self._seen, self.error = seen, str(error)
        self._on_change(self.error)


def _signature(files: tuple[Path, Path]) -> Signature:
    return tuple(_stat(path) for path in files)


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, at every connection
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)
