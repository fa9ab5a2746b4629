"""Which protections a server is known to lack, decided before anything is written to it. Pure.

A forecast by what the server calls itself: apply reads back every role all the same.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from policies.apply.plan import Conflict, conflict
from policies.apply.state import Desired, Item

OPENBAO_FLOOR = (2, 6, 2)
VAULT_FLOOR = (1, 21)
NAMESPACES_SINCE = (2, 3)  # OpenBao; HashiCorp Vault has them in Enterprise alone

# Fields that the PKI roles of HashiCorp Vault don't have (read on 1.21.4), each with the value that asks for nothing more than the
# generated policy holds as well. Written all the same, they would be dropped with a warning.
_NOT_IN_VAULT: Mapping[str, Any] = {
    "allow_globs_in_identity_templates": False,
    "allowed_ip_sans_cidr": [],
    "not_after_bound": "forbid",
    "not_before": "",
    "not_before_bound": "forbid",
}
# What they have besides: all is given, as with every field, so that no server decides by itself.
_IN_VAULT_ALONE: Mapping[str, Any] = {"serial_number_source": "json"}
_BOUNDS = ("not_after_bound", "not_before_bound")
_RANGES = "allowed_ip_sans_cidr"


@dataclass(frozen=True, slots=True)
class Product:
    """What answers. `version` as (major, minor, patch). `enterprise`: HashiCorp Vault's Enterprise edition."""

    name: str
    version: tuple[int, ...]
    enterprise: bool = False

    @property
    def is_vault(self) -> bool:
        return self.name != "OpenBao"

    @property
    def has_namespaces(self) -> bool:
        """Whether a namespace header means anything: HashiCorp Vault Community ignores it in silence."""
        return self.enterprise if self.is_vault else self.version >= NAMESPACES_SINCE

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"


def product(health: Mapping[str, Any]) -> Product:
    """From the answer of sys/health: HashiCorp Vault says `enterprise` there, and OpenBao begins with version 2."""
    number = re.match(r"(\d+)\.(\d+)\.(\d+)", str(health.get("version", "")))
    version = tuple(map(int, number.groups())) if number else (0, 0, 0)
    is_vault = "enterprise" in health or version < (2,)
    name = "HashiCorp Vault" if is_vault else "OpenBao"
    return Product(name, version, enterprise=is_vault and health.get("enterprise") is True)


@dataclass(frozen=True, slots=True)
class Fit:
    """What of a tree a server can take: `desired` without the fields that it doesn't have.

    `refused`: path → why that item, and with it all of its service role, is not to be written. `weaker`: sentences about what holds less there.
    """

    desired: Desired
    refused: Mapping[str, Conflict]
    weaker: tuple[str, ...]


def fit(server: Product, desired: Desired) -> Fit:
    refused = {path: no for path, item in desired.items.items() if (no := _refusal(server, item))}
    items = {
        path: replace(item, fields=writable(server, item.fields)) if item.kind == "PKI role" else item
        for path, item in desired.items.items()
    }
    return Fit(replace(desired, items=items), refused, tuple(_weaker(server, desired)))


def _refusal(server: Product, item: Item) -> Conflict | None:
    if item.kind != "PKI role":
        return None
    with_addresses = bool(item.fields.get("allow_ip_sans") or item.fields.get(_RANGES))
    if not server.is_vault:
        if server.version >= OPENBAO_FLOOR or not with_addresses:
            return None
        reason = f"{server} ignores {_RANGES} for addresses in the CSR (GHSA-g892-p242-8g86)"
        return conflict(item, reason, "take podIP out of the role file, or upgrade to OpenBao 2.6.2 or newer")
    if with_addresses:
        reason = f"PKI roles of {server} have no {_RANGES}: this one would sign any IP address"
        return conflict(item, reason, "take podIP out of the role file, or use OpenBao 2.6.2 or newer")
    for field, harmless in _NOT_IN_VAULT.items():
        wanted = item.fields.get(field, harmless)
        if wanted != harmless and (wanted or harmless):
            reason = f"PKI roles of {server} have no {field}, and the tree asks for {wanted!r}"
            return conflict(item, reason, "run `podkeys policies generate`, or use OpenBao 2.6.2 or newer")
    return None


def writable(server: Product, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a PKI role as this server can hold them."""
    if not server.is_vault:
        return dict(fields)
    return {
        **{field: value for field, value in fields.items() if field not in _NOT_IN_VAULT},
        **_IN_VAULT_ALONE,
    }


def _weaker(server: Product, desired: Desired) -> Iterator[str]:
    floor = VAULT_FLOOR if server.is_vault else OPENBAO_FLOOR
    if server.version < floor:
        wanted = ".".join(map(str, floor))
        yield f"{server} is older than {wanted}, the oldest that Podkeys is tried with: upgrade it"
    if not server.is_vault:
        return
    yield (
        f"{server} has no check-and-set for policies: apply looks again before each write and after the last, and what others "
        "write in between, for as long as a request takes, is overwritten"
    )
    roles = [item for item in desired.items.values() if item.kind == "PKI role"]
    if any(item.fields.get(field) for item in roles for field in _BOUNDS):
        yield (
            f"PKI roles of {server} have no not_after_bound and no not_before_bound: that a certificate ends with its ttl is held by the "
            "generated policy alone, so let no other policy grant the sign paths of these roles (podkeys policies lint finds those)"
        )
    if any(item.fields.get("allowed_uri_sans") for item in roles):
        yield (
            f"{server} signs an identity certificate that has its SPIFFE ID twice for a pod that asks for that itself: "
            "let peers expect one, as X.509-SVIDs have"
        )
