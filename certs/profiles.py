"""What a certificate is asked to be: names, usages, key, life. No I/O and no cryptography here, so it imports fast."""

from dataclasses import dataclass
from typing import Literal, get_args

KeyType = Literal["ec-p256", "rsa-2048", "rsa-3072"]
Usage = Literal["server", "client"]

KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)
USAGES: tuple[Usage, ...] = get_args(Usage)

MAX_SPIFFE_ID_BYTES = 2048  # SPIFFE-ID, section 2.3
MAX_TRUST_DOMAIN_BYTES = 255  # SPIFFE-ID, section 2.1


@dataclass(frozen=True, slots=True)
class Profile:
    """One certificate as it is asked for; what comes back is compared with it.

    `dns_names`, `ip_addresses` and `uris` are the subject alternative names, all of them and no others.
    `ip_addresses` are in the textual form of `ipaddress`, one per address family of the pod.
    """

    key: KeyType
    usages: tuple[Usage, ...]
    ttl_seconds: int
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def service_dns_names(service: str, namespace: str, domains: tuple[str, ...]) -> tuple[str, ...]:
    """The names by which a Service is called, never the bare one: it would be the same in every namespace.

    `domains` are the cluster's, each including its `svc` label, such as `svc.cluster.local`.
    """
    qualified = f"{service}.{namespace}"
    return (qualified, f"{qualified}.svc", *(f"{qualified}.{domain}" for domain in domains))


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    """The workload's SPIFFE ID in the layout that Kubernetes issuers share: /ns/NAMESPACE/sa/SERVICE_ACCOUNT."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"
