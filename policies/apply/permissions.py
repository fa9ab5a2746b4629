"""What the token that applies must be allowed: the policy to give it, and the line a refusal is missing. Pure."""

from policies.apply.state import Place, places
from policies.apply.tokens import ACCESSORS, LOOKUP, REVOKE
from policies.catalog import Cluster

_REVOKING = {ACCESSORS: ("list", "sudo"), LOOKUP: ("update",), REVOKE: ("update",)}


def applying_policy(cluster: Cluster) -> str:
    """The policy of a token that may plan and apply for `cluster`, and nothing more.

    It is as strong as root all the same: it can write a policy with anything in it and a login role that gives it.
    """
    return "\n".join(stanza for place in places(cluster) for stanza in (_list(place), _write(place)))


def revoking_policy() -> str:
    """What `--revoke` needs besides. It can end every token of the server, or of its namespace there."""
    return "\n".join(_stanza(path, capabilities) for path, capabilities in _REVOKING.items())


def needed_policy(cluster: Cluster, *, revoke: bool) -> str:
    """What to tell somebody who has no token yet."""
    if revoke:
        return f"its policy:\n\n{applying_policy(cluster)}\n{revoking_policy()}"
    return f"its policy (for plan, `list` and `read` of it are enough):\n\n{applying_policy(cluster)}"


def needed(cluster: Cluster, path: str) -> str:
    """The stanza of `applying_policy` or `revoking_policy` that covers `path`; "" for a path that neither covers."""
    if path in _REVOKING:
        return _stanza(path, _REVOKING[path])
    for place in places(cluster):
        if path == place.listing:
            return _list(place)
        if path.startswith(f"{place.listing}/{place.prefix}"):
            return _write(place)
    return ""


def _list(place: Place) -> str:
    return _stanza(place.listing, ("list",))


def _write(place: Place) -> str:
    return _stanza(f"{place.listing}/{place.prefix}*", place.capabilities)


def _stanza(path: str, capabilities: tuple[str, ...]) -> str:
    listed = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{listed}]\n}}\n'
