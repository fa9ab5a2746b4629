"""From which role file a policy was generated, as its header says. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

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
    """A stanza that decided about no request. `entry`: of the role file, that asked for it; both are empty where nothing tells."""

    file: str
    line: int
    path: str
    role_file: str
    entry: str

    @property
    def of_all_agents(self) -> bool:
        """Whether generation gives it to everybody, so that no role file can be without it."""
        return self.entry in _OF_ALL_AGENTS


def origin(file: PolicyFile) -> Origin:
    if not file.text.startswith(MARK.encode()):
        return Origin()
    header = _lf(file.text[:_HEADER_LENGTH]).decode("utf-8", "replace").partition("\n\n")[0]
    said = {found[1]: found[2] for found in _HEADER.finditer(header)}
    return Origin(said.get("source", ""), said.get("owner", ""))


def unused(inventory: Inventory, stanzas: Iterable[Stanza]) -> Iterator[Unused]:
    """With the entry that asked for each, which the comment above it names. Those of one policy must stand together."""
    files = {file.file: file for file in inventory.policies.values()}
    for name, own in groupby(stanzas, attrgetter("policy")):
        role_file = origin(files[name]).role_file
        lines = _lf(files[name].text).split(b"\n")
        for stanza in own:
            entry = _comment(lines[stanza.line - 2]) if role_file and stanza.line > 1 else ""
            yield Unused(name, stanza.line, stanza.path, role_file, entry)


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
    }
