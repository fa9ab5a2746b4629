"""Whether pods of this cluster, and no others, can log in. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from cluster.backstop import Backstop
from cluster.facts import UPGRADE
from cluster.finding import Fact, Finding, Unread, failed, ok
from cluster.generated import Tree
from cluster.issuer import TokenIssuer, same_keys
from policies.catalog import Cluster

_BOOTSTRAP = "podkeys cluster bootstrap --cluster {} says what is missing; what exists is yours to change"


def login_mount(cluster: Cluster, logins: Fact[Mapping[str, str]]) -> Finding:
    name = "login-mount"
    if isinstance(logins, Unread):
        return logins.finding(name)
    kind = logins.get(cluster.auth_mount)
    if kind == cluster.auth_method:
        return ok(name, f"auth/{cluster.auth_mount} is of type {kind}")
    return failed(
        name,
        got=f"no auth/{cluster.auth_mount}" if kind is None else f"auth/{cluster.auth_mount} of type {kind}",
        expected=f"auth/{cluster.auth_mount} of type {cluster.auth_method}, as the cluster file says",
        remedy=_BOOTSTRAP.format(cluster.name),
    )


def login_issuer(cluster: Cluster, config: Fact[Mapping[str, Any]], issuer: Fact[TokenIssuer]) -> Finding:
    name = "login-issuer"
    if isinstance(config, Unread):
        return config.finding(name)
    if isinstance(issuer, Unread):
        return issuer.finding(name)
    if not config:
        return failed(
            name,
            got=f"auth/{cluster.auth_mount} is not configured",
            expected="this cluster's issuer",
            remedy=_BOOTSTRAP.format(cluster.name),
        )
    problems = list(differences(cluster, config, issuer))
    if not problems and config.get("kubernetes_ca_cert") and not issuer.ca_pem:
        return Unread(
            "kubernetes_ca_cert is compared with nothing: ConfigMap kube-root-ca.crt of namespace default was not read",
            "allow `get` on it (docs/cluster-check.md)",
        ).finding(name)
    if not problems:
        return ok(name, f"auth/{cluster.auth_mount} {_trusted(cluster, config, issuer)}")
    return failed(
        name,
        got="; ".join(problems),
        expected=f"tokens of {issuer.url} with its keys and algorithms, and no others",
        remedy=f"write auth/{cluster.auth_mount}/config anew, whole: a write replaces all of it (docs/cluster-file.md)",
    )


def _trusted(cluster: Cluster, config: Mapping[str, Any], issuer: TokenIssuer) -> str:
    if cluster.auth_method == "kubernetes":
        ca = "this cluster's CA" if config.get("kubernetes_ca_cert") else "the CA of its own pod"
        return f"asks {config.get('kubernetes_host')}, verified by {ca}"
    if config.get("jwks_url"):
        return f"trusts {issuer.url}, with the keys that it finds at {config['jwks_url']}: are they this cluster's?"
    return f"trusts {issuer.url} alone"


def differences(cluster: Cluster, config: Mapping[str, Any], issuer: TokenIssuer) -> Iterator[str]:
    """What of a login mount's settings would let this cluster's pods down, or let others in."""
    if cluster.auth_method == "kubernetes":
        yield from _kubernetes(config, issuer)
        return
    bound = config.get("bound_issuer") or ""
    if bound != issuer.url:
        yield f"bound_issuer is {bound or 'empty'}, expected {issuer.url}"
    algorithms = sorted(config.get("jwt_supported_algs") or ())
    if algorithms != sorted(issuer.algorithms):
        got = ", ".join(algorithms) or "empty, which is any"
        yield f"jwt_supported_algs is {got}, expected {', '.join(issuer.algorithms)}"
    yield from _keys(config, issuer)


def _keys(config: Mapping[str, Any], issuer: TokenIssuer) -> Iterator[str]:
    discovery = config.get("oidc_discovery_url") or ""
    if discovery:
        if discovery.rstrip("/") != issuer.url.rstrip("/"):
            yield f"oidc_discovery_url is {discovery}, expected {issuer.url}"
        return
    if config.get("jwks_url"):  # where it leads is the server's to see
        return
    held, wanted = same_keys(config.get("jwt_validation_pubkeys") or ()), same_keys(issuer.keys)
    if wanted - held:
        yield f"jwt_validation_pubkeys lacks {len(wanted - held)} of the API server's {len(wanted)} keys"
    if held - wanted:
        yield f"jwt_validation_pubkeys holds {len(held - wanted)} that the API server does not have"


def _kubernetes(config: Mapping[str, Any], issuer: TokenIssuer) -> Iterator[str]:
    given = config.get("kubernetes_ca_cert") or ""
    if given and issuer.ca_pem and given.split() != issuer.ca_pem.split():
        yield "kubernetes_ca_cert is not this cluster's CA"
    if not given and config.get("disable_local_ca_jwt"):
        yield "no kubernetes_ca_cert, and disable_local_ca_jwt forbids the server its own"
    if config.get("disable_local_ca_jwt") and not config.get("token_reviewer_jwt_set"):
        yield "no token_reviewer_jwt, and disable_local_ca_jwt forbids the server its own"


def audience(tree: Tree, issuer: Fact[TokenIssuer], backstop: Fact[Mapping[str, Backstop]]) -> Finding:
    """The tokens that pods log in with must be of use nowhere else, and the backstop must guard just these."""
    name = "audience"
    wanted = tree.cluster.audience
    if isinstance(issuer, Unread):
        return issuer.finding(name)
    if wanted == issuer.url:
        return failed(
            name,
            got=f"{wanted}, the API server's own",
            expected="an audience that is Vault's alone, such as vault",
            remedy="change spec.auth.audience in the cluster file, generate, apply, and upgrade the chart with it",
        )
    policies = {} if isinstance(backstop, Unread) else backstop
    guarded = {policy.audience for policy in policies.values() if policy.audience}
    if guarded - {wanted}:
        return failed(
            name,
            got=f"the chart is installed with audience {', '.join(sorted(guarded))}",
            expected=f"{wanted}, as the cluster file says",
            remedy=f"{UPGRADE} --set audience={wanted}",
        )
    return ok(name, f"{wanted}, not the API server's" + (", and the backstop's" if guarded else ""))
