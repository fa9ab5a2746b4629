"""YAML bytes → composed nodes, which know their line and column. Refuses what a small file never needs, in bounded time."""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from policies.errors import Problem, ProblemsError

MAX_BYTES = 256 * 1024

_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
_REFERENCES = frozenset("&*")


def load(file: str, content: bytes) -> MappingNode:
    """The one mapping in `content`. Raises ProblemsError with a single problem.

    libyaml stops at a nesting of 1000 by itself; anchors and aliases are refused, so nothing multiplies.
    """
    text = _text(file, content)
    if not _REFERENCES.isdisjoint(text):
        _refuse_references(file, text)
    try:
        node = yaml.CSafeLoader(text).get_single_node()
    except yaml.YAMLError as error:
        raise ProblemsError([_syntax(file, text, error)]) from None
    if node is None:
        raise _refusal(
            file, 0, "got an empty file, expected one YAML document; `podkeys policies new` writes a start"
        )
    if not isinstance(node, MappingNode):
        raise _refusal(
            file, 1, f"got {shown(node)}, expected a document that begins with apiVersion and kind"
        )
    return node


_URL_USER = re.compile(r"://[^/\s]*@")


def shown(node: Node) -> str:
    """What stands there, in words: a text with its quotes, another scalar with its type, else the kind of thing.

    The user and password of a URL are left out: messages end in logs.
    """
    if not isinstance(node, ScalarNode):
        return "a mapping" if isinstance(node, MappingNode) else "a list"
    whole = _URL_USER.sub("://(hidden)@", node.value)
    value = whole if len(whole) <= 80 else f"{whole[:77]}..."  # noqa: PLR2004 - one line of a terminal
    kind, text = node.tag.rpartition(":")[2], repr(value)
    if kind == "str":
        return text
    if kind == "null":
        return "nothing"
    return f"the {_KINDS.get(kind, repr(kind)[1:-1])} {text[1:-1]}"


_KINDS = {"bool": "boolean", "int": "number", "float": "number", "timestamp": "date"}


def _text(file: str, content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _refusal(file, 0, f"got more than {MAX_BYTES} bytes, expected a small file; split the role")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _refusal(file, 1, "got a byte order mark, expected plain UTF-8; save the file without it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(
            file, line, f"got the byte 0x{content[error.start]:02x}, expected UTF-8 text"
        ) from None
    found = _TAB_INDENT.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise _refusal(file, line, "got a tab, expected spaces: YAML allows no tabs in the indentation")
    return text


def _refuse_references(file: str, text: str) -> None:
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            name = getattr(event, "anchor", None)
            if name is not None:
                mark: Any = event.start_mark
                message = (
                    f"got the anchor or alias {name!r}, expected the value itself; write it out, or quote it"
                )
                raise ProblemsError([Problem(file, mark.line + 1, mark.column + 1, message)])
    except yaml.YAMLError as error:
        raise ProblemsError([_syntax(file, text, error)]) from None


def _syntax(file: str, text: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
    if mark is None:
        position = getattr(error, "position", 0)
        line = text.encode()[:position].count(b"\n") + 1
        return Problem(
            file, line, 1, f"got a character that YAML does not allow ({reason}), expected plain text"
        )
    if reason == "but found another document":
        message = "got a second document, expected one: write each role and cluster to a file of its own"
    else:
        message = (
            f"got broken YAML ({reason}), expected a key and its value; quote texts with special characters"
        )
    return Problem(file, mark.line + 1, mark.column + 1, message)


def _refusal(file: str, line: int, message: str) -> ProblemsError:
    return ProblemsError([Problem(file, line, 1 if line else 0, message)])
