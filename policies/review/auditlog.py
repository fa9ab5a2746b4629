"""Requests out of a server's audit log: one JSON object a line, values HMACed (file, socket or syslog device, format json)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

LONGEST = 16 * 2**20  # bytes of a line; the server takes no larger request
_HIDDEN = "hmac-"
_BY = "granting_policies"


class Hidden:
    """A value that the log doesn't tell."""


HIDDEN = Hidden()


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that a token made. `operation` as the log has it, so create and update are told apart.

    `namespace` is empty for the root. `allowed` is what the server decided then.
    """

    time: str
    policies: tuple[str, ...]
    operation: str
    path: str
    parameters: Mapping[str, object]
    wrap_ttl: float | None
    namespace: str
    allowed: bool


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a file of any size, in bounded memory; one that is too long comes as an empty one."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            line = b"\n"
        yield line


def entry(line: bytes) -> Entry | None:
    """None for answers, which repeat their requests, and for what needs no policy: logins, a CA's certificate, `sys/health`.

    Such a request was allowed, and no policy granted it.

    Raises ValueError for what is no entry.
    """
    document = orjson.loads(line)
    if not isinstance(document, dict) or "type" not in document:
        raise ValueError("got JSON that is no entry of an audit log")
    auth, request = _part(document, "auth"), _part(document, "request")
    results = _part(auth, "policy_results")
    if (
        document["type"] != "request"
        or not results
        or (results.get("allowed") is True and not results.get(_BY))
    ):
        return None
    wrap_ttl = request.get("wrap_ttl")
    return Entry(
        str(document.get("time", "")),
        tuple(sorted(set(_texts(auth.get("policies"))))),
        str(request.get("operation", "")),
        str(request.get("path", "")),
        _shown(request.get("data")),
        wrap_ttl if isinstance(wrap_ttl, int | float) and wrap_ttl else None,
        str(_part(request, "namespace").get("path", "")),
        results.get("allowed") is True,
    )


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> Iterable[str]:
    return map(str, value) if isinstance(value, list) else ()


def _shown(data: object) -> dict[str, object]:
    """Texts are HMACed unless the device logs raw or a mount is tuned otherwise; numbers and booleans are not."""
    if not isinstance(data, dict):
        return {}
    return {name: HIDDEN if _hidden(value) else value for name, value in data.items()}


def _hidden(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith(_HIDDEN)
    return isinstance(value, list | dict)
