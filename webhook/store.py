"""The catalog on disk: read whole or not at all."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from policies.catalog import MANIFEST, Cluster, Manifest, NamespaceCatalog, digest
from policies.catalog_files import CatalogError, parse_cluster, parse_manifest, parse_namespace
from webhook.config import LoadedCatalog
from webhook.kept import Content, Kept, State

ANY_BYTES = ("utf-8", "surrogateescape")
MAX_FILE_BYTES = 64 * 1024 * 1024  # far above any generated file; a wrong path must not fill the memory


def load(catalog_dir: Path, cluster_file: Path) -> LoadedCatalog:
    """Read `manifest.json`, the files that it lists and `cluster.json`.

    Raises CatalogError, with the file's name first, where one of them is missing, is not what the manifest says,
    belongs to another cluster, or stands in the folder without being listed.
    """
    present = {item.name for item in catalog_dir.glob("*.json") if not _same(item, cluster_file)}
    return _load(catalog_dir, cluster_file, _read, present)


def read(catalog_dir: Path, cluster_file: Path) -> tuple[LoadedCatalog, bytes]:
    """As `load`, and the content of all files that were read, for `parse`."""
    contents: dict[str, str] = {}

    def reader(path: Path) -> bytes:
        content = _read(path)
        contents[str(path)] = content.decode(*ANY_BYTES)
        return content

    present = {item.name for item in catalog_dir.glob("*.json") if not _same(item, cluster_file)}
    return _load(catalog_dir, cluster_file, reader, present), json.dumps(contents).encode()


def parse(content: bytes, catalog_dir: Path, cluster_file: Path) -> LoadedCatalog:
    """What `read` gave, checked again as if it stood on disk. Raises CatalogError."""
    contents: dict[str, str] = json.loads(content)
    present = {Path(path).name for path in contents if path != str(cluster_file)}
    return _load(catalog_dir, cluster_file, lambda path: contents[str(path)].encode(*ANY_BYTES), present)


def _load(
    catalog_dir: Path, cluster_file: Path, reader: Callable[[Path], bytes], present: set[str]
) -> LoadedCatalog:
    """`present` are the names of the folder's JSON files."""
    cluster = _cluster(cluster_file, reader)
    path = catalog_dir / MANIFEST
    content = reader(path)
    try:
        manifest = parse_manifest(content)
    except CatalogError as error:
        raise CatalogError(f"{path}: {error}") from None
    _check_cluster(path, manifest.cluster, cluster.name)
    _check_listed(path, manifest, present)
    namespaces = [
        _namespace(catalog_dir / name, reader(catalog_dir / name), expected, cluster.name)
        for name, expected in sorted(manifest.files.items())
    ]
    return LoadedCatalog(cluster, {item.namespace: item for item in namespaces}, digest(content))


def _cluster(path: Path, reader: Callable[[Path], bytes]) -> Cluster:
    try:
        return parse_cluster(reader(path))
    except CatalogError as error:
        raise CatalogError(f"{path}: {error}") from None


def _check_listed(path: Path, manifest: Manifest, present: set[str]) -> None:
    """Every name is a plain one of this folder, and no further JSON file stands there."""
    for name in manifest.files:
        if Path(name).name != name or not name.endswith(".json") or name == MANIFEST:
            raise CatalogError(f"{path}: got the file name {name!r}, expected NAMESPACE.json")
    unlisted = sorted(present - set(manifest.files) - {MANIFEST})
    if unlisted:
        raise CatalogError(
            f"{path}: does not list {', '.join(unlisted)}; deploy the folder whole, as it was generated"
        )


def _namespace(path: Path, content: bytes, expected: str, cluster: str) -> NamespaceCatalog:
    if digest(content) != expected:
        raise CatalogError(
            f"{path}: got SHA-256 {digest(content)}, expected {expected} as {MANIFEST} says; "
            "deploy the folder whole, as it was generated"
        )
    try:
        found = parse_namespace(content)
    except CatalogError as error:
        raise CatalogError(f"{path}: {error}") from None
    _check_cluster(path, found.cluster, cluster)
    if f"{found.namespace}.json" != path.name:
        raise CatalogError(f"{path}: got namespace {found.namespace!r}, expected {path.stem!r}")
    return found


def _check_cluster(path: Path, got: str, expected: str) -> None:
    if got != expected:
        raise CatalogError(
            f"{path}: got cluster {got!r}, expected {expected!r} as the cluster file says; "
            "give --catalog and --cluster of the same cluster"
        )


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise CatalogError(f"{path}: got no such file, expected what `podkeys policies generate` writes")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise CatalogError(f"{path}: got more than {MAX_FILE_BYTES} bytes")
    return content


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False


def kept(
    catalog_dir: Path,
    cluster_file: Path,
    on_change: Callable[[State[LoadedCatalog | None]], None],
    clock: Callable[[], float] = time.time,
) -> Kept[LoadedCatalog | None]:
    """The catalog of these files, not read yet; None until they have been right once."""
    return Kept[LoadedCatalog | None](
        State(None),
        lambda: (catalog_dir, cluster_file, *sorted(catalog_dir.glob("*.json"))),
        Content(
            lambda: read(catalog_dir, cluster_file),
            lambda content: parse(content, catalog_dir, cluster_file),
            CatalogError,
        ),
        on_change=on_change,
        clock=clock,
    )
