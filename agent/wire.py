"""Addresses, TLS, and sockets whose reads end in time."""

import ipaddress
import socket
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from agent.clock import Clock
from agent.errors import AgentError


def checked_address(address: str) -> SplitResult:
    """The address in parts. Raises AgentError `config`: https anywhere, http on loopback only."""
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in {"http", "https"} or parts.query or parts.username:
        raise AgentError(
            "config", "vault.address is no address", "expected https://HOST:PORT in the cluster file"
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise AgentError(
            "config",
            f"vault.address is plain http to {parts.hostname}",
            "use https; http is for loopback alone",
        )
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connected(
    host: str, port: int, *, clock: Clock, until: float, context: ssl.SSLContext | None
) -> socket.socket:
    """A connection whose reads `bound` can end; with TLS, after the handshake. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    raw = first_connected([(str(address[4][0]), port) for address in found], clock, until)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(_left(clock, until))
        if context:
            return context.wrap_socket(raw, server_hostname=host)
        return _Bounded(raw.family, raw.type, raw.proto, raw.detach())
    except BaseException:
        raw.close()
        raise


def first_connected(addresses: list[tuple[str, int]], clock: Clock, until: float) -> socket.socket:
    """To the first address that answers. Each gets its share of the time: one that is dead leaves some for the next."""
    *others, last = addresses
    for position, address in enumerate(others):
        with suppress(OSError):
            share = _left(clock, until) / (len(addresses) - position)
            return socket.create_connection(address, timeout=share)
    return socket.create_connection(last, timeout=_left(clock, until))


def _left(clock: Clock, until: float) -> float:
    left = until - clock.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Bounded(socket.socket):
    """A socket whose every read ends at one moment, however slowly the bytes drip."""

    _clock: Clock
    _until: float

    def bound(self, clock: Clock, until: float) -> None:
        self._clock, self._until = clock, until
        self._shrink()

    def _shrink(self) -> None:
        self.settimeout(_left(self._clock, self._until))

    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - handed on as they come
        self._shrink()
        return super().recv_into(*args, **kwargs)


def bound(connection: object, clock: Clock, until: float) -> None:
    if isinstance(connection, _Bounded):  # all that `connected` makes are
        connection.bound(clock, until)


class _BoundedTLS(_Bounded, ssl.SSLSocket):
    """`_Bounded.recv_into` comes first, and hands on to TLS."""


def tls_context(ca_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _BoundedTLS
    if not ca_pem:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError):
        raise AgentError(
            "config", "vault.caPEM holds no certificate that can be read", "check caFile in the cluster file"
        ) from None
    return context
