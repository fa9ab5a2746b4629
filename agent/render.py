"""Secrets → the bytes of files and of the kubelet's environment file. Pure. Messages name keys, never values."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from agent.config import File, Variable
from agent.errors import AgentError

MAX_ENV_LINE_BYTES = 64 * 1024 - 1  # the kubelet's scanner ends there
MAX_ENV_FILE_BYTES = 131_069

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

Values = Mapping[str, Any]


def file_bytes(file: File, values: Values) -> bytes:
    """One file from the values of the read it names. Raises AgentError `render`."""
    if file.template:
        text = _template(file, values)
    elif file.key:
        text = _text(file.source, file.key, values)
    else:
        text = _renderer(file)(file.source, values)
    return _encoded(file.source, file.key or file.path, text)


def env_bytes(variables: tuple[Variable, ...], values: Mapping[str, Values]) -> bytes:
    """`NAME='value'` lines, as the kubelet's fileKeyRef reads them; refuses what it would change or leak."""
    content = b"".join(_env_line(variable, values[variable.source]) for variable in variables)
    if len(content) > MAX_ENV_FILE_BYTES:
        raise AgentError(
            "render",
            f"the environment variables take {len(content)} bytes, the kubelet reads {MAX_ENV_FILE_BYTES}",
            "ask for fewer in the annotation env, or read them from a file",
        )
    return content


def _env_line(variable: Variable, values: Values) -> bytes:
    value = _text(variable.source, variable.key, values)
    if any(c in "='\"#" or c.isspace() or not c.isprintable() for c in variable.name) or not variable.name:
        raise AgentError("config", "env holds a name that no variable can have", "correct the annotation env")
    line = f"{variable.name}='{value}'\n".encode(errors="surrogatepass")
    for problem, found in (
        ("is empty", not value),
        ("holds a single quote", "'" in value),
        ("holds a NUL", "\0" in value),
        ("holds a carriage return", "\r" in value),
        ("is not UTF-8", not _is_unicode(value)),
        ("has a line of 64 KiB or more", max(map(len, line.split(b"\n"))) > MAX_ENV_LINE_BYTES),
    ):
        if found:
            raise AgentError(
                "render",
                f"key {variable.key} of {variable.source} {problem}, which no environment variable can carry ({variable.name})",
                "change the secret, or read it from a file instead of the annotation env",
            )
    return line


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _renderer(file: File) -> Callable[[str, Values], str]:
    renderers = {"json": _json, "dotenv": _dotenv, "properties": _properties, "raw": _raw}
    if file.format not in renderers:
        raise AgentError(
            "config", f"files: format {file.format!r} is unknown", f"expected one of {', '.join(renderers)}"
        )
    return renderers[file.format]


def _json(source: str, values: Values) -> str:
    return _dumped(source, values) + "\n"


def _dumped(source: str, value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise AgentError(
            "render", f"{source} holds a number that JSON can't carry", "write it as a string"
        ) from None


def _dotenv(source: str, values: Values) -> str:
    return "".join(
        f"{_dotenv_key(source, key)}={_quoted(_text(source, key, values))}\n" for key in sorted(values)
    )


def _dotenv_key(source: str, key: str) -> str:
    if not _SHELL_NAME.fullmatch(key):
        raise AgentError(
            "render",
            f"key {key!r} of {source} is no variable name, which dotenv needs",
            "rename it to letters, digits and underscores, or use the format json",
        )
    return key


def _quoted(value: str) -> str:
    """Exact for a POSIX shell; dotenv libraries agree on the first two spellings.

    They differ on backslashes: within single quotes some read a doubled one, or one before a quote, as an escape.
    """
    if "'" not in value and "\\\\" not in value and not value.endswith("\\"):
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def _properties(source: str, values: Values) -> str:
    return "".join(
        f"{_escaped(key, spaces=True)}={_escaped(_text(source, key, values), spaces=False)}\n"
        for key in sorted(values)
    )


def _escaped(text: str, *, spaces: bool) -> str:
    """As java.util.Properties.store escapes: every space of a key, the leading one of a value; UTF-16 as backslash-u."""
    named = {
        "\\": "\\\\",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\f": "\\f",
        "=": "\\=",
        ":": "\\:",
        "#": "\\#",
        "!": "\\!",
    }
    parts = []
    for position, character in enumerate(text):
        if character in named:
            parts.append(named[character])
        elif character == " ":
            parts.append("\\ " if spaces or position == 0 else " ")
        elif " " < character <= "~":
            parts.append(character)
        else:
            units = character.encode("utf-16-be", "surrogatepass")
            parts.extend(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))
    return "".join(parts)


def _raw(source: str, values: Values) -> str:
    if len(values) != 1:
        raise AgentError(
            "render",
            f"{source} has {len(values)} keys ({_names(values)}), the format raw writes one",
            f"name it with the annotation key.{source}",
        )
    return _text(source, next(iter(values)), values)


def _template(file: File, values: Values) -> str:
    rest = _PLACEHOLDER.sub("", file.template)
    if "{{" in rest:
        raise AgentError(
            "render",
            f"the template of {file.path} has a {{{{ without its }}}}",
            "write {{ key }}, nothing else",
        )
    return _PLACEHOLDER.sub(lambda found: _text(file.source, found[1], values), file.template)


def _text(source: str, key: str, values: Values) -> str:
    """A string as it is, a number or a boolean as JSON writes it; anything else has no text."""
    if key not in values:
        raise AgentError(
            "render",
            f"{source} has no key {key!r}; it has {_names(values)}",
            "add the key to the secret, or correct the annotation",
        )
    value = values[key]
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return _dumped(source, value)
    kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
    raise AgentError(
        "render",
        f"key {key!r} of {source} is {kind}, expected text",
        "use the format json, or store a string",
    )


def _names(values: Values) -> str:
    return ", ".join(sorted(values)) or "no keys"


def _encoded(source: str, name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise AgentError("render", f"{name} of {source} is not UTF-8", "store it in base64") from None
