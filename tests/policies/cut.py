"""Stands between a client and a server, and cuts the connection at one of its writes, before or after the server got it."""

import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

WRITES = ("PUT", "POST", "DELETE")
When = Literal["before", "after"]


class Cut(http.server.ThreadingHTTPServer):
    """`number` counts writes from 1; `cut` says whether it came to that."""

    def __init__(self, address: str, number: int, when: When) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(address)
        self.number = number
        self.when = when
        self.writes = 0
        self.cut = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits for the client's acknowledgement
    server: Cut

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.writes += self.command in WRITES
        cutting = self.command in WRITES and self.server.writes == self.server.number
        self.server.cut |= cutting
        if not (cutting and self.server.when == "before"):
            status, headers, answer = self._ask(body)
        if cutting:
            self.close_connection = True
            return
        self.send_response(status)
        for name in ("Content-Type", "X-Vault-Index"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

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

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._pass_on
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def cutting(address: str, number: int, when: When) -> Iterator[Cut]:
    with Cut(address, number, when) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
