"""What a policy shouldn't reach: rules about paths and capabilities. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from policies.acl.paths import Kind, Pattern, pattern
from policies.review.lint.engines import KV2, mount_of
from policies.review.lint.finding import Hit, at
from policies.review.lint.overlap import overlap
from policies.review.lint.tree import Grant, Tree

WRITES = ("create", "update", "patch", "delete", "sudo")
CALLS = ("create", "update", "patch")


def _patterns(*paths: str) -> tuple[Pattern, ...]:
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


_FIRST = (b"sys/", b"auth/", b"identity/", b"cubbyhole/")  # a cubbyhole is its token's own
_OIDC = ("key", "role", "provider", "client", "scope", "assignment")

POLICIES = Danger(
    _patterns("sys/policies/+/*", "sys/policy/+"), WRITES, "write itself a policy with everything in it"
)
MOUNTS = Danger(
    _patterns("sys/auth/*", "sys/mounts/*", "sys/remount"),
    WRITES,
    "bring its own logins, or move and remove engines with all their secrets",
)
AUDIT = Danger(_patterns("sys/audit/+"), WRITES, "end the audit log, or send it elsewhere")
LOGINS = Danger(
    _patterns("auth/+/role/+", "auth/+/roles/+", "auth/+/users/+", "auth/+/config"),
    CALLS,
    "give any login any policy",
)
IDENTITY = Danger(
    _patterns("identity/entity*", "identity/group*", *(f"identity/oidc/{kind}/+" for kind in _OIDC)),
    CALLS,
    "give any entity any policy, or make itself a member of any group",
)
TOKENS = Danger(
    _patterns("auth/token/create", "auth/token/create-orphan", "auth/token/create/+"),
    CALLS,
    "make tokens that outlive its own and that nobody reviewed",
)


def reached(grant: Grant, targets: tuple[Pattern, ...]) -> str | None:
    """A path of a target on which this stanza decides."""
    found = (overlap(grant.aims, target) for target in targets)
    return next((path for path in found if path and grant.decides(path)), None)


def forbidden(grant: Grant, path: str, capabilities: tuple[str, ...], power: str) -> Hit:
    had = ", ".join(sorted(grant.stanza.capabilities.intersection(capabilities)))
    return at(
        grant,
        f'got {had} on "{grant.stanza.path}", which reaches {path}: whoever has it can {power}; expected no such path',
        "remove the stanza, or name the paths that are really needed",
    )


def everything(tree: Tree) -> Iterator[Hit]:
    """A wildcard in the first segment: no mount is out of reach."""
    for grant in tree.grants:
        first = grant.aims.stem.partition(b"/")[0]
        if not grant.denies and grant.stanza.capabilities and (_is_open(grant.aims) or first == b"+"):
            yield at(
                grant,
                f'got "{grant.stanza.path}", which matches paths of every mount, expected a mount\'s name at its beginning',
                "write a stanza for each path that is needed",
            )


def _is_open(aims: Pattern) -> bool:
    return aims.globbed and b"/" not in aims.stem


def whole_mount(tree: Tree) -> Iterator[Hit]:
    """Writing below all of a mount, its `data/` or `metadata/`."""
    for grant in tree.grants:
        head, _, _ = grant.aims.stem.partition(b"+")
        if not grant.has(*WRITES) or not head or head.startswith(_FIRST) or grant.stanza.templated:
            continue
        segments = grant.aims.stem.split(b"/")
        rest = [part for part in segments[1:] if part not in (b"", b"+", b"data", b"metadata")]
        if len(segments) > 1 and not rest and _is_wild(grant.aims):
            yield at(
                grant,
                f'got {_had(grant, WRITES)} on "{grant.stanza.path}", which is all of a mount: it overwrites everybody\'s secrets; '
                "expected a path of one owner",
                "name the owner's own prefix",
            )


def _is_wild(aims: Pattern) -> bool:
    return aims.kind is not Kind.EXACT


def _had(grant: Grant, capabilities: tuple[str, ...]) -> str:
    return ", ".join(sorted(grant.stanza.capabilities.intersection(capabilities)))


def sudo(tree: Tree) -> Iterator[Hit]:
    """What MOUNTS and AUDIT tell isn't told twice: those paths open by sudo alone."""
    for grant in tree.grants:
        if grant.has("sudo") and not reached(grant, MOUNTS.targets + AUDIT.targets):
            yield at(
                grant,
                f'got sudo on "{grant.stanza.path}", expected none: it opens the paths that the server protects',
                "remove sudo; no workload needs it",
            )


def _below(tree: Tree, mounts: frozenset[str], capabilities: tuple[str, ...]) -> Iterator[tuple[Grant, str]]:
    """Stanzas with one of the capabilities below one of the mounts, and which."""
    for grant in tree.grants:
        if grant.has(*capabilities) and grant.stanza.path not in tree.engines.plain:
            mount = mount_of(str(grant.aims), mounts)
            if mount:
                yield grant, mount


def version_two(tree: Tree) -> Iterator[Hit]:
    """A key-value store of version 2 has no path without `data/`, `metadata/` or the like."""
    for grant, mount in _below(tree, tree.engines.kv2, (*WRITES, "read", "list", "deny")):
        rest = str(grant.aims).removeprefix(f"{mount}/")
        word, slash, _ = rest.partition("/")
        if (
            word
            and "*" not in word[-1:]
            and word != "+"
            and not (word in KV2 and (slash or word == "config"))
        ):
            yield at(
                grant,
                f'got "{grant.stanza.path}", which names nothing of a key-value store of version 2; expected {mount}/data/{rest}',
                f"write {mount}/data/{rest}, or {mount}/metadata/{rest} for its list and versions",
            )


def destroys(tree: Tree) -> Iterator[Hit]:
    """A workload that deletes its secrets can't start again."""
    for grant, mount in _below(tree, tree.engines.kv2, WRITES):
        targets = _patterns(f"{mount}/delete/*", f"{mount}/destroy/*", f"{mount}/undelete/*")
        deletes = grant.has("delete") and reached(grant, _patterns(f"{mount}/data/*", f"{mount}/metadata/*"))
        if grant.of.workload and (deletes or (grant.has(*CALLS) and reached(grant, targets))):
            yield at(
                grant,
                f'got {_had(grant, WRITES)} on "{grant.stanza.path}", with which a workload deletes secrets or brings them back; '
                "expected reading alone",
                "leave deleting to those who write the secret",
            )


def authority(tree: Tree) -> Iterator[Hit]:
    """What signs without a role's limits, or makes keys on the server."""
    for grant, mount in _below(tree, tree.engines.pki, WRITES):
        ways = (
            "root/*",
            "intermediate/*",
            "sign-verbatim*",
            "issue/*",
            "issuer/*",
            "issuers/*",
            "config/*",
            "keys/*",
            "roles/*",
        )
        path = reached(grant, _patterns(*(f"{mount}/{way}" for way in ways)))
        if path:
            yield forbidden(grant, path, WRITES, "sign what no role limits, or have the server make keys")


def export(tree: Tree) -> Iterator[Hit]:
    for grant, mount in _below(tree, tree.engines.transit, ("read",)):
        path = reached(grant, _patterns(f"{mount}/export/*", f"{mount}/backup/*"))
        if path:
            yield forbidden(grant, path, ("read",), "take the key itself away, for good")


def connection(tree: Tree) -> Iterator[Hit]:
    for grant, mount in _below(tree, tree.engines.credentials, WRITES):
        path = reached(grant, _patterns(f"{mount}/config/*", f"{mount}/roles/*", f"{mount}/rotate-root/*"))
        if path:
            yield forbidden(
                grant,
                path,
                WRITES,
                "send the administrator's password to a server of its own, or make itself an account with everything",
            )


def half_writes(tree: Tree) -> Iterator[Hit]:
    """On version 2 the first write is create and each later one update."""
    for grant, mount in _below(tree, tree.engines.kv2, ("create",)):
        rule = grant.of.rules.decider(grant.stanza.path, listing=False)
        capabilities = grant.stanza.capabilities | (rule.capabilities if rule else frozenset())
        if "update" not in capabilities and reached(grant, _patterns(f"{mount}/data/*")):
            yield at(
                grant,
                f'got create without update on "{grant.stanza.path}": a second version can\'t be written; expected both or neither',
                "add update, or remove create",
            )


def shared_lists(tree: Tree) -> Iterator[Hit]:
    """LIST tells the names of all that stands below, of others too."""
    others = _owners(tree)
    for grant in tree.grants:
        own = grant.stanza.templated or grant.aims.text.startswith(_FIRST) or _is_open(grant.aims)
        if own or not grant.has("list", "scan"):
            continue
        head = str(grant.aims).rstrip("*").partition("+")[0].rstrip("/")
        mount, _, rest = head.partition("/")
        at_top = rest in ("", "metadata") or (mount and rest == "data")
        if at_top or others.get(head, set()) - {grant.of.file.name}:
            yield at(
                grant,
                f'got list on "{grant.stanza.path}", below which others have their paths, expected a prefix of one owner',
                "read by name instead of listing, or give the owner a prefix of its own",
            )


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
            if space in known - own and not grant.denies:
                yield at(
                    grant,
                    f'got "{grant.stanza.path}" for {role.mount}/{role.name} of {", ".join(sorted(own))}, '
                    f"expected nothing of the namespace {space}",
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
            yield at(
                grant,
                f'got "{grant.stanza.path}" in a generated policy, expected a path without wildcards, as role files have them',
                "run `podkeys policies generate`",
            )
