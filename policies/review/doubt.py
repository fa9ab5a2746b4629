"""Paths that are asked about and can't be what is meant: the true answer to them misleads. Pure."""

from policies.review.inventory import Inventory
from policies.review.lint.engines import KV2


def doubt(inventory: Inventory, path: str) -> str:
    """In words; empty where the path is one that a request has."""
    if path.startswith(("/", "v1/")):
        return f"got {path!r}, expected it without /v1/ and a slash at its beginning, as policies have it"
    if "*" in path:
        return f"got {path!r}, expected one path: a * is taken as it stands here, not as a pattern; `podkeys policies reach` lists patterns"
    mount, _, below = path.partition("/")
    if below.partition("/")[0] in KV2 or path in inventory.plain or not _has_versions(inventory, mount):
        return ""
    return f"got {path!r}, expected the API's path: {mount} is key-value version 2 by what other stanzas name, so that its secrets are read at {mount}/data/{below}"


def _has_versions(inventory: Inventory, mount: str) -> bool:
    beginning = f'"{mount}/data/'.encode()
    return bool(mount) and any(beginning in file.text for file in inventory.policies.values())
