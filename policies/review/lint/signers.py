"""PKI roles that have a name of ours, as generation writes them or as `bao read -format=json` printed them. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.review.inventory import Inventory

_PATH = re.compile(r"(?P<mount>.+)/roles/(?P<name>podkeys\.(?P<namespace>[^./]+)\.[^/]+)")
_IN_TREE = re.compile(r"(?:.*/)?(?P<cluster>[^/]+)/[^/]+/[^/]+/(?:pki|identity)\.[^/]+\.json")


@dataclass(frozen=True, slots=True)
class Signer:
    """`path`: MOUNT/roles/NAME. `cluster`: whose folder of the generated tree it is in, or empty. `text`: the file's, for the lines in it."""

    file: str
    path: str
    sign: str
    namespace: str
    cluster: str
    fields: Mapping[str, Any]
    text: bytes

    @property
    def last(self) -> str:
        """The certificate, or the service account."""
        return self.path.rpartition(".")[2]


def signers(inventory: Inventory) -> Iterator[Signer]:
    """Raises ReviewError for what is no JSON."""
    for other in inventory.others:
        path, fields = other.read()
        found = _PATH.fullmatch(path)
        if found:
            place = _IN_TREE.fullmatch(other.file)
            yield Signer(
                other.file,
                path,
                f"{found['mount']}/sign/{found['name']}",
                found["namespace"],
                place["cluster"] if place else "",
                fields if isinstance(fields, dict) else {},
                other.text,
            )
