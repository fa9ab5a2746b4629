"""One cluster's folder of the generated tree: `cluster.json` and the catalog, as the webhook reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from policies import names
from policies.catalog import (
    MANIFEST,
    Certificate,
    Cluster,
    Identity,
    NamespaceCatalog,
    Role,
    Secret,
    digest,
)
from policies.catalog_files import CatalogError, parse_cluster, parse_namespace


@dataclass(frozen=True, slots=True)
class Tree:
    """`files`: SHA-256 (hex) by file name, of everything that the webhook's volume should hold."""

    cluster: Cluster
    namespaces: Mapping[str, NamespaceCatalog]
    files: Mapping[str, str]

    def roles(self) -> Iterator[tuple[str, Role]]:
        """With the namespace of each."""
        for namespace, catalog in self.namespaces.items():
            for role in catalog.roles.values():
                yield namespace, role

    def accounts(self) -> Iterator[tuple[str, str, str]]:
        """Namespace, service account, and the role file that names them."""
        for namespace, role in self.roles():
            for account in role.service_accounts:
                yield namespace, account, role.source

    def secrets(self) -> Iterator[Secret]:
        for _, role in self.roles():
            yield from role.secrets.values()

    def signed(self, mount: str) -> Iterator[Certificate | Identity]:
        """What roles have signed by `mount`."""
        for _, role in self.roles():
            identities = (account.identity for account in role.service_accounts.values())
            for item in (*role.certificates.values(), *identities):
                if item and item.sign.startswith(f"{mount}/sign/"):
                    yield item

    def longest_life(self, mount: str) -> int:
        """In seconds, of what roles have signed by `mount`; 0 where nothing is."""
        return max((item.ttl_seconds for item in self.signed(mount)), default=0)


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
