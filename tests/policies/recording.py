"""A server that answers as an empty Vault does, over TLS, and keeps what it was sent, and by whom."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import tls
from tests.policies.listening import Handler, Listener, listening

OPENBAO = {"initialized": True, "sealed": False, "version": "2.7.2"}
VAULT = {"initialized": True, "sealed": False, "version": "1.21.4", "enterprise": False}
EMPTY: dict[str, object] = {
    "sys/auth": {},
    "sys/mounts": {},
    "transit/sign/review": {"signature": "vault:v1:AAAA"},
}


@dataclass(frozen=True)
class Received:
    """`certified`: the client showed a certificate."""

    method: str
    path: str
    headers: Mapping[str, str]
    certified: bool


@dataclass
class Recording(Listener):
    """`data` of each answer by path; the rest is not there."""

    data: Mapping[str, object]
    health: Mapping[str, object]
    context: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        if self.context:
            self.socket = self.context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    __hash__ = object.__hash__

    @property
    def address(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - the base class's own
        """A client that trusts another CA ends the handshake, and is not a fault of this server."""


class _Recording(Handler):
    server: Recording

    def answer(self) -> None:
        self.read_body()
        path = self.path.partition("?")[0].removeprefix("/v1/")
        certified = isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())
        self.server.received.append(Received(self.command, path, dict(self.headers), certified))
        if path == "sys/health":
            self.reply(200, {}, json.dumps(self.server.health).encode())
        elif path in self.server.data:
            self.reply(200, {}, json.dumps({"data": self.server.data[path]}).encode())
        else:
            self.reply(404, {}, b'{"errors": []}')


def plain(data: Mapping[str, object] = EMPTY, health: Mapping[str, object] = OPENBAO) -> Any:  # noqa: ANN401 - a context manager of Recording
    return listening(Recording(data, health))


@dataclass(frozen=True)
class Certified:
    """A server with a certificate of its own, and the CA that verifies it alone."""

    server: Recording
    ca_file: Path


@contextmanager
def certified(folder: Path, clients: Path, health: Mapping[str, object] = OPENBAO) -> Iterator[Certified]:
    """`clients`: the CA of certificates that a client may show."""
    folder.mkdir()
    certificate, key = tls.write_pair(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_OPTIONAL
    with listening(Recording(EMPTY, health, context)) as server:
        yield Certified(server, certificate)
