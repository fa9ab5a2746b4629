"""The smallest change that would allow what is refused. Pure."""

from policies import names
from policies.acl.decide import Reason
from policies.review.questions import Answer
from policies.review.show import place

_OWN = ("sys/", "auth/", "identity/", "cubbyhole/")


def change(answer: Answer, operation: str, path: str, *, source: str) -> str:
    """In words; `source`: the role file of a generated policy, or empty. Empty for what is allowed."""
    reason, capability = answer.decision.reason, answer.decision.capability
    last = answer.stanzas[-1] if answer.stanzas else None
    at = place(last) if last else ""
    closer = "" if last and last.path == path else f', or name "{path}" in a closer stanza'
    if reason in (Reason.NO_MATCH, Reason.CAPABILITY) and source:
        return _role_file(operation, path, source)
    return {
        Reason.NO_MATCH: f'add: path "{path}" {{ capabilities = ["{capability}"] }}',
        Reason.CAPABILITY: f'add "{capability}" to the capabilities at {at}',
        Reason.DENIED: f"remove the denial at {at}{closer}",
        Reason.SUDO: f'add "sudo" to the capabilities at {at}: the server protects this path',
    }.get(reason, "")


def _role_file(operation: str, path: str, source: str) -> str:
    """A generated policy is never changed by hand: what its role file can't say, it can't grant."""
    if operation != "read" or path.startswith(_OWN):
        return f"nothing in {source} grants {operation} here: role files have secrets and databases read, and certificates of their own signed"
    name = _entry(path)
    if path.rpartition("/")[0].endswith("/creds"):
        return f"in {source}, under spec.databases: - {{name: {name}, path: {path}}}"
    mount, data, below = path.partition("/data/")
    if data:
        where = f"mount: {mount}, path: {below}" if "/" in mount else f"path: {mount}/{below}"
        return f"in {source}, under spec.secrets: - {{name: {name}, {where}}}"
    mount, _, below = path.partition("/")
    return (
        f"ask about {mount}/data/{below} where {mount} is key-value version 2;"
        f" for version 1, in {source}, under spec.secrets: - {{name: {name}, path: {path}, engine: kv1}}"
    )


def _entry(path: str) -> str:
    last = path.rstrip("/").rpartition("/")[2]
    return last if names.is_label(last) else "NAME"
