"""What was read of the server (OpenBao or HashiCorp Vault), parsed. Pure; each may be an `Unread` in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.finding import Fact


@dataclass(frozen=True, slots=True)
class Mount:
    """`kind` such as kv or pki, `version` of a key-value engine, `max_seconds` 0 for the server's own maximum."""

    kind: str
    version: str = ""
    max_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Signer:
    """One issuer of a PKI mount. `has_key`: the mount can sign with it; pods trust no other."""

    name: str
    pem: str
    has_key: bool
    is_default: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that a mount has stored (PEM). `revoked` as the server says."""

    serial: str
    pem: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`logins`: type by mount, without `auth/`. `login`: the settings of the cluster's own; {} where there are none.

    `spare_keys`: how many keys a PKI mount holds, by mount, and only where no issuer has one.
    """

    mounts: Fact[Mapping[str, Mount]]
    logins: Fact[Mapping[str, str]]
    login: Fact[Mapping[str, Any]]
    serving: Fact[tuple[Signer, ...]]
    identity: Fact[tuple[Signer, ...]]
    spare_keys: Mapping[str, Fact[int]] = field(default_factory=dict)


def mounts(listed: Mapping[str, Any]) -> dict[str, Mount]:
    """From `sys/mounts`."""
    return {
        path.rstrip("/"): Mount(
            item["type"],
            str((item.get("options") or {}).get("version", "")),
            int((item.get("config") or {}).get("max_lease_ttl", 0)),
        )
        for path, item in listed.items()
    }


def logins(listed: Mapping[str, Any]) -> dict[str, str]:
    """From `sys/auth`."""
    return {path.rstrip("/"): str(item["type"]) for path, item in listed.items()}
