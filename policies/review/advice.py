"""The smallest change that would allow what is refused. Pure."""

from dataclasses import dataclass
from pathlib import PurePath

from policies import names
from policies.acl.decide import Reason
from policies.review.questions import Answer
from policies.review.show import place
from policies.roles.inside import CHECKS, Boundaries, Here
from policies.roles.types import Database, RunsAs, Secret, ServiceRole

_OWN = ("sys/", "auth/", "identity/", "cubbyhole/")


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a generated tree: the folder of role files, and the boundaries. `unread`: why those aren't known, or empty."""

    roles: PurePath
    boundaries: Boundaries
    unread: str = ""


def change(answer: Answer, operation: str, path: str, *, source: str, beside: Beside) -> str:
    """In words; `source`: the role file of a generated policy, or empty. Empty for what is allowed."""
    reason, capability = answer.decision.reason, answer.decision.capability
    last = answer.stanzas[-1] if answer.stanzas else None
    at = place(last) if last else ""
    closer = "" if last and last.path == path else f', or name "{path}" in a closer stanza'
    if reason in (Reason.NO_MATCH, Reason.CAPABILITY) and source:
        return _role_file(operation, path, (beside.roles / source).as_posix(), _limited(answer, beside))
    return {
        Reason.NO_MATCH: f'add: path "{path}" {{ capabilities = ["{capability}"] }}',
        Reason.CAPABILITY: f'add "{capability}" to the capabilities at {at}',
        Reason.DENIED: f"remove the denial at {at}{closer}",
        Reason.SUDO: f'add "sudo" to the capabilities at {at}: the server protects this path',
    }.get(reason, "")


@dataclass(frozen=True, slots=True)
class _Limited:
    """Where the role runs, and what says what it may claim there."""

    place: RunsAs
    beside: Beside

    def first(self, entry: Secret | Database) -> str:
        """What else must change before `generate` takes the entry, in words; empty for nothing."""
        if self.beside.unread:
            return f"; whether a boundary allows it isn't known: {self.beside.unread}"
        boundary = self.beside.boundaries.of(self.place)
        if boundary is None:
            where = f"{self.place.cluster}/{self.place.namespace}"
            closed = f"; no boundary names {where}: ask who keeps the boundaries to add it first"
            return closed if self.beside.boundaries.closed else ""
        secrets, databases = ((entry,), ()) if isinstance(entry, Secret) else ((), (entry,))
        role = ServiceRole("", boundary.owners[0], "", (self.place,), secrets, databases, (), None)
        found = [message for check in CHECKS for _, message in check(role, Here(self.place, boundary))]
        return f"; ask who keeps the boundaries to widen them first: {found[0]}" if found else ""


def _limited(answer: Answer, beside: Beside) -> _Limited:
    given = {policy for policy, _, _ in answer.subject.ways}
    found = (names.policy_place(name) for name in answer.subject.policies if name not in given)
    cluster, namespace = next((one for one in found if one), ("", ""))
    return _Limited(RunsAs(cluster, namespace, ()), beside)


def _role_file(operation: str, path: str, file: str, limited: _Limited) -> str:
    """A generated policy is never changed by hand: what its role file can't say, it can't grant."""
    if operation != "read" or path.startswith(_OWN):
        return f"nothing in {file} grants {operation} here: role files have secrets and databases read, and certificates of their own signed"
    name = _entry(path)
    if path.rpartition("/")[0].endswith("/creds"):
        first = limited.first(Database(name, path))
        return f"in {file}, under spec.databases: - {{name: {name}, path: {path}}}{first}"
    mount, data, below = path.partition("/data/")
    if data:
        where = f"mount: {mount}, path: {below}" if "/" in mount else f"path: {mount}/{below}"
        first = limited.first(Secret(name, "kv2", mount, below, env=False))
        return f"in {file}, under spec.secrets: - {{name: {name}, {where}}}{first}"
    mount, _, below = path.partition("/")
    first = limited.first(Secret(name, "kv1", mount, below, env=False))
    return (
        f"ask about {mount}/data/{below} where {mount} is key-value version 2;"
        f" for version 1, in {file}, under spec.secrets: - {{name: {name}, path: {path}, engine: kv1}}{first}"
    )


def _entry(path: str) -> str:
    last = path.rstrip("/").rpartition("/")[2]
    return last if names.is_label(last) else "NAME"
