"""What the token that applies must be allowed: the policy to give it, and the line a refusal is missing. Pure."""

from policies.apply.state import Place, places
from policies.catalog import Cluster


def applying_policy(cluster: Cluster) -> str:
    """The policy of a token that may plan and apply for `cluster`, and nothing more.

    It is as strong as root all the same: it can write a policy with anything in it and a login role that gives it.
    """
    return "\n".join(stanza for place in places(cluster) for stanza in (_list(place), _write(place)))


def needed(cluster: Cluster, path: str) -> str:
    """The stanza of `applying_policy` that covers `path`; "" for a path that it does not cover."""
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
