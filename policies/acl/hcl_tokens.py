"""The tokens of HCL 1, as github.com/hashicorp/hcl v1.0.1-vault-7 (hcl/scanner) tells them apart."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from policies.acl.errors import PlaceError


class Token(NamedTuple):
    """`kind` is ident, string, number, float, bool, heredoc, end, or the character itself: `[ ] { } , = . + -`."""

    kind: str
    text: str
    offset: int


_USUAL = re.compile(
    r"""[ \t\n\r]*(?:
    (?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_.\-]*(?![^\x00-\x7f]))
    |(?P<string>"[^"\\$\n]*")
    |(?P<sign>[\[\]{},=])
    |(?P<end>\Z)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK = " \t\n\r"
_DECIMAL = "0123456789"
_HEXADECIMAL = "0123456789abcdefABCDEF"


def tokens(text: str) -> Iterator[Token]:
    """All of them, comments left out, the last of kind `end`.

    Raises PlaceError.
    """
    forbidden = re.search("[\0\ue123]", text)
    if forbidden:
        raise PlaceError(forbidden.start(), f"character {ord(forbidden[0]):#06x} is not allowed in a policy")
    at, match = 0, _USUAL.match
    while True:
        found = match(text, at)
        if found is None:
            token = _unusual(text, at)
            at = token.offset + len(token.text)
            yield token
            continue
        at = found.end()
        kind = str(found.lastgroup)
        if kind == "comment":
            continue
        start, token_text = found.span(kind)[0], found[kind]
        if kind == "sign":
            kind = token_text
        elif token_text in ("true", "false"):
            kind = "bool"
        yield Token(kind, token_text, start)
        if kind == "end":
            return


def _unusual(text: str, at: int) -> Token:
    """What the pattern of the usual doesn't cover, and what is wrong."""
    while text[at] in _BLANK:
        at += 1
    first = text[at]
    if first == '"':
        return Token("string", text[at : _string_end(text, at)], at)
    if first.isalpha() or first == "_":
        return _identifier(text, at)
    if first in _DECIMAL or (first == "-" and text[at + 1 : at + 2] in _DECIMAL and text[at + 1 : at + 2]):
        return _number(text, at)
    if first == "<":
        return Token("heredoc", text[at : _heredoc_end(text, at)], at)
    if first == "." and _is(text, at + 1, _DECIMAL):
        return Token("float", text[at : _exponent(text, _digits(text, at + 1))], at)
    if first in ".+-":
        return Token(first, first, at)
    if first == "/":
        expected = "a comment that ends with */" if text.startswith("/*", at) else "// or /* for a comment"
        raise PlaceError(at, f"got /, expected {expected}")
    raise PlaceError(at, f"got {first!r}, which begins nothing in HCL")


def _is(text: str, at: int, among: str) -> bool:
    return at < len(text) and text[at] in among


def _digits(text: str, at: int) -> int:
    while _is(text, at, _DECIMAL):
        at += 1
    return at


def _identifier(text: str, at: int) -> Token:
    end = at + 1
    while end < len(text) and (text[end].isalpha() or text[end].isdecimal() or text[end] in "_-."):
        end += 1
    return Token("ident", text[at:end], at)


def _number(text: str, at: int) -> Token:
    """The server looks no further than this: whether 08 is a number is asked where its value is needed."""
    end = at + (text[at] == "-")
    if text[end] == "0" and _is(text, end + 1, "xX"):
        digits = end + 2
        while _is(text, digits, _HEXADECIMAL):
            digits += 1
        if digits == end + 2:
            raise PlaceError(at, "got 0x without a hexadecimal digit")
        return Token("number", text[at:digits], at)
    digits = _digits(text, end)
    octal = text[end] == "0" and any(digit in "89" for digit in text[end + 2 : digits])
    if _is(text, digits, "."):
        return Token("float", text[at : _exponent(text, _digits(text, digits + 1))], at)
    if _is(text, digits, "eE"):
        return Token("float", text[at : _exponent(text, digits)], at)
    if octal:
        raise PlaceError(at, f"got {text[at:digits]}, which begins like an octal number and has other digits")
    return Token("number", text[at:digits], at)


def _exponent(text: str, at: int) -> int:
    """Where the exponent at `at`, if one is there, ends."""
    if not _is(text, at, "eE"):
        return at
    start = at + 1 + _is(text, at + 1, "+-")
    end = _digits(text, start)
    if end == start:
        raise PlaceError(at, "got an exponent without digits")
    return end


def _string_end(text: str, at: int) -> int:
    """Behind the closing quote; inside `${ }` quotes and newlines are part of the string."""
    braces, here = 0, at + 1
    while here < len(text):
        char = text[here]
        if char == "\n" and not braces:
            break
        if char == '"' and not braces:
            return here + 1
        if not braces and text.startswith("${", here):
            braces, here = 1, here + 2
            continue
        braces += (char == "{" and braces > 0) - (char == "}" and braces > 0)
        here = _escape_end(text, here) if char == "\\" else here + 1
    raise PlaceError(at, "got a string that is not closed on its line")


_ESCAPED = {"x": (_HEXADECIMAL, 2), "u": (_HEXADECIMAL, 4), "U": (_HEXADECIMAL, 8)}


def _escape_end(text: str, at: int) -> int:
    kind = text[at + 1 : at + 2]
    if kind and kind in 'abfnrtv\\"':
        return at + 2
    digits, count, start = "", 0, at + 2
    if kind in _ESCAPED:
        digits, count = _ESCAPED[kind]
    elif kind and kind in "01234567":
        digits, count, start = "01234567", 3, at + 1
    body = text[start : start + count]
    if not count or len(body) < count or any(digit not in digits for digit in body):
        raise PlaceError(
            at, rf"got the escape \{kind}, expected one of \a \b \f \n \r \t \v \\ \" \nnn \xhh \uhhhh"
        )
    return start + count


def _heredoc_end(text: str, at: int) -> int:
    """Behind the newline that ends the line with the anchor."""
    opening = re.compile(r"<<(-?)(\w*)(?=\n)").match(text, at)
    if opening is None or not opening[2]:
        raise PlaceError(at, "got <, expected a heredoc such as <<EOF, at its line's end")
    closing = re.compile(rf"^[ \t\v\f\r]*{re.escape(opening[2])}\r*\n", re.MULTILINE).search(
        text, opening.end() + 1
    )
    if closing is None:
        raise PlaceError(at, f"got a heredoc whose end, a line of {opening[2]} alone, is missing")
    return closing.end()
