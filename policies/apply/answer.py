"""One answer over HTTP, read whole: no longer and no slower than a server may be."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

LONGEST = 256 * 2**20  # bytes; a million accessors are 33 MB
_PIECE = 64 * 2**10
_SHOWN = 400  # characters of a server's own words


class TooMuchError(Exception):
    """It is longer, or takes longer, than the answers of a Vault do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`location`: where a redirect points, empty for what is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    location: str

    @property
    def good(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def json(self) -> dict[str, Any] | None:
        """None for what is no object."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    @property
    def words(self) -> str:
        """What the server says is wrong, on one line; the words of something that is no Vault too."""
        errors = (self.json or {}).get("errors")
        found = errors if isinstance(errors, list) else [self.body[: 10 * _SHOWN].decode(errors="replace")]
        return " ".join(" ".join(map(str, found)).split())[:_SHOWN]


def whole(response: requests.Response, seconds: float, longest: int = LONGEST) -> Answer:
    """Of a response that is streamed. `seconds` and `longest`, in bytes, are for all of its body. Raises TooMuchError and what urllib3 raises."""
    location = response.headers["Location"][:_SHOWN] if response.is_redirect else ""
    with response:
        body = b"".join(_pieces(response, seconds, longest))
    return Answer(response.status_code, response.headers, body, location)


def _pieces(response: requests.Response, seconds: float, longest: int) -> Iterator[bytes]:
    end, length = time.monotonic() + seconds, 0
    while piece := response.raw.read1(_PIECE, decode_content=True):
        length += len(piece)
        if length > longest:
            raise TooMuchError(f"more than {longest} bytes in one answer")
        if time.monotonic() > end:
            raise TooMuchError(f"timed out: an answer was not complete after {seconds:g} s")
        yield piece
