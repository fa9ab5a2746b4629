"""Where entries stand in role files, for what was granted in vain. Reads the folder `roles/` beside a generated tree."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from policies.errors import ProblemsError
from policies.review.beside import role_folder
from policies.roles.document import load
from policies.roles.folder import read_bytes

_LISTS = {"secrets": "secret", "databases": "database", "certificates": "certificate"}
_IDENTITY = "identity of "


class RoleFiles:
    """Each is read once, and only when it is asked about."""

    def __init__(self, generated: Path) -> None:
        self._folder = role_folder(generated)
        self._known: dict[str, tuple[str, Mapping[str, int]]] = {}

    def places(self, role_file: str, asked_by: str) -> tuple[str, ...]:
        """Of the entries that asked for a stanza, each with its line, such as `roles/payments.yaml:14: secret stripe`.

        Without a line where the file isn't there or can't be read, or has no such entry any more.
        """
        if role_file not in self._known:
            self._known[role_file] = self._read(role_file)
        shown, lines = self._known[role_file]
        return tuple(
            f"{shown}:{lines[key]}: {entry}" if key in lines else f"{role_file}: {entry}"
            for entry in asked_by.split("; ")
            for key in (_IDENTITY if entry.startswith(_IDENTITY) else entry,)
        )

    def _read(self, role_file: str) -> tuple[str, Mapping[str, int]]:
        """The name comes from a comment: it leads to nothing outside the folder."""
        named = PurePosixPath(role_file)
        if self._folder and not named.is_absolute() and ".." not in named.parts:
            path = self._folder / named
            try:
                return str(path), dict(_entries(load(str(path), read_bytes(path))))
            except ProblemsError:
                pass
        return role_file, {}


def _entries(document: MappingNode) -> Iterator[tuple[str, int]]:
    """As generation names them in a policy, and their lines; what is wrong in a file is for `generate` to say."""
    for key, value in _fields(dict(_named(document)).get("spec")):
        if key.value == "identity":
            yield _IDENTITY, key.start_mark.line + 1
        elif key.value in _LISTS and isinstance(value, SequenceNode):
            for item in value.value:
                name = dict(_named(item)).get("name")
                if isinstance(name, ScalarNode):
                    yield f"{_LISTS[key.value]} {name.value}", item.start_mark.line + 1


def _named(node: Node | None) -> Iterator[tuple[str, Node]]:
    yield from ((key.value, value) for key, value in _fields(node))


def _fields(node: Node | None) -> Iterator[tuple[ScalarNode, Node]]:
    pairs = node.value if isinstance(node, MappingNode) else ()
    yield from ((key, value) for key, value in pairs if isinstance(key, ScalarNode))
