"""Names that Podkeys gives to things in Vault. Pure.

Every part is a DNS label, so the dots that join them are unambiguous. Servers lower-case policy and auth
role names; labels are lower-case already.
"""

import re

MAX_LABEL = 50  # leaves room for three labels and dots in one name of at most 253 characters
RESERVED_NAMES = frozenset({"all", "identity"})
PREFIX = "podkeys"
MARK = "# podkeys.dev/v1 generated"  # a policy is ours only if its first line starts with this

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")

_POLICY = re.compile(rf"{PREFIX}\.(?P<cluster>[^.]+)\.(?P<namespace>[^.]+)\.")


def is_label(text: str) -> bool:
    """Whether `text` is a DNS label (RFC 1123) of at most 50 characters."""
    return _LABEL.fullmatch(text) is not None


def role_policy(cluster: str, namespace: str, role: str) -> str:
    return f"{PREFIX}.{cluster}.{namespace}.{role}"


def identity_policy(cluster: str, namespace: str, role: str, service_account: str) -> str:
    return f"{PREFIX}.{cluster}.{namespace}.{role}.{service_account}"


def policy_place(policy: str) -> tuple[str, str] | None:
    """Cluster and namespace, by the name of a policy of ours; None for another's."""
    found = _POLICY.match(policy)
    return (found["cluster"], found["namespace"]) if found else None


def auth_role(namespace: str, role: str, service_account: str) -> str:
    """The login role of one service account, on the auth mount of its own cluster."""
    return f"{PREFIX}.{namespace}.{role}.{service_account}"


def serving_pki_role(namespace: str, role: str, certificate: str) -> str:
    return f"{PREFIX}.{namespace}.{role}.{certificate}"


def identity_pki_role(namespace: str, role: str, service_account: str) -> str:
    return f"{PREFIX}.{namespace}.{role}.{service_account}"
