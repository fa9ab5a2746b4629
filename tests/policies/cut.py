"""Stands between a client and a server, and cuts the connection at one of its writes, before or after the server got it."""

import http.client
from contextlib import AbstractContextManager
from typing import Literal
from urllib.parse import urlsplit

from tests.policies.listening import Handler, Listener, listening

WRITES = ("PUT", "POST", "DELETE")
When = Literal["before", "after"]


class Cut(Listener):
    """`number` counts writes from 1, those to `path` where it is given; `cut` says whether it came to that."""

    def __init__(self, address: str, number: int, when: When, path: str) -> None:
        super().__init__(("127.0.0.1", 0), _Cutting)
        self.behind = urlsplit(address)
        self.number = number
        self.when = when
        self.counted = path
        self.writes = 0
        self.cut = False
        self.fault = False


class _Cutting(Handler):
    server: Cut

    def answer(self) -> None:
        body = self.read_body()
        counted = self.command in WRITES and self.path.startswith(f"/v1/{self.server.counted}")
        self.server.writes += counted
        cutting = counted and self.server.writes == self.server.number
        self.server.cut |= cutting
        if not (cutting and self.server.when == "before"):
            status, headers, answer = self._ask(body)
        if cutting and self.server.fault:
            self.reply(500, {}, b'{"errors": ["internal error"]}')
            return
        if cutting:
            self.close_connection = True
            return
        kept = {name: headers[name] for name in ("Content-Type", "X-Vault-Index") if name in headers}
        self.reply(status, kept, answer)

    def _ask(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        behind = self.server.behind
        connection = http.client.HTTPConnection(str(behind.hostname), behind.port, timeout=10)
        try:
            headers = {name: value for name, value in self.headers.items() if name.startswith("X-Vault-")}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def cutting(address: str, number: int, when: When, path: str = "") -> AbstractContextManager[Cut]:
    return listening(Cut(address, number, when, path))


def failing(address: str, path: str, number: int = 1, *, done: bool = True) -> AbstractContextManager[Cut]:
    """Answers that write to `path` with 500; `done`: after the server has done it."""
    cut = Cut(address, number, "after" if done else "before", path)
    cut.fault = True
    return listening(cut)
