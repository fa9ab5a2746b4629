"""Which protections a server is known to lack, before anything is written to it. Pure.

Only a forecast for the reader of a plan: apply reads back every role whatever the server calls itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies.apply.state import Desired

OPENBAO_FLOOR = (2, 6, 2)
OPENBAO_NAMESPACES = (2, 3)
VAULT_LACKS = ("allowed_ip_sans_cidr", "not_after_bound", "not_before_bound")


@dataclass(frozen=True, slots=True)
class Product:
    """What answers. `version` as (major, minor, patch). `enterprise`: HashiCorp Vault's Enterprise edition."""

    name: str
    version: tuple[int, ...]
    enterprise: bool = False

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    @property
    def has_namespaces(self) -> bool:
        """A server without them ignores the namespace header in silence, and answers for its root."""
        return self.version >= OPENBAO_NAMESPACES if self.name == "OpenBao" else self.enterprise


def product(health: Mapping[str, Any]) -> Product:
    """From the answer of sys/health: HashiCorp Vault says `enterprise` there, and OpenBao begins with version 2."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", str(health.get("version", "")))
    version = tuple(map(int, found.groups())) if found else (0, 0, 0)
    is_vault = "enterprise" in health or version < (2,)
    return Product("HashiCorp Vault" if is_vault else "OpenBao", version, health.get("enterprise") is True)


def lacking(server: Product, desired: Desired) -> tuple[str, ...]:
    """Sentences about protections that the tree asks for and the server is known not to give."""
    used = {
        field
        for item in desired.items.values()
        if item.kind == "PKI role"
        for field, value in item.fields.items()
        if value
    }
    if server.name == "OpenBao":
        if server.version >= OPENBAO_FLOOR or "allowed_ip_sans_cidr" not in used:
            return ()
        ignored = f"{server} ignores allowed_ip_sans_cidr for names in the CSR (GHSA-g892-p242-8g86)"
        return (f"{ignored}; upgrade to OpenBao 2.6.2 or newer",)
    return (
        f"{server} has no check-and-set for policies: a change made by others at the same moment is overwritten",
        *(
            f"{server} does not know {field}: apply will refuse PKI roles that ask for it; use OpenBao 2.6.2 or newer"
            for field in VAULT_LACKS
            if field in used
        ),
    )
