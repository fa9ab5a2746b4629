"""From which role file a policy was generated, as its header says. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from policies.acl.stanza import Stanza
from policies.generate.hcl import OWN_TOKEN
from policies.names import MARK
from policies.review.inventory import Inventory, PolicyFile

_HEADER = re.compile(r"^# (source|owner): +(.+)$", re.MULTILINE)
_HEADER_LENGTH = 1000
_OF_ALL_AGENTS = frozenset(stanza.asked_by for stanza in OWN_TOKEN)


@dataclass(frozen=True, slots=True)
class Origin:
    """Both are empty for a policy that wasn't generated: anybody may write such lines."""

    role_file: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A stanza that decided about no request. `entry`: of the role file, that asked for it; both are empty where nothing tells.

    `places`: of its entries, as `Places` gives them.
    """

    file: str
    line: int
    path: str
    role_file: str
    entry: str
    places: tuple[str, ...] = ()


Places: TypeAlias = Callable[
    [str, str], tuple[str, ...]
]  # a role file and what asked for a stanza → where that is


def origin(file: PolicyFile) -> Origin:
    if not file.text.startswith(MARK.encode()):
        return Origin()
    header = _lf(file.text[:_HEADER_LENGTH]).decode("utf-8", "replace").partition("\n\n")[0]
    said = {found[1]: found[2] for found in _HEADER.finditer(header)}
    return Origin(said.get("source", ""), said.get("owner", ""))


def unused(inventory: Inventory, stanzas: Iterable[Stanza], places: Places) -> Iterator[Unused]:
    """With the entry that asked for each, which the comment above it names. Those of one policy must stand together.

    What generation gives to every agent for its own token is left out: no role file can be without it.
    """
    files = {file.file: file for file in inventory.policies.values()}
    for name, own in groupby(stanzas, attrgetter("policy")):
        role_file = origin(files[name]).role_file
        lines = _lf(files[name].text).split(b"\n")
        for stanza in own:
            entry = _comment(lines[stanza.line - 2]) if role_file and stanza.line > 1 else ""
            if entry not in _OF_ALL_AGENTS:
                where = places(role_file, entry) if entry else ()
                yield Unused(name, stanza.line, stanza.path, role_file, entry, where)


def _lf(text: bytes) -> bytes:
    """As it was generated, where git checked it out with other line ends."""
    return text.replace(b"\r\n", b"\n")


def _comment(line: bytes) -> str:
    return line.removeprefix(b"# ").decode("utf-8", "replace") if line.startswith(b"# ") else ""


def unused_json(one: Unused) -> dict[str, Any]:
    return {
        "file": one.file,
        "line": one.line,
        "path": one.path,
        "roleFile": one.role_file,
        "entry": one.entry,
        "places": list(one.places),
    }
