r"""What quoted text says. Bytes that are no UTF-8 (`"\xe9"` makes one) become surrogates, as os.fsdecode does it."""

import re

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.)|$)", re.DOTALL
)
_HIGHEST, _REPLACEMENT = 0x10FFFF, 0xFFFD


def unquoted(text: str, *, json: bool) -> str | None:
    """The value of a string with its quotes; None where the server fails on it.

    Go's rules for string literals, in HCL with `${ }` left as it is (hcl/strconv and the standard library's strconv).
    """
    inner = text[1:-1]
    if "\\" not in inner and ("${" not in inner or json):
        return None if "\n" in inner else inner
    try:
        pieces = [_plain(inner, json=json)] if json or "${" not in inner else _interpolated(inner)
        return b"".join(pieces).decode("utf-8", "surrogateescape")
    except ValueError:
        return None


def _plain(text: str, *, json: bool) -> bytes:
    """Raises ValueError for an escape that says nothing."""
    if "\n" in text:
        raise ValueError(text)
    found = bytearray()
    at = 0
    for escape in _ESCAPE.finditer(text):
        found += text[at : escape.start()].encode("utf-8", "surrogateescape")
        at = escape.end()
        found += _escaped(escape, json=json)
    return bytes(found) + text[at:].encode("utf-8", "surrogateescape")


def _escaped(escape: re.Match[str], *, json: bool) -> bytes:
    simple, byte, short, long, octal, _ = escape.groups()
    if simple:
        return bytes([_SIMPLE[simple]])
    if byte:
        return bytes([int(byte, 16)])
    if octal:
        return bytes([int(octal, 8)])  # ValueError above 255
    if not (short or long):
        raise ValueError(escape[0])
    code = int(short or long, 16)
    surrogate = 0xD800 <= code <= 0xDFFF  # noqa: PLR2004 - Unicode's range of them
    if code > _HIGHEST or (surrogate and json):
        raise ValueError(escape[0])
    return chr(_REPLACEMENT if surrogate else code).encode()


def _interpolated(text: str) -> list[bytes]:
    """Raises ValueError for a `${` that is not closed."""
    pieces, at = [], 0
    while at < len(text):
        start = text.find("${", at)
        if start < 0:
            start = len(text)
        pieces.append(_plain(text[at:start], json=False))
        at = _closing(text, start)
        pieces.append(text[start:at].encode("utf-8", "surrogateescape"))
    return pieces


def _closing(text: str, at: int) -> int:
    """Behind the brace that closes the `${` at `at`; the text's end where there is none to close."""
    if at == len(text):
        return at
    braces = 1
    for here in range(at + 2, len(text)):
        braces += (text[here] == "{") - (text[here] == "}")
        if not braces:
            return here + 1
    raise ValueError(text)


def heredoc(text: str) -> str:
    """The lines of a heredoc; with `<<-`, less the indentation of its last line where all lines have it.

    The server cuts the anchor off by its length, so a last line that is indented leaves its blanks (hcl/token).
    """
    raw = text.encode("utf-8", "surrogateescape")
    first = raw.index(b"\n")
    if raw[2:3] != b"-":
        body = raw[first + 1 : len(raw) - first + 1]
    else:
        lines = raw[first + 1 : len(raw) - first + 2].split(b"\n")
        indent = lines[-1]
        if all(line.startswith(indent) for line in lines):
            body = b"\n".join([*(line[len(indent) :] for line in lines[:-1]), b""])
        else:
            body = raw[first + 1 : len(raw) - first + 1].rstrip(b" \t")
    return body.decode("utf-8", "surrogateescape")
