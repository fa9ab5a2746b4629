"""What a policy shouldn't reach: the server's own paths, whole mounts, and what is another's. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from policies.acl.paths import Kind, Pattern, pattern
from policies.review.lint.engines import SERVERS_OWN
from policies.review.lint.finding import Hit, at
from policies.review.lint.overlap import overlap
from policies.review.lint.tree import Grant, Tree

WRITES = ("create", "update", "patch", "delete", "sudo")
CALLS = ("create", "update", "patch")


def patterns(*paths: str) -> tuple[Pattern, ...]:
    return tuple(found for path in paths if (found := pattern(path)))


@dataclass(frozen=True, slots=True)
class Danger:
    """Paths of the server, the capabilities that make them dangerous, and what whoever has both can do."""

    targets: tuple[Pattern, ...]
    capabilities: tuple[str, ...]
    power: str

    def __call__(self, tree: Tree) -> Iterator[Hit]:
        for grant in tree.grants:
            if grant.has(*self.capabilities) and grant.aims.text.startswith(_FIRST):
                path = reached(grant, self.targets)
                if path:
                    yield forbidden(grant, path, self.capabilities, self.power)


_FIRST = tuple(map(str.encode, SERVERS_OWN))  # a cubbyhole is its token's own
_OIDC = ("key", "role", "provider", "client", "scope", "assignment")

POLICIES = Danger(
    patterns("sys/policies/+/*", "sys/policy/+"), WRITES, "write itself a policy with everything in it"
)
MOUNTS = Danger(
    patterns("sys/auth/*", "sys/mounts/*", "sys/remount"),
    WRITES,
    "bring its own logins, or move and remove engines with all their secrets",
)
AUDIT = Danger(patterns("sys/audit/+"), WRITES, "end the audit log, or send it elsewhere")
LOGINS = Danger(
    patterns("auth/+/role/+", "auth/+/roles/+", "auth/+/users/+", "auth/+/config"),
    CALLS,
    "give any login any policy",
)
IDENTITY = Danger(
    patterns("identity/entity*", "identity/group*", *(f"identity/oidc/{kind}/+" for kind in _OIDC)),
    CALLS,
    "give any entity any policy, or make itself a member of any group",
)
TOKENS = Danger(
    patterns("auth/token/create", "auth/token/create-orphan", "auth/token/create/+"),
    CALLS,
    "make tokens that outlive its own and that nobody reviewed",
)


def reached(grant: Grant, targets: tuple[Pattern, ...]) -> str | None:
    """A path of a target on which this stanza decides."""
    found = (overlap(grant.aims, target) for target in targets)
    return next((path for path in found if path and grant.decides(path)), None)


def forbidden(grant: Grant, path: str, capabilities: tuple[str, ...], power: str) -> Hit:
    message = f'got {had(grant, capabilities)} on "{grant.stanza.path}", which reaches {path}: whoever has it can {power}; expected no such path'
    return at(grant, message, "remove the stanza, or name the paths that are really needed")


def had(grant: Grant, capabilities: tuple[str, ...]) -> str:
    return ", ".join(sorted(grant.stanza.capabilities.intersection(capabilities)))


def everything(tree: Tree) -> Iterator[Hit]:
    """A wildcard in the first segment: no mount is out of reach."""
    for grant in tree.grants:
        first = grant.aims.stem.partition(b"/")[0]
        if not grant.denies and grant.stanza.capabilities and (is_open(grant.aims) or first == b"+"):
            message = f'got "{grant.stanza.path}", which matches paths of every mount, expected a mount\'s name at its beginning'
            yield at(grant, message, "write a stanza for each path that is needed")


def is_open(aims: Pattern) -> bool:
    return aims.globbed and b"/" not in aims.stem


def whole_mount(tree: Tree) -> Iterator[Hit]:
    """Writing below all of a mount, its `data/` or `metadata/`."""
    for grant in tree.grants:
        head, _, _ = grant.aims.stem.partition(b"+")
        if not grant.has(*WRITES) or not head or head.startswith(_FIRST) or grant.stanza.templated:
            continue
        segments = grant.aims.stem.split(b"/")
        rest = [part for part in segments[1:] if part not in (b"", b"+", b"data", b"metadata")]
        if len(segments) > 1 and not rest and grant.aims.kind is not Kind.EXACT:
            message = (
                f'got {had(grant, WRITES)} on "{grant.stanza.path}", which is all of a mount: it overwrites everybody\'s secrets; '
                "expected a path of one owner"
            )
            yield at(grant, message, "name the owner's own prefix")


def sudo(tree: Tree) -> Iterator[Hit]:
    """What MOUNTS and AUDIT tell isn't told twice: those paths open by sudo alone."""
    for grant in tree.grants:
        if grant.has("sudo") and not reached(grant, MOUNTS.targets + AUDIT.targets):
            message = f'got sudo on "{grant.stanza.path}", expected none: it opens the paths that the server protects'
            yield at(grant, message, "remove sudo; no workload needs it")


def shared_lists(tree: Tree) -> Iterator[Hit]:
    """LIST tells the names of all that stands below, of others too."""
    others = _owners(tree)
    for grant in tree.grants:
        own = grant.stanza.templated or grant.aims.text.startswith(_FIRST) or is_open(grant.aims)
        if own or not grant.has("list", "scan"):
            continue
        head = str(grant.aims).rstrip("*").partition("+")[0].rstrip("/")
        mount, _, rest = head.partition("/")
        at_top = rest in ("", "metadata") or (mount and rest == "data")
        if at_top or any(name != grant.of.file.name for name in others.get(head, ())):
            message = f'got list on "{grant.stanza.path}", below which others have their paths, expected a prefix of one owner'
            yield at(grant, message, "read by name instead of listing, or give the owner a prefix of its own")


def _owners(tree: Tree) -> dict[str, set[str]]:
    """Which policies name something below a prefix that somebody lists; data/ and metadata/ are one."""
    listed: dict[str, set[str]] = {}
    for grant in tree.grants:
        if grant.has("list", "scan"):
            listed.setdefault(str(grant.aims).rstrip("*").partition("+")[0].rstrip("/"), set())
    if not listed:
        return listed
    for grant in tree.grants:
        path = str(grant.aims)
        for shape in {path, path.replace("/data/", "/metadata/", 1)}:
            end = shape.rfind("/")
            while end > 0:
                if shape[:end] in listed and not grant.denies:
                    listed[shape[:end]].add(grant.of.file.name)
                end = shape.rfind("/", 0, end)
    return listed


def other_namespaces(tree: Tree) -> Iterator[Hit]:
    """A path whose owner, by its first segment or by a generated name, is another namespace that logs in here."""
    known = {account.namespace for role in tree.roles for account in role.accounts} - {"", "*"}
    for token in tree.tokens:
        role = token.role
        own = {account.namespace for account in role.accounts} if role else set()
        if not role or not own or own & {"", "*"}:
            continue
        for grant in token.grants:
            space = _owner(grant)
            if space in known and space not in own and not grant.denies:
                message = (
                    f'got "{grant.stanza.path}" for {role.mount}/{role.name} of {", ".join(sorted(own))}, '
                    f"expected nothing of the namespace {space}"
                )
                yield at(
                    grant,
                    message,
                    f"ask the owner of {space} for a path that both share, or remove the stanza",
                )


def _owner(grant: Grant) -> str:
    segments = str(grant.aims).split("/")
    last = segments[-1].split(".")
    if len(last) > 2 and last[0] == "podkeys":  # noqa: PLR2004 - podkeys.NAMESPACE.ROLE…
        return last[1]
    own = [part for part in segments[1:] if part not in ("data", "metadata")]
    return own[0] if len(own) > 1 else ""


def globs(tree: Tree) -> Iterator[Hit]:
    """Role files name each path; a wildcard in what is generated from them is somebody's edit."""
    for grant in tree.grants:
        if (
            grant.of.generated
            and not grant.denies
            and (grant.aims.globbed or "+" in str(grant.aims).split("/"))
        ):
            message = f'got "{grant.stanza.path}" in a generated policy, expected a path without wildcards, as role files have them'
            yield at(grant, message, "run `podkeys policies generate`")
