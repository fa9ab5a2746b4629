"""Where a request ends, whatever pieces it comes in."""

import pytest
from gunicorn import http
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from hypothesis import given
from hypothesis import strategies as st

from webhook.incoming import MAX_BODY, MAX_DISCARDED, MAX_HEAD, Incoming


def request(body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = ["POST /mutate HTTP/1.1", "Host: webhook", *headers, f"Content-Length: {size}", "", ""]
    return "\r\n".join(lines).encode() + body


def fed(content: bytes, size: int = 16 * 1024) -> Incoming:
    incoming = Incoming()
    for start in range(0, len(content), size):
        incoming.feed(content[start : start + size])
    return incoming


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(1, 60), min_size=1))
def test_the_pieces_do_not_matter(body: bytes, behind: bytes, sizes: list[int]) -> None:
    whole = request(body)
    rest, incoming, turn = whole + behind, Incoming(), 0
    while not incoming.whole:
        size = sizes[turn % len(sizes)]
        incoming.feed(rest[:size])
        rest, turn = rest[size:], turn + 1
    found, following = incoming.take()
    assert found == whole
    assert not incoming.endless
    assert following.held == len(behind) - len(rest)


def test_it_is_whole_with_its_last_byte_and_not_before() -> None:
    whole = request(b'{"a": 1}')
    assert not any(fed(whole[:size]).whole for size in range(len(whole)))
    assert fed(whole, 1).whole


HEADERS = st.lists(
    st.sampled_from(
        [
            "X-Content-Length: 3",
            "content-length: 5",
            "Content-Length : 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 9" + "9" * 30,
            "Transfer-Encoding: chunked",
            "transfer-encoding:identity",
            " Content-Length: 4",
            "X: a\tContent-Length: 4",
        ]
    ),
    max_size=3,
)


@given(HEADERS, st.integers(0, 12) | st.none())
def test_gunicorn_finds_the_same_body_or_refuses_the_request(headers: list[str], length: int | None) -> None:
    """Were our reading of a request longer than gunicorn's, the difference would begin the next request."""
    given_length = [] if length is None else [f"Content-Length: {length}"]
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", *headers, *given_length, "", ""]).encode()
    incoming = fed(head + b"0123456789ab")
    assert incoming.whole
    found, _ = incoming.take()
    try:
        parsed = next(http.get_parser(Config(), (found,), ("192.0.2.1", 1)))
    except ParseException:  # each of its refusals closes the connection
        return
    if not incoming.endless:
        assert found == head + parsed.body.read()


def test_of_a_body_over_the_limit_nothing_is_kept_but_its_end_is_found() -> None:
    whole = request(b"x" * (MAX_BODY + 1))
    incoming = fed(whole[:-1])
    assert not incoming.whole
    assert incoming.held < 100
    incoming.feed(b"xnext")
    assert incoming.whole
    found, following = incoming.take()
    assert found == request(b"", length=MAX_BODY + 1)
    assert (following.held, incoming.endless) == (len(b"next"), False)


@pytest.mark.parametrize(
    "head",
    [
        request(b"", length=MAX_BODY + MAX_DISCARDED + 1),
        request(b"", "Transfer-Encoding: chunked"),
        b"x" * (MAX_HEAD + 1),
    ],
    ids=["too-long", "chunked", "no-end-of-head"],
)
def test_what_has_no_end_to_wait_for_is_handed_over_at_once_and_ends_the_connection(head: bytes) -> None:
    incoming = fed(head)
    assert (incoming.whole, incoming.endless) == (True, True)
    assert incoming.take()[0] == head
