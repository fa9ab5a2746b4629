"""One cluster's catalog: cluster.json, a file a namespace, the manifest, and the same as ConfigMaps. Pure."""

import hashlib
from collections.abc import Mapping

from policies import catalog
from policies.errors import TreeError
from policies.generate.role_files import dumps
from policies.names import MARK
from policies.roles.types import Cluster

SHARD_BYTES = 600 * 1024  # of JSON in one ConfigMap, whose limit is 1 MiB with everything else
MAX_SHARDS = 64  # as many as the webhook's volume takes
_LABELS = "{app.kubernetes.io/name: podkeys}"


def generate(cluster: Cluster, namespaces: Mapping[str, Mapping[str, catalog.Role]]) -> dict[str, bytes]:
    """`namespaces`: roles by name by namespace. Files are by path relative to the tree."""
    top = dumps(catalog.cluster_json(_as_catalog(cluster)))
    entries = {name: _namespace(cluster, name, roles) for name, roles in sorted(namespaces.items())}
    digests = {f"{name}.json": catalog.digest(content) for name, content in entries.items()}
    manifest = dumps(catalog.manifest_json(catalog.Manifest(cluster.name, digests)))
    folder = f"{cluster.name}/catalog"
    files = {f"{folder}/{name}.json": content for name, content in entries.items()}
    return files | {
        f"{folder}/{catalog.MANIFEST}": manifest,
        f"{cluster.name}/cluster.json": top,
        f"{cluster.name}/catalog.configmap.yaml": _config_maps(cluster.name, top, manifest, entries),
    }


def _namespace(cluster: Cluster, name: str, roles: Mapping[str, catalog.Role]) -> bytes:
    in_order = {role: roles[role] for role in sorted(roles)}
    return dumps(catalog.namespace_json(catalog.NamespaceCatalog(cluster.name, name, in_order)))


def _as_catalog(cluster: Cluster) -> catalog.Cluster:
    return catalog.Cluster(
        name=cluster.name,
        vault_address=cluster.vault_address,
        vault_namespace=cluster.vault_namespace,
        ca_pem=cluster.ca_pem,
        auth_method=cluster.auth_method,
        auth_mount=cluster.auth_mount,
        audience=cluster.audience,
        serving_mount=cluster.serving_mount,
        identity_mount=cluster.identity_mount,
        min_kubelet=cluster.min_kubelet,
        platform=cluster.platform,
    )


def _config_maps(cluster: str, top: bytes, manifest: bytes, namespaces: Mapping[str, bytes]) -> bytes:
    """`podkeys-cluster`, `podkeys-catalog` with the manifest, and `podkeys-catalog-N`: one projected volume holds all.

    Those that the catalog doesn't fill are there and empty: `kubectl apply` deletes nothing, and what a larger
    catalog once left in them would hide the files of this one.
    """
    maps = [
        _config_map("podkeys-cluster", {"cluster.json": top}),
        _config_map("podkeys-catalog", {catalog.MANIFEST: manifest}),
    ]
    shards = _shards(cluster, namespaces)
    for number, shard in enumerate(shards):
        maps.append(
            _config_map(f"podkeys-catalog-{number}", {f"{name}.json": namespaces[name] for name in shard})
        )
    maps += [_config_map(f"podkeys-catalog-{number}", {}) for number in range(len(shards), MAX_SHARDS)]
    head = (
        f"{MARK} by `podkeys policies generate` for cluster {cluster}\n"
        "# kubectl apply --server-side -n podkeys-system -f FILE (client-side apply keeps a copy in an annotation of at most 256 KiB)\n"
    )
    return head.encode() + b"".join(maps)


def _shards(cluster: str, namespaces: Mapping[str, bytes]) -> list[list[str]]:
    """By a hash of the namespace's name, in as many shards (a power of two) as the fullest needs: a namespace
    that comes or grows moves no other, unless their number doubles.
    """
    count = 1
    while count <= MAX_SHARDS:
        shards: list[list[str]] = [[] for _ in range(count)]
        for name in namespaces:
            shards[int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % count].append(name)
        if all(sum(len(namespaces[name]) for name in shard) <= SHARD_BYTES for shard in shards):
            return shards
        count *= 2
    largest = max(namespaces, key=lambda name: len(namespaces[name]))
    raise TreeError(
        f"{cluster}/catalog/{largest}.json: got {len(namespaces[largest])} bytes in a catalog of "
        f"{sum(map(len, namespaces.values()))}, expected at most {SHARD_BYTES} in each of {MAX_SHARDS} ConfigMaps; "
        "move roles to other namespaces"
    )


def _config_map(name: str, values: Mapping[str, bytes]) -> bytes:
    """JSON as literal blocks: indented, ASCII (the parser lets nothing else in), with a line break at its end."""
    lines = [f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {_LABELS}}}\n"]
    lines.append("data:\n" if values else "data: {}\n")
    for key, content in values.items():
        lines.append(f"  {key}: |\n")
        lines += [f"    {line}\n" for line in content.decode().splitlines()]
    return "".join(lines).encode()
