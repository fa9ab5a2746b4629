"""Reads the files of a generated tree, each no further than such a file can be long."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from policies.apply.bundle import digest
from policies.apply.errors import TreeError

CLUSTER_FILES = ("cluster.json", "catalog.configmap.yaml")
CATALOG = "catalog"  # holds files; as the name of a Kubernetes namespace it holds folders too
REGENERATE = "run `podkeys policies generate` and review what it changes"

_LONGEST = 2**20  # bytes; a server takes no longer policy
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character: the server keeps another


class Reader:
    """Reads each file once; with a bundle's digests, only what was reviewed."""

    def __init__(self, generated: Path, reviewed: Mapping[str, str] | None = None) -> None:
        self._generated = generated
        self._reviewed = reviewed
        self._read: set[str] = set()

    def text(self, file: Path) -> str:
        """Raises TreeError."""
        name = file.relative_to(self._generated).as_posix()
        self._read.add(name)
        content = _content(file)
        if self._reviewed is not None and self._reviewed.get(name) != digest(content):
            known = "changed since its review" if name in self._reviewed else "not reviewed"
            raise TreeError(f"{file}: {known}; expected the tree of the bundle: check out what was signed")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise TreeError(
                f"{file}: got no UTF-8 text (byte {error.start + 1}: {error.reason}); {REGENERATE}"
            ) from None

    def json(self, file: Path) -> tuple[str, Any]:
        """The text and its value, which reads the same to everybody. Raises TreeError."""
        text = self.text(file)
        try:
            if _SURROGATE.search(text):
                _refuse("the escape of a surrogate")
            return text, json.loads(
                text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
            )
        except (ValueError, RecursionError) as error:
            raise TreeError(f"{file}: got no JSON ({error}); {REGENERATE}") from None

    def check_all(self, cluster: str) -> None:
        """Whether all that was reviewed is there: what is missing would be pruned."""
        own = {name for name in self._reviewed or () if name.startswith(f"{cluster}/") and _applied(name)}
        missing = sorted(own - self._read)
        if missing:
            raise TreeError(
                f"{self._generated / missing[0]}: missing, and it was reviewed; check out what was signed"
            )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST + 1)
    except OSError as error:
        raise TreeError(f"{file}: can't be read: {error.strerror}") from None
    if len(content) > _LONGEST:
        raise TreeError(
            f"{file}: got more than 1 MiB, expected a policy or role that a server takes; {REGENERATE}"
        )
    return content


def _applied(name: str) -> bool:
    """Whether apply reads a file of the tree: the catalog goes to Kubernetes alone."""
    parts = name.split("/")
    return parts[-1] != CLUSTER_FILES[1] and not (len(parts) == 3 and parts[1] == CATALOG)  # noqa: PLR2004 - cluster/catalog/file


def _refuse(got: str) -> NoReturn:
    raise ValueError(f"it holds {got}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice would show one value to the reviewer and another to the server."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key is given twice among {', '.join(sorted(found))}")
    return found
