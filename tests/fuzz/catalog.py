"""Coverage-guided fuzzing of the catalog's reader: CatalogError, or what can be written, and read again as the same.

Run as tests.fuzz.policies.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["policies.catalog", "policies.catalog_files"]):
    from policies.catalog import cluster_json, manifest_json, namespace_json, to_bytes
    from policies.catalog_files import CatalogError, parse_cluster, parse_manifest, parse_namespace

LONGEST = 1000  # characters of a message: it stands in a log
CLUSTER = Path(__file__).parents[2] / "deploy" / "example" / "generated" / "eu-nl-prod-a"
GOOD = [CLUSTER / name for name in ("cluster.json", "catalog/manifest.json", "catalog/payments.json")]
TEXTS = [b"", *(file.read_bytes() for file in GOOD)]
FORMS: list[tuple[Callable[[bytes], Any], Callable[[Any], Mapping[str, Any]]]] = [
    (parse_namespace, namespace_json),
    (parse_manifest, manifest_json),
    (parse_cluster, cluster_json),
]


def one(content: bytes) -> None:
    """The first byte chooses a file, or none; the next three, where in it how many bytes are replaced by the rest."""
    whole = TEXTS[content[0] % len(TEXTS)] if content else b""
    start = int.from_bytes(content[1:3], "little") % (len(whole) + 1)
    text = whole[:start] + content[4:] + whole[start + sum(content[3:4]) :]
    for parse, to_json in FORMS:
        try:
            found = parse(text)
        except CatalogError as error:
            if len(str(error)) > LONGEST:
                raise RuntimeError(str(error)) from None
            continue
        if parse(to_bytes(to_json(found))) != found:
            raise RuntimeError(found)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
