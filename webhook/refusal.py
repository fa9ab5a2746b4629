"""Answers that need neither the request's body nor Flask: what refuses work must cost less than the work. Pure."""

from dataclasses import dataclass
from http import HTTPStatus

RETRY = (("Retry-After", "1"),)  # so the API server does, up to ten times within its own timeout


@dataclass(frozen=True, slots=True)
class Refusal:
    status: HTTPStatus
    message: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        return f"podkeys: {self.message}\n"

    def to_bytes(self, *, close: bool) -> bytes:
        """An HTTP/1.1 response."""
        fields = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(self.text.encode())),
            "Connection": "close" if close else "keep-alive",
            **dict(self.headers),
        }
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", self.text]).encode()


OVERLOADED = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "too many or too long requests; try again in a second", RETRY
)
LATE = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "got a part of a request, expected all of it within the request timeout"
)
LONG_HEAD = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "got a longer request head, expected at most 32 KiB"
)
