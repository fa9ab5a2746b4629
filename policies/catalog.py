"""The catalog: what the generator computed and the webhook selects from. Standard library only.

One JSON file a namespace, a manifest with their digests, and one `cluster.json`; `catalog_files` reads them. Every
Vault path, DNS name and SPIFFE ID stands here in full; a reader derives nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from certs.profiles import KeyType, Usage

VERSION = 1
MANIFEST = "manifest.json"

Engine = Literal["kv1", "kv2", "database"]
AuthMethod = Literal["jwt", "kubernetes"]
Platform = Literal["kubernetes", "openshift"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
AUTH_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)
PLATFORMS: tuple[Platform, ...] = get_args(Platform)


@dataclass(frozen=True, slots=True)
class Secret:
    """Something to read: `path` is the API path below /v1/, for key-value version 2 with its `data/`."""

    name: str
    engine: Engine
    path: str
    env: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    name: str
    sign: str
    dns_names: tuple[str, ...]
    pod_ip: bool
    key: KeyType
    ttl_seconds: int
    usages: tuple[Usage, ...]
    revoke: bool


@dataclass(frozen=True, slots=True)
class Identity:
    sign: str
    spiffe_id: str
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    name: str
    auth_role: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """A service role as it stands in one namespace of one cluster; mappings are by entry name, sorted."""

    name: str
    source: str
    owner: str
    service_accounts: Mapping[str, ServiceAccount]
    secrets: Mapping[str, Secret]
    certificates: Mapping[str, Certificate]


@dataclass(frozen=True, slots=True)
class NamespaceCatalog:
    cluster: str
    namespace: str
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`cluster.json`: where the cluster's Vault is and how its pods log in. `ca_pem` empty: the system's roots.

    `min_kubelet` is (major, minor) of the oldest kubelet that may run an injected pod.
    """

    name: str
    vault_address: str
    vault_namespace: str
    ca_pem: str
    auth_method: AuthMethod
    auth_mount: str
    audience: str
    serving_mount: str
    identity_mount: str
    min_kubelet: tuple[int, int]
    platform: Platform


@dataclass(frozen=True, slots=True)
class Manifest:
    """SHA-256 digests (hex) of the namespace files by file name."""

    cluster: str
    files: Mapping[str, str]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def to_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON as the generated tree holds it: sorted keys, two spaces, a final newline; made to be reviewed."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def namespace_json(catalog: NamespaceCatalog) -> dict[str, Any]:
    return {
        "version": VERSION,
        "cluster": catalog.cluster,
        "namespace": catalog.namespace,
        "roles": {name: _role_json(role) for name, role in catalog.roles.items()},
    }


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    return {"version": VERSION, "cluster": manifest.cluster, "files": dict(manifest.files)}


def cluster_json(cluster: Cluster) -> dict[str, Any]:
    return {
        "version": VERSION,
        "cluster": cluster.name,
        "vault": {
            "address": cluster.vault_address,
            "namespace": cluster.vault_namespace,
            "caPEM": cluster.ca_pem,
        },
        "auth": {
            "method": cluster.auth_method,
            "mount": cluster.auth_mount,
            "audience": cluster.audience,
        },
        "pki": {"serving": cluster.serving_mount, "identity": cluster.identity_mount},
        "minKubeletVersion": "{}.{}".format(*cluster.min_kubelet),
        "platform": cluster.platform,
    }


def _role_json(role: Role) -> dict[str, Any]:
    return {
        "source": role.source,
        "owner": role.owner,
        "serviceAccounts": {
            name: {"authRole": account.auth_role}
            | ({"identity": _identity_json(account.identity)} if account.identity else {})
            for name, account in role.service_accounts.items()
        },
        "secrets": {
            name: {"engine": secret.engine, "path": secret.path}
            | ({} if secret.engine == "database" else {"env": secret.env})
            for name, secret in role.secrets.items()
        },
        "certificates": {name: _certificate_json(entry) for name, entry in role.certificates.items()},
    }


def _identity_json(identity: Identity) -> dict[str, Any]:
    return {"sign": identity.sign, "spiffeID": identity.spiffe_id, "ttlSeconds": identity.ttl_seconds}


def _certificate_json(entry: Certificate) -> dict[str, Any]:
    return {
        "sign": entry.sign,
        "dnsNames": list(entry.dns_names),
        "podIP": entry.pod_ip,
        "key": entry.key,
        "ttlSeconds": entry.ttl_seconds,
        "usages": list(entry.usages),
        "revoke": entry.revoke,
    }
