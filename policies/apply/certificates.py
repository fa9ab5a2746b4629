"""Which names and addresses a PKI role may give: those of its own namespace, or of its own service account. Pure.

As with logins, only what reaches past the place in the tree is refused; lives, keys and usages are for the reviewer of the role file.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from policies.roles.cluster import WIDEST

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_TRUST_DOMAIN = re.compile(r"spiffe://[a-z0-9._-]+")

# Field → what the server takes where it is left out. All must be shut: with one of them open, the names that follow limit nothing.
_OPENINGS: Mapping[str, object] = {
    "allow_any_name": False,
    "allow_glob_domains": False,
    "allow_globs_in_identity_templates": False,
    "allow_localhost": True,
    "allow_subdomains": False,
    "allow_token_displayname": False,
    "allow_wildcard_certificates": True,
    "allowed_domains_template": False,
    "allowed_uri_sans_template": False,
    "use_csr_common_name": True,
    "use_csr_sans": True,
    "allowed_other_sans": [],
    "basic_constraints_valid_for_non_ca": False,
}


def openings(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any, object]]:
    """Field, got, expected: what is open that must be shut."""
    for field, default in _OPENINGS.items():
        got = fields.get(field, default)
        shut: object = [] if isinstance(default, list) else False
        if got is not False and got != shut:
            yield field, got, shut


def foreign_names(fields: Mapping[str, Any], namespace: str, account: str) -> Iterator[tuple[str, Any, str]]:
    """Field, got, expected. Of an identity where `account` is given: its SPIFFE ID alone; else names of Services alone."""
    domains, ids = fields.get("allowed_domains", []), fields.get("allowed_uri_sans", [])
    of_service = f"SERVICE.{namespace} and names that begin so"
    if not _all(domains, lambda name: not account and _is_of(name, namespace)):
        yield "allowed_domains", domains, "none" if account else of_service
    if fields.get("allow_ip_sans", True) and (account or not fields.get("allowed_ip_sans_cidr")):
        wanted = "false" if account else "false, or allowed_ip_sans_cidr with the cluster's ranges"
        yield "allow_ip_sans", fields.get("allow_ip_sans", True), wanted
    ranges = fields.get("allowed_ip_sans_cidr", [])
    if not _all(ranges, _is_of_pods):
        yield "allowed_ip_sans_cidr", ranges, "the cluster's networks of pods, at least /8, of IPv6 /32"
    end = f"/ns/{namespace}/sa/{account}"
    if not _all(ids, lambda name: bool(account) and _is_id(name, end)):
        yield "allowed_uri_sans", ids, f"spiffe://TRUST-DOMAIN{end} alone" if account else "none"


def _all(names: object, is_own: Callable[[str], bool]) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and is_own(name) for name in names)


def _is_of(name: str, namespace: str) -> bool:
    labels = name.split(".")
    return len(labels) > 1 and labels[1] == namespace and all(map(_LABEL.fullmatch, labels))


def _is_of_pods(text: str) -> bool:
    """As a cluster file may name it."""
    try:
        network = ip_network(text)
    except ValueError:
        return False
    return network.prefixlen >= WIDEST[network.version]


def _is_id(name: str, end: str) -> bool:
    return name.endswith(end) and _TRUST_DOMAIN.fullmatch(name.removesuffix(end)) is not None
