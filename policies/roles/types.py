"""What role files and cluster files say, once they have been checked. Lives are in seconds."""

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
