"""`podkeys cluster check`: every check, in the order in which one builds upon another. Pure but for `now`."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.checks import backstop, issued, kubernetes, login, namespaces, pki, webhook
from cluster.facts import NAMESPACE, ClusterFacts, installed_in
from cluster.finding import Fact, Finding
from cluster.generated import Tree
from cluster.issuer import TokenIssuer
from cluster.server_facts import Issued, ServerFacts

Stored = Fact[tuple[tuple[Issued, ...], int]]


@dataclass(frozen=True, slots=True)
class Read:
    """All that was read. `stored`: by use, serving or identity; empty where nobody asked for certificates."""

    tree: Tree
    cluster: ClusterFacts
    issuer: Fact[TokenIssuer]
    server: ServerFacts
    stored: dict[str, Stored]


def findings(read: Read, now: dt.datetime) -> Iterator[Finding]:
    """Remedies are written for the namespace of the documents, and said for the one where the chart is."""
    where = f"-n {installed_in(read.cluster.registration)}"
    for item in _findings(read, now):
        yield replace(item, remedy=item.remedy.replace(f"-n {NAMESPACE}", where))


def _findings(read: Read, now: dt.datetime) -> Iterator[Finding]:
    yield from _kubernetes(read)
    yield from _server(read, now)
    yield from _installation(read, now)
    for use, stored in read.stored.items():
        mount = getattr(read.tree.cluster, f"{use}_mount")
        yield issued.certificates_renewed(read.tree, mount, stored, now.timestamp(), use=use)


def _kubernetes(read: Read) -> Iterator[Finding]:
    found = read.cluster
    yield kubernetes.kubernetes_version(read.tree, found.version)
    yield kubernetes.kubelet_versions(read.tree, found.nodes)
    yield kubernetes.memory_volumes(found.nodes)
    yield namespaces.role_namespaces(read.tree, found.namespaces)
    yield namespaces.service_accounts(read.tree, found.accounts, installed_in(found.registration))


def _server(read: Read, now: dt.datetime) -> Iterator[Finding]:
    cluster, server = read.tree.cluster, read.server
    yield pki.vault_ca(cluster, now)
    yield login.login_mount(cluster, server.logins)
    yield login.login_issuer(cluster, server.login, read.issuer)
    yield login.audience(read.tree, read.issuer, read.cluster.backstop)
    for use, mount, signers in (
        ("serving", cluster.serving_mount, server.serving),
        ("identity", cluster.identity_mount, server.identity),
    ):
        yield pki.pki_mount(read.tree, mount, server.mounts, use=use)
        yield pki.pki_issuers(read.tree, mount, signers, now, use=use)
    yield pki.separate_roots(cluster, server.serving, server.identity)


def _installation(read: Read, now: dt.datetime) -> Iterator[Finding]:
    found = read.cluster
    yield namespaces.injection_label(read.tree, found.labelled, installed_in(found.registration))
    yield webhook.webhook_registered(found.registration)
    yield webhook.webhook_called(found.attempt)
    yield webhook.serving_certificate(found.replicas, now.timestamp())
    yield webhook.catalog_current(read.tree, found.config_maps)
    yield backstop.backstop_bound(found.backstop, found.registration)
