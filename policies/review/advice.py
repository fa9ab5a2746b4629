"""The smallest change that would allow what is refused. Pure."""

from policies import names
from policies.acl.decide import Reason
from policies.review.questions import Answer
from policies.review.show import place


def change(answer: Answer, operation: str, path: str, *, source: str) -> str:
    """In words; `source`: the role file of a generated policy, or empty. Empty for what is allowed."""
    reason, capability = answer.decision.reason, answer.decision.capability
    at = place(answer.stanzas[-1]) if answer.stanzas else ""
    if reason in (Reason.NO_MATCH, Reason.CAPABILITY) and source and operation == "read":
        return _role_file(path, source)
    return {
        Reason.NO_MATCH: f'add: path "{path}" {{ capabilities = ["{capability}"] }}',
        Reason.CAPABILITY: f'add "{capability}" to the capabilities at {at}',
        Reason.DENIED: f'remove the denial at {at}, or name "{path}" in a closer stanza',
        Reason.SUDO: f'add "sudo" to the capabilities at {at}: the server protects this path',
    }.get(reason, "")


def _role_file(path: str, source: str) -> str:
    """Role files have no other way to the server's own paths than by what they declare."""
    if path.startswith(("sys/", "auth/", "identity/")):
        return f"nothing in {source} can grant it: role files reach secrets, databases and certificates alone"
    kept = path.replace("/data/", "/", 1)
    return f"in {source}, under spec.secrets: - {{name: {_entry(path)}, path: {kept}}}"


def _entry(path: str) -> str:
    last = path.rstrip("/").rpartition("/")[2]
    return last if names.is_label(last) else "NAME"
