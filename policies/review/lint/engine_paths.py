"""What a policy shouldn't do below the mount of a secrets engine: rules about the engine's paths and capabilities. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from policies.acl.paths import Pattern
from policies.review.lint.engines import KV2, Engines, mount_of
from policies.review.lint.finding import Hit, at
from policies.review.lint.reach import CALLS, WRITES, forbidden, had, patterns, reached
from policies.review.lint.tree import Grant, Tree


@dataclass(frozen=True, slots=True)
class EngineDanger:
    """`ways`: paths below each mount of an engine; the capabilities that make them dangerous, and what whoever has both can do."""

    mounts: Callable[[Engines], frozenset[str]]
    ways: tuple[str, ...]
    capabilities: tuple[str, ...]
    power: str

    def __call__(self, tree: Tree) -> Iterator[Hit]:
        for grant, mount in _below(tree, self.mounts(tree.engines), self.capabilities):
            path = reached(grant, under(mount, *self.ways))
            if path:
                yield forbidden(grant, path, self.capabilities, self.power)


AUTHORITY = EngineDanger(
    attrgetter("pki"),
    (
        "root/*",
        "intermediate/*",
        "sign-verbatim*",
        "issue/*",
        "issuer/*",
        "issuers/*",
        "config/*",
        "keys/*",
        "roles/*",
    ),
    WRITES,
    "sign what no role limits, or have the server make keys",
)
EXPORT = EngineDanger(
    attrgetter("transit"), ("export/*", "backup/*"), ("read",), "take the key itself away, for good"
)
CONNECTION = EngineDanger(
    attrgetter("credentials"),
    ("config/*", "roles/*", "rotate-root/*"),
    WRITES,
    "send the administrator's password to a server of its own, or make itself an account with everything",
)


def under(mount: str, *ways: str) -> tuple[Pattern, ...]:
    return patterns(*(f"{mount}/{way}" for way in ways))


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
        exists = word in KV2 and (slash or word == "config")
        if word and word != "+" and not word.endswith("*") and not exists:
            message = f'got "{grant.stanza.path}", which names nothing of a key-value store of version 2; expected {mount}/data/{rest}'
            yield at(
                grant,
                message,
                f"write {mount}/data/{rest}, or {mount}/metadata/{rest} for its list and versions",
            )


def destroys(tree: Tree) -> Iterator[Hit]:
    """A workload that deletes its secrets can't start again."""
    for grant, mount in _below(tree, tree.engines.kv2, WRITES):
        targets = under(mount, "delete/*", "destroy/*", "undelete/*")
        deletes = grant.has("delete") and reached(grant, under(mount, "data/*", "metadata/*"))
        if grant.of.workload and (deletes or (grant.has(*CALLS) and reached(grant, targets))):
            message = (
                f'got {had(grant, WRITES)} on "{grant.stanza.path}", with which a workload deletes secrets or brings them back; '
                "expected reading alone"
            )
            yield at(grant, message, "leave deleting to those who write the secret")


def half_writes(tree: Tree) -> Iterator[Hit]:
    """On version 2 the first write is create and each later one update."""
    for grant, mount in _below(tree, tree.engines.kv2, ("create",)):
        rule = grant.of.rules.decider(grant.stanza.path, listing=False)
        capabilities = grant.stanza.capabilities | (rule.capabilities if rule else frozenset())
        if "update" not in capabilities and reached(grant, under(mount, "data/*")):
            message = f'got create without update on "{grant.stanza.path}": a second version can\'t be written; expected both or neither'
            yield at(grant, message, "add update, or remove create")
