"""A real HTTP server on a real socket that answers as it is told: for answers that a healthy Vault never gives."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

Reply = Callable[[socket.socket, str], None]  # the connection, and the request line


@dataclass
class Odd:
    """`requests` are the request lines that came in; `replies` are used up in order, the last one for ever."""

    address: str
    replies: list[Reply]
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving(*replies: Reply, context: ssl.SSLContext | None = None) -> Iterator[Odd]:
    """With a context: over TLS."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        scheme, port = "https" if context else "http", listener.getsockname()[1]
        if context:
            listener = stack.enter_context(context.wrap_socket(listener, server_side=True))
        odd = Odd(f"{scheme}://127.0.0.1:{port}", list(replies))
        thread = threading.Thread(target=_accept, args=(listener, odd), daemon=True)
        thread.start()
        yield odd
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answer(
    status: int, body: str = "{}", *, headers: tuple[str, ...] = (), length: int | None = None
) -> Reply:
    """One whole answer, after which the connection stays open, or a lie about its length."""
    content = body.encode()
    size = len(content) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {size}", *headers, "", ""])
    return raw(head.encode() + content, close=length is not None)


def raw(content: bytes, *, close: bool = True) -> Reply:
    def reply(connection: socket.socket, line: str) -> None:
        del line
        connection.sendall(content)
        if close:
            connection.shutdown(socket.SHUT_WR)

    return reply


def dripping(stop: threading.Event) -> Reply:
    """A header line that never ends, a byte at a time."""

    def reply(connection: socket.socket, line: str) -> None:
        del line
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    return reply


def silent(stop: threading.Event) -> Reply:
    def reply(connection: socket.socket, line: str) -> None:
        del connection, line
        stop.wait()

    return reply


def _accept(listener: socket.socket, odd: Odd) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except ssl.SSLError:
            continue  # a handshake that the client gave up
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, odd), daemon=True).start()


def _serve(connection: socket.socket, odd: Odd) -> None:
    with suppress(OSError), connection, connection.makefile("rb") as reader:
        while line := reader.readline():
            length = 0
            while (header := reader.readline()) not in {b"\r\n", b""}:
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            reader.read(length)
            odd.requests.append(line.decode(errors="replace").strip())
            reply = odd.replies.pop(0) if len(odd.replies) > 1 else odd.replies[0]
            reply(connection, odd.requests[-1])
