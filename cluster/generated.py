"""One cluster's folder of the generated tree: `cluster.json` and the catalog, as the webhook reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from policies import names
from policies.catalog import (
    MANIFEST,
    CatalogError,
    Certificate,
    Cluster,
    NamespaceCatalog,
    Secret,
    digest,
    parse_cluster,
    parse_namespace,
)


@dataclass(frozen=True, slots=True)
class Tree:
    """`files`: SHA-256 (hex) by file name, of everything that the webhook's volume should hold."""

    cluster: Cluster
    namespaces: Mapping[str, NamespaceCatalog]
    files: Mapping[str, str]

    def accounts(self) -> Iterator[tuple[str, str, str]]:
        """Namespace, service account, and the role file that names them."""
        for namespace, catalog in self.namespaces.items():
            for role in catalog.roles.values():
                for account in role.service_accounts:
                    yield namespace, account, role.source

    def secrets(self) -> Iterator[Secret]:
        for catalog in self.namespaces.values():
            for role in catalog.roles.values():
                yield from role.secrets.values()

    def certificates(self) -> Iterator[Certificate]:
        for catalog in self.namespaces.values():
            for role in catalog.roles.values():
                yield from role.certificates.values()

    def longest_life(self, mount: str) -> int:
        """In seconds, of what roles have signed by `mount`; 0 where nothing is."""
        lives = [item.ttl_seconds for item in self.certificates() if item.sign.startswith(f"{mount}/sign/")]
        for catalog in self.namespaces.values():
            for role in catalog.roles.values():
                lives += [
                    account.identity.ttl_seconds
                    for account in role.service_accounts.values()
                    if account.identity and account.identity.sign.startswith(f"{mount}/sign/")
                ]
        return max(lives, default=0)


def read(generated: Path, name: str) -> Tree:
    """Raises ClusterError, which names the file and what to do."""
    top = generated / name
    if not names.is_label(name) or not (top / "cluster.json").is_file():
        known = ", ".join(sorted(path.parent.name for path in generated.glob("*/cluster.json"))) or "none"
        raise ClusterError(
            f"{top / 'cluster.json'}: no such file; expected a generated cluster (here: {known}): give its name with "
            "--cluster, the tree with --generated, or run `podkeys policies generate`"
        )
    files = {path.name: _bytes(path) for path in sorted((top / "catalog").glob("*.json"))}
    top_file = _bytes(top / "cluster.json")
    try:
        cluster = parse_cluster(top_file)
        found = [parse_namespace(content) for name, content in files.items() if name != MANIFEST]
    except CatalogError as error:
        raise ClusterError(f"{top}: {error}; run `podkeys policies generate`") from None
    files["cluster.json"] = top_file
    return Tree(
        cluster,
        {item.namespace: item for item in found},
        {name: digest(content) for name, content in files.items()},
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClusterError(f"{path}: can't be read: {error.strerror}; check its permissions") from None
