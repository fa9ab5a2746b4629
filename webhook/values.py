"""Values of annotations: text → what it means, or WrongValueError. Pure; knows nothing of roles or of the pod."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.config import OnChange
from webhook.outcome import Misnamed
from webhook.wording import clip, quote

Sidecar = Literal["auto", "true", "false"]
FORMATS = ("json", "dotenv", "properties", "raw")

MAX_NAMES = 200
MAX_SEPARATORS = 2000  # empty items don't count as names, but are read
MAX_FILE_NAME = 100
MAX_KEY = 253
MAX_VARIABLE = 253
MAX_TEMPLATE_BYTES = 32 * 1024

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODE = re.compile(r"0?[46][04][04]")  # a secret that others may write or run is a mistake
_HTTP = re.compile(r"http:([0-9]{1,5})/([A-Za-z0-9._~/%=&?+-]{0,200})")
_PLACEHOLDER = re.compile(r"\{\{\s*[^{}\s][^{}]*\}\}")  # as the agent reads it, and with a key in it


class WrongValueError(ValueError):
    """An annotation's value. The message says what was got and expected, without the annotation's name."""

    def __init__(self, message: str, misnamed: Misnamed | None = None) -> None:
        super().__init__(message)
        self.misnamed = misnamed


@dataclass(frozen=True, slots=True)
class Names:
    """`everything` is the value `all`; then `names` is empty."""

    names: tuple[str, ...] = ()
    everything: bool = False


NOTHING = Names()


@dataclass(frozen=True, slots=True)
class EnvEntry:
    """One environment variable: `variable` gets the value `key` of the role's secret `entry`."""

    variable: str
    entry: str
    key: str


def items(text: str) -> tuple[str, ...]:
    """Separated by commas or newlines; blanks around an item, and empty items, don't count."""
    separators = text.count(",") + text.count("\n")
    if separators > MAX_SEPARATORS:
        raise WrongValueError(f"got {separators} commas and new lines, expected at most {MAX_NAMES} entries")
    found = tuple(item for item in map(str.strip, text.replace("\n", ",").split(",")) if item)
    if not found:
        raise WrongValueError(f"got {quote(text)}, expected at least one name; or remove the annotation")
    if len(found) > MAX_NAMES:
        raise WrongValueError(f"got {len(found)} entries, expected at most {MAX_NAMES}")
    repeated = _repeated(found)
    if repeated is not None:
        raise WrongValueError(f"got {quote(repeated)} twice, expected it once")
    return found


def _repeated(texts: Iterable[str]) -> str | None:
    """The first one that stands there a second time."""
    seen: set[str] = set()
    for item in texts:
        if item in seen:
            return item
        seen.add(item)
    return None


def names(text: str) -> Names:
    found = items(text)
    if "all" not in found:
        return Names(found)
    if len(found) > 1:
        raise WrongValueError(f"got {quote(text)}, expected either all or names")
    return Names(everything=True)


def one_name(text: str) -> str:
    if not text.strip() or "," in text:
        raise WrongValueError(f"got {quote(text)}, expected one name")
    return text.strip()


def boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise WrongValueError(f'got {quote(text)}, expected "true" or "false", in lower case')
    return text == "true"


def sidecar(text: str) -> str:
    if text not in {"auto", "true", "false"}:
        raise WrongValueError(f'got {quote(text)}, expected "auto", "true" or "false", in lower case')
    return text


def env(text: str) -> tuple[EnvEntry, ...]:
    entries = tuple(_env_entry(item) for item in items(text))
    repeated = _repeated(entry.variable for entry in entries)
    if repeated is not None:
        raise WrongValueError(f"got the variable {clip(repeated, 80)} twice, expected it once")
    return tuple(sorted(entries, key=lambda entry: entry.variable))


def _env_entry(item: str) -> EnvEntry:
    variable, equals, source = (part.strip() for part in item.partition("="))
    entry, dot, rest = source.partition(".")
    if not (equals and dot and entry and rest):
        raise WrongValueError(
            f"got {quote(item)}, expected NAME=entry.key, such as SMTP_PASSWORD=smtp.password"
        )
    if not _VARIABLE.fullmatch(variable) or len(variable) > MAX_VARIABLE:
        raise WrongValueError(
            f"got the variable {quote(variable)}, expected letters, digits and _, no digit first, at most {MAX_VARIABLE} characters"
        )
    return EnvEntry(variable, entry, key(rest))


def on_change(text: str) -> OnChange | None:
    if text == "none":
        return None
    if text == "restart":
        raise WrongValueError(
            'got "restart", which this release does not have; expected "none" or http:PORT/PATH'
        )
    match = _HTTP.fullmatch(text)
    if not match or not 0 < int(match[1]) < 65536:  # noqa: PLR2004 - a TCP port has 16 bits
        raise WrongValueError(
            f'got {quote(text)}, expected "none" or http:PORT/PATH, such as http:8080/-/reload'
        )
    return OnChange(int(match[1]), match[2])


def file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text) or len(text) > MAX_FILE_NAME:
        raise WrongValueError(
            f"got {quote(text)}, expected a file name without folder: letters, digits, . _ -, no dot first, at most {MAX_FILE_NAME} characters"
        )
    return text


def file_format(text: str) -> str:
    if text not in FORMATS:
        raise WrongValueError(
            f"got {quote(text)}, expected one of {', '.join(FORMATS)}", Misnamed(text, FORMATS)
        )
    return text


def key(text: str) -> str:
    if not text or len(text) > MAX_KEY or not text.isprintable():
        raise WrongValueError(
            f"got {quote(text)}, expected the name of one key of the secret, at most {MAX_KEY} characters"
        )
    return text


def template(text: str) -> str:
    size = len(text.encode(errors="replace"))
    if not text or size > MAX_TEMPLATE_BYTES:
        raise WrongValueError(
            f"got {size} bytes, expected 1 to {MAX_TEMPLATE_BYTES} bytes of text with {{{{ key }}}} in it"
        )
    if "{{" in _PLACEHOLDER.sub("", text):  # the agent would refuse it, when the pod is there already
        raise WrongValueError(
            "got a {{ without a key and its }}, expected {{ key }}, with nothing but a key in it"
        )
    if not _PLACEHOLDER.search(text):
        raise WrongValueError(
            "got no {{ key }}, without which nothing of the secret is in the file; expected at least one"
        )
    return text


def mode(text: str) -> str:
    if not _MODE.fullmatch(text):
        raise WrongValueError(
            f"got {quote(text)}, expected an octal mode that its owner can read, and that lets nobody else write "
            "and nobody execute, such as 0440, 0400 or 0444"
        )
    return f"{int(text, 8):04o}"
