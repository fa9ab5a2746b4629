"""What secrets engine stands at a mount, judged by the paths that policies name: a folder says no more. Pure.

A mount counts as what the paths below it look like, and by the name that the documentation gives it where it isn't named so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from policies.acl.stanza import Stanza
from policies.review.inventory import Inventory

KV2 = frozenset({"data", "metadata", "delete", "undelete", "destroy", "subkeys", "config"})
SERVERS_OWN = ("sys/", "auth/", "identity/", "cubbyhole/")
_FORMS = {
    "kv2": r"(?:data|metadata|delete|undelete|destroy|subkeys)",
    "transit": r"(?:encrypt|decrypt|rewrap|datakey|hmac|verify|export|backup)",
    "pki": r"(?:sign|issue|sign-verbatim|root|intermediate|issuer|issuers)",
    "credentials": r"(?:creds|static-creds|rotate-root|rotate-role)",
}
_NAMES = {"kv2": ("kv", "secret"), "transit": ("transit",), "pki": ("pki",), "credentials": ("database",)}
_MOUNT = {kind: re.compile(rf"([^+*{{]+?)/{form}(?:/|\*?$)").match for kind, form in _FORMS.items()}


@dataclass(frozen=True, slots=True)
class Engines:
    """Mounts without their last slash. `credentials`: databases and their like. `plain`: paths of key-value version 1."""

    kv2: frozenset[str]
    transit: frozenset[str]
    pki: frozenset[str]
    credentials: frozenset[str]
    plain: frozenset[str]


def engines(inventory: Inventory, stanzas: Iterable[Stanza]) -> Engines:
    found = {kind: set(names) for kind, names in _NAMES.items()}
    for stanza in stanzas:
        path = stanza.path.removeprefix("/")
        if not path.startswith(SERVERS_OWN) and path not in inventory.plain:
            for kind, match in _MOUNT.items():
                mount = match(path)
                if mount:
                    found[kind].add(mount[1])
    found["pki"] -= found["transit"]  # both sign
    return Engines(**{kind: frozenset(mounts) for kind, mounts in found.items()}, plain=inventory.plain)


def mount_of(path: str, mounts: frozenset[str]) -> str:
    """The longest of `mounts` that a path lies below; empty where it lies below none."""
    end = path.rfind("/")
    while end > 0:
        if path[:end] in mounts:
            return path[:end]
        end = path.rfind("/", 0, end)
    return ""
