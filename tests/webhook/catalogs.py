"""Writes small catalogs, laid out as the generator and a ConfigMap volume lay them out."""

from pathlib import Path

from policies.catalog import (
    MANIFEST,
    Cluster,
    Manifest,
    NamespaceCatalog,
    Role,
    Secret,
    ServiceAccount,
    cluster_json,
    digest,
    manifest_json,
    namespace_json,
    to_bytes,
)

CLUSTER = Cluster(
    name="eu-nl-prod-a",
    vault_address="https://vault.example.com:8200",
    vault_namespace="",
    ca_pem="",
    auth_method="jwt",
    auth_mount="jwt-eu-nl-prod-a",
    audience="vault",
    serving_mount="pki-eu-nl-prod-a",
    identity_mount="spiffe-eu-nl-prod-a",
    min_kubelet=(1, 35),
    platform="kubernetes",
)


def role(name: str, namespace: str) -> Role:
    account = ServiceAccount(f"{name}-api", f"podkeys.{namespace}.{name}.{name}-api")
    stripe = Secret("stripe", "kv2", f"kv/data/{namespace}/stripe", env=True)
    return Role(name, f"{name}.yaml", f"team-{name}", {account.name: account}, {"stripe": stripe}, {})


def namespace_bytes(namespace: str, *roles: str, cluster: str = CLUSTER.name) -> bytes:
    found = {name: role(name, namespace) for name in roles}
    return to_bytes(namespace_json(NamespaceCatalog(cluster, namespace, found)))


def write_files(folder: Path, namespaces: dict[str, bytes], *, cluster: str = CLUSTER.name) -> None:
    """The namespace files by namespace, and the manifest that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.json": content for name, content in namespaces.items()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = Manifest(cluster, {name: digest(content) for name, content in files.items()})
    (folder / MANIFEST).write_bytes(to_bytes(manifest_json(manifest)))


def write(home: Path, *roles: str) -> tuple[Path, Path]:
    """A catalog folder with one namespace `payments`, and a cluster file beside it."""
    folder, cluster_file = home / "catalog", home / "cluster.json"
    write_files(folder, {"payments": namespace_bytes("payments", *(roles or ("payments",)))})
    cluster_file.write_bytes(to_bytes(cluster_json(CLUSTER)))
    return folder, cluster_file


def mount(volume: Path, version: Path) -> None:
    """Make `volume` show the files of `version`, as the kubelet does: one atomic rename of `..data`."""
    volume.mkdir(exist_ok=True)
    next_link = volume / "..data_tmp"
    next_link.symlink_to(version)
    next_link.rename(volume / "..data")
    for item in version.iterdir():
        link = volume / item.name
        if not link.is_symlink():
            link.symlink_to(Path("..data", item.name))
