"""What a server lacks before `podkeys policies apply` can write to it, and what of it is not as it should be. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster.checks.login import differences
from cluster.errors import ClusterError
from cluster.finding import Fact, Unread, count
from cluster.generated import Tree
from cluster.issuer import TokenIssuer
from cluster.server_facts import Mount, ServerFacts, Signer
from policies.catalog import Cluster

T = TypeVar("T")

LIFE = "87600h"  # of a root, and the longest that its mount lets anything live: ten years
BACKDATED = "1h"  # of a root: HashiCorp Vault signs nothing that begins before it, and certificates begin a minute ago
API_SERVER = "https://kubernetes.default.svc"
_OURS = "kubernetes.default"  # an issuer of this name is the API server itself, with a certificate of the cluster's CA


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to make: what is written where, and what it is, in words."""

    path: str
    fields: Mapping[str, Any]
    says: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in the order of writing. `differs`: what exists and is left as it is. `yours`: what only its owner can make."""

    steps: tuple[Step, ...]
    differs: tuple[str, ...]
    yours: tuple[str, ...]


def decide(tree: Tree, server: ServerFacts, issuer: Fact[TokenIssuer], *, discovery: bool) -> Plan:
    """Raises ClusterError where something that decides could not be read."""
    mounts = _known(server.mounts)
    parts = [
        *_secret_engines(tree, mounts),
        *_pki(tree, tree.cluster.serving_mount, server, server.serving),
        *_pki(tree, tree.cluster.identity_mount, server, server.identity),
        *_login(tree.cluster, server, _known(issuer), discovery=discovery),
    ]
    return Plan(
        steps=tuple(part for part in parts if isinstance(part, Step)),
        differs=tuple(part.text for part in parts if isinstance(part, _Differs)),
        yours=tuple(part.text for part in parts if isinstance(part, _Yours)),
    )


@dataclass(frozen=True, slots=True)
class _Differs:
    text: str


@dataclass(frozen=True, slots=True)
class _Yours:
    text: str


_Part = Step | _Differs | _Yours


def _known(fact: Fact[T]) -> T:
    if isinstance(fact, Unread):
        raise ClusterError(fact.why)
    return fact


def _secret_engines(tree: Tree, mounts: Mapping[str, Mount]) -> Iterator[_Part]:
    wanted = sorted({(_mount(item.path, item.engine, mounts), item.engine) for item in tree.secrets()})
    for mount, engine in wanted:
        found = mounts.get(mount)
        kind, version = ("database", "") if engine == "database" else ("kv", engine.removeprefix("kv"))
        if found is None and kind == "database":
            yield _Yours(
                f"{mount}: a database mount that role files name: its connection and its password are yours to give"
            )
        elif found is None:
            fields = {"type": "kv", "options": {"version": version}}
            yield Step(f"sys/mounts/{mount}", fields, f"mount {mount}: key-value secrets, version {version}")
        elif found.kind != kind or (kind == "kv" and (found.version or "1") != version):
            got = f"{found.kind} {found.version}".strip()
            yield _Differs(
                f"mount {mount} is {got}, expected {kind} {version}".strip() + "; correct the role files"
            )


def _mount(path: str, engine: str, mounts: Mapping[str, Mount]) -> str:
    """The mount of an API path: the one that is there, or else what role files would have meant."""
    there = max((mount for mount in mounts if path.startswith(f"{mount}/")), key=len, default="")
    if there:
        return there
    separator = {"kv2": "/data/", "database": "/creds/", "kv1": "/"}[engine]
    return path.partition(separator)[0]


def _pki(tree: Tree, mount: str, server: ServerFacts, signers: Fact[tuple[Signer, ...]]) -> Iterator[_Part]:
    found = _known(server.mounts).get(mount)
    root = Step(
        f"{mount}/root/generate/internal",
        {
            "common_name": f"{mount} root",
            "key_type": "ec",
            "key_bits": 256,
            "ttl": LIFE,
            "not_before_duration": BACKDATED,
        },
        f"root of {mount}: EC P-256, for ten years; its key stays in the server",
    )
    if found is None:
        fields = {"type": "pki", "config": {"max_lease_ttl": LIFE}}
        yield Step(f"sys/mounts/{mount}", fields, f"mount {mount}: certificates, for up to {LIFE}")
        yield root
    elif found.kind != "pki":
        yield _Differs(f"mount {mount} is {found.kind}, expected pki; name another in the cluster file")
    elif not any(signer.has_key for signer in _known(signers)):
        keys = _known(server.spare_keys.get(mount, 0))
        yield _Differs(_awaited(mount, keys)) if keys else root
    elif found.max_seconds and found.max_seconds < tree.longest_life(mount):
        yield _Differs(
            f"mount {mount} signs for at most {found.max_seconds} s, expected {tree.longest_life(mount)}, the longest life in "
            f"role files; bao secrets tune -max-lease-ttl={LIFE} {mount}"
        )


def _awaited(mount: str, keys: int) -> str:
    """A root made beside it would be the default, and sign what the intermediate was meant to."""
    return (
        f"mount {mount} holds {count(keys, 'key')} that no issuer has, as of an intermediate that awaits its signature, so no "
        f"root is made; import what was signed (bao write {mount}/intermediate/set-signed certificate=@signed.pem), or delete "
        f"what is not wanted (bao list {mount}/keys, bao delete {mount}/key/ID) and run it again"
    )


def _login(cluster: Cluster, server: ServerFacts, issuer: TokenIssuer, *, discovery: bool) -> Iterator[_Part]:
    mount = cluster.auth_mount
    kind = _known(server.logins).get(mount)
    if kind is not None and kind != cluster.auth_method:
        yield _Differs(
            f"auth/{mount} is {kind}, expected {cluster.auth_method}; name another in the cluster file"
        )
        return
    if kind is None:
        yield Step(
            f"sys/auth/{mount}",
            {"type": cluster.auth_method},
            f"auth/{mount}: login by {cluster.auth_method}",
        )
    config = {} if kind is None else _known(server.login)
    if not config:
        fields, says = _settings(cluster, issuer, discovery=discovery)
        yield Step(f"auth/{mount}/config", fields, f"settings of auth/{mount}: {says}")
        return
    for text in differences(cluster, config, issuer):
        yield _Differs(f"auth/{mount}/config: {text}; write it anew, whole (docs/cluster-file.md)")


def _settings(cluster: Cluster, issuer: TokenIssuer, *, discovery: bool) -> tuple[dict[str, Any], str]:
    if (
        cluster.auth_method == "kubernetes"
    ):  # its CA and its own token the server reads in its pod, where they stay fresh
        return (
            {"kubernetes_host": API_SERVER, "disable_iss_validation": True},
            f"asks {API_SERVER}, with the CA and the token of the server's own pod",
        )
    bound = {"bound_issuer": issuer.url, "jwt_supported_algs": list(issuer.algorithms)}
    if discovery:
        ca = issuer.ca_pem if issuer.url.partition("//")[2].startswith(_OURS) else ""
        fields = {"oidc_discovery_url": issuer.url, "oidc_discovery_ca_pem": ca}
        return bound | fields, f"tokens of {issuer.url}, whose keys the server fetches there"
    keys = count(len(issuer.keys), "key")
    return bound | {
        "jwt_validation_pubkeys": list(issuer.keys)
    }, f"tokens of {issuer.url}, {keys} as it has now"
