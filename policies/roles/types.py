"""What role, cluster and boundary files say, once they have been checked. Lives are in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from certs.profiles import KeyType, Usage
from policies.catalog import AuthMethod, Engine, Platform


@dataclass(frozen=True, slots=True)
class RunsAs:
    """Service accounts of one namespace in one cluster: the only workloads that may use the role."""

    cluster: str
    namespace: str
    service_accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Secret:
    """A key-value secret. `mount` and `path` (below the mount) may hold `{cluster}` and `{namespace}`."""

    name: str
    engine: Engine
    mount: str
    path: str
    env: bool


@dataclass(frozen=True, slots=True)
class Database:
    """Short-lived accounts. `path` is MOUNT/creds/ROLE and may hold the placeholders."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Certificate:
    name: str
    services: tuple[str, ...]
    pod_ip: bool
    ttl: int
    usages: tuple[Usage, ...]
    key: KeyType
    revoke: bool


@dataclass(frozen=True, slots=True)
class Identity:
    ttl: int


@dataclass(frozen=True, slots=True)
class ServiceRole:
    """One role file. `source` is its path below the folder of roles, with forward slashes."""

    name: str
    owner: str
    source: str
    runs_as: tuple[RunsAs, ...]
    secrets: tuple[Secret, ...]
    databases: tuple[Database, ...]
    certificates: tuple[Certificate, ...]
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster file. `ca_pem` empty: the system's roots. Versions are (major, minor)."""

    name: str
    vault_address: str
    vault_namespace: str
    ca_pem: str
    auth_method: AuthMethod
    auth_mount: str
    audience: str
    serving_mount: str
    identity_mount: str
    trust_domain: str
    dns_domains: tuple[str, ...]
    pod_cidrs: tuple[IPv4Network | IPv6Network, ...]
    pod_ip_accepted: bool
    min_ttl: int
    min_kubelet: tuple[int, int]
    platform: Platform


@dataclass(frozen=True, slots=True)
class SecretsBelow:
    """Key-value secrets at `path` (below the mount; empty for all of it) and below it. `env`: also as variables."""

    engine: Engine
    mount: str
    path: str
    env: bool


@dataclass(frozen=True, slots=True)
class CertificateLimits:
    """`services` None: any Service of the namespace, whose names all end in it."""

    services: tuple[str, ...] | None
    max_ttl: int
    pod_ip: bool


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary file: what roles may claim in some namespaces. `file` is as the user opens it.

    `clusters` None: all. `databases` are MOUNT/creds/ROLE, or MOUNT/creds for all of a mount. Certificates None:
    no certificate; `identity_ttl` 0: no identity. `lines`: where each limit stands, by its path below `spec`.
    """

    name: str
    file: str
    namespaces: tuple[str, ...]
    clusters: tuple[str, ...] | None
    owners: tuple[str, ...]
    secrets: tuple[SecretsBelow, ...]
    databases: tuple[str, ...]
    certificates: CertificateLimits | None
    identity_ttl: int
    lines: Mapping[str, int]
