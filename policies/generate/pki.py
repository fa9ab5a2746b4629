"""PKI roles, every field given: what a role leaves out, a server allows or decides by itself."""

from collections.abc import Mapping
from typing import Any

from certs.profiles import KeyType, Usage, service_dns_names, spiffe_id
from policies.generate.hcl import Stanza
from policies.roles.types import Certificate, Cluster, Identity, RunsAs

BACKDATED_SECONDS = 60  # a pod whose clock is a little behind can use its certificate at once

_KEYS: dict[KeyType, tuple[str, int]] = {
    "ec-p256": ("ec", 256),
    "rsa-2048": ("rsa", 2048),
    "rsa-3072": ("rsa", 3072),
}


def dns_names(cluster: Cluster, place: RunsAs, entry: Certificate) -> tuple[str, ...]:
    """By service and domain, in the order of the files; it is the order in which the agent sends them."""
    return tuple(
        name
        for service in entry.services
        for name in service_dns_names(service, place.namespace, cluster.dns_domains)
    )


def svid_id(cluster: Cluster, place: RunsAs, account: str) -> str:
    return spiffe_id(cluster.trust_domain, place.namespace, account)


def serving_role(cluster: Cluster, place: RunsAs, entry: Certificate) -> dict[str, Any]:
    ranges = [str(network) for network in cluster.pod_cidrs] if entry.pod_ip else []
    return _role(entry.key, entry.usages, entry.ttl) | {
        "allowed_domains": list(dns_names(cluster, place, entry)),
        "allow_bare_domains": True,  # an allowed domain itself, and nothing below it
        "allow_ip_sans": entry.pod_ip,
        "allowed_ip_sans_cidr": ranges,
        "generate_lease": entry.revoke,
        "no_store": not entry.revoke,  # what nobody revokes needs no place in the server's storage
    }


def identity_role(cluster: Cluster, place: RunsAs, account: str, identity: Identity) -> dict[str, Any]:
    return _role("ec-p256", ("server", "client"), identity.ttl) | {
        "allowed_uri_sans": [svid_id(cluster, place, account)],
    }


def serving_stanza(cluster: Cluster, place: RunsAs, entry: Certificate, sign: str) -> Stanza:
    """What the role can't stop: a subset of the names, a shorter life, names that were not asked for."""
    allowed = {"alt_names": (",".join(dns_names(cluster, place, entry)),)} | (
        {"ip_sans": ()} if entry.pod_ip else {}
    )
    return _stanza(f"certificate {entry.name}", sign, entry.ttl, allowed, "alt_names")


def identity_stanza(cluster: Cluster, place: RunsAs, account: str, ttl: int, sign: str) -> Stanza:
    return _stanza(
        f"identity of {account}", sign, ttl, {"uri_sans": (svid_id(cluster, place, account),)}, "uri_sans"
    )


def _stanza(
    asked_by: str, sign: str, ttl: int, names: Mapping[str, tuple[str, ...]], required: str
) -> Stanza:
    allowed: dict[str, tuple[str, ...]] = {"csr": (), "format": ("pem",), "ttl": (f"{ttl}s",)}
    # HashiCorp Vault compares the parts of a value one by one, and an empty one has none: it would sign without any name.
    denied = {required: ("",)}
    return Stanza(asked_by, sign, "update", allowed | dict(names), (required, "csr"), denied)


def _role(key: KeyType, usages: tuple[Usage, ...], ttl: int) -> dict[str, Any]:
    """Everything shut, but for the key, the usages and the life."""
    key_type, key_bits = _KEYS[key]
    return {
        "issuer_ref": "default",
        "ttl": ttl,
        "max_ttl": ttl,
        "not_before_duration": BACKDATED_SECONDS,
        "not_after": "",
        "not_before": "",
        "not_after_bound": "forbid",
        "not_before_bound": "forbid",
        "key_type": key_type,
        "key_bits": key_bits,
        "signature_bits": 0,
        "use_pss": False,
        "key_usage": ["DigitalSignature"] if key_type == "ec" else ["DigitalSignature", "KeyEncipherment"],
        "ext_key_usage": [],
        "ext_key_usage_oids": [],
        "server_flag": "server" in usages,
        "client_flag": "client" in usages,
        "code_signing_flag": False,
        "email_protection_flag": False,
        "basic_constraints_valid_for_non_ca": False,
        "use_csr_common_name": False,
        "use_csr_sans": False,
        "require_cn": False,
        "cn_validations": ["hostname"],
        "enforce_hostnames": True,
        "generate_lease": False,
        "no_store": True,
        **_NAMES,
    }


_NAMES: dict[str, Any] = {
    "allowed_domains": [],
    "allowed_domains_template": False,
    "allow_bare_domains": False,
    "allow_subdomains": False,
    "allow_glob_domains": False,
    "allow_globs_in_identity_templates": False,
    "allow_wildcard_certificates": False,
    "allow_any_name": False,
    "allow_localhost": False,
    "allow_token_displayname": False,
    "allow_ip_sans": False,
    "allowed_ip_sans_cidr": [],
    "allowed_uri_sans": [],
    "allowed_uri_sans_template": False,
    "allowed_other_sans": [],
    "allowed_serial_numbers": [],
    "allowed_user_ids": [],
    "policy_identifiers": [],
    "country": [],
    "locality": [],
    "organization": [],
    "ou": [],
    "postal_code": [],
    "province": [],
    "street_address": [],
}
