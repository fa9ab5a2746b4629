"""One HTTP/1.1 request as its bytes come in, so that no thread has to wait for the rest of it. Pure.

Only its end is looked for, by `Content-Length` alone: gunicorn reads the request, and refuses what it may not be.
"""

import re

MAX_BODY = 3 * 1024 * 1024  # bytes; the API server's own limit of a request
LONG = 128 * 1024  # bytes; ten times a usual review
MAX_DISCARDED = 16 * 1024 * 1024  # of a longer body, taken so that its sender gets to read the answer
MAX_HEAD = 32 * 1024

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)


class Incoming:
    """`feed` it until it is `whole`, then `take` the request.

    Of a body over MAX_BODY nothing is kept, but it is waited for. `endless`: what follows cannot be told from the
    next request, because it is chunked, or too long to wait for; then the request is whole when its head is, or when
    that is too long itself (`long_head`).
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._head = 0  # its length, once it is known
        self._body = 0  # the length that the head says
        self._discarded = 0
        self.endless = False
        self.long_head = False

    @property
    def held(self) -> int:
        """Bytes that this request takes in memory."""
        return len(self._bytes)

    @property
    def whole(self) -> bool:
        return bool(self._head) and len(self._bytes) + self._discarded >= self._head + self._body

    def feed(self, part: bytes) -> None:
        searched = max(0, len(self._bytes) - len(_END) + 1)
        self._bytes += part
        if not self._head:
            self._measure(self._bytes.find(_END, searched))
        if self._body > MAX_BODY:
            excess = min(len(self._bytes) - self._head, self._body - self._discarded)
            del self._bytes[self._head : self._head + excess]
            self._discarded += excess

    def _measure(self, end: int) -> None:
        if end < 0:
            if len(self._bytes) > MAX_HEAD:
                self._head, self.endless, self.long_head = len(self._bytes), True, True
            return
        self._head = end + len(_END)
        lengths = _LENGTH.findall(self._bytes, 0, self._head)
        length = int(lengths[0]) if len(lengths) == 1 else 0
        self.endless = bool(_CHUNKED.search(self._bytes, 0, self._head)) or length > MAX_BODY + MAX_DISCARDED
        self._body = 0 if self.endless else length

    def drop_body(self) -> None:
        """Keep the head alone of a whole request, and what came behind it."""
        del self._bytes[self._head : self._head + self._body - self._discarded]
        self._discarded = self._body

    def take(self) -> tuple[bytes, "Incoming"]:
        """The request, once it is whole, without a body that is too long; and what came behind it."""
        size = self._head + self._body - self._discarded
        following = Incoming()
        following.feed(bytes(self._bytes[size:]))
        request = bytes(self._bytes[:size])
        self._bytes = bytearray()
        return request, following
