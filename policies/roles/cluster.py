"""One cluster file → a Cluster, with all that is wrong with it; and what clusters may not share."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from yaml.nodes import MappingNode, Node

from policies.catalog import AUTH_METHODS, PLATFORMS
from policies.roles import texts
from policies.roles.fields import Fields, header
from policies.roles.types import Cluster

KIND = "Cluster"
DEFAULT_MIN_TTL = 120
WIDEST = {4: 8, 6: 32}  # prefix lengths: nothing wider is the network of one cluster's pods

_SPEC = ("vault", "auth", "pki", "trustDomain", "dnsDomains", "kubernetesVersion")
_SPEC_OPTIONAL = ("podCIDRs", "podIPCertificates", "minTTL", "minKubeletVersion", "platform")


@dataclass(frozen=True, slots=True)
class ClusterDraft:
    """`ca_file` is relative to the cluster's own file; its text is not read here."""

    cluster: Cluster
    ca_file: str
    fields: Fields


def parse(file: str, document: MappingNode) -> ClusterDraft:
    fields = Fields(file)
    top = fields.mapping(document, "", ("apiVersion", "kind", "metadata", "spec"))
    header(fields, top, KIND)
    metadata = fields.mapping(top["metadata"], "metadata", ("name",)) if "metadata" in top else {}
    spec = fields.mapping(top["spec"], "spec", _SPEC, _SPEC_OPTIONAL) if "spec" in top else {}
    vault = _group(fields, spec, "vault", ("address",), ("namespace", "caFile"))
    auth = _group(fields, spec, "auth", ("method", "mount"), ("audience",))
    pki = _group(fields, spec, "pki", ("serving", "identity"))
    newest = _version(fields, spec, "kubernetesVersion")
    cluster = Cluster(
        name=fields.text(metadata.get("name"), "metadata.name", texts.own_name),
        vault_address=fields.text(vault.get("address"), "spec.vault.address", texts.address),
        vault_namespace=fields.text(vault.get("namespace"), "spec.vault.namespace", texts.vault_namespace),
        ca_pem="",
        auth_method=fields.word(auth.get("method"), "spec.auth.method", AUTH_METHODS, "jwt"),
        auth_mount=fields.text(auth.get("mount"), "spec.auth.mount", texts.plain_mount),
        audience=fields.text(auth.get("audience"), "spec.auth.audience", texts.audience, "vault"),
        serving_mount=fields.text(pki.get("serving"), "spec.pki.serving", texts.plain_mount),
        identity_mount=fields.text(pki.get("identity"), "spec.pki.identity", texts.plain_mount),
        trust_domain=fields.text(spec.get("trustDomain"), "spec.trustDomain", texts.trust_domain),
        dns_domains=fields.texts(spec.get("dnsDomains"), "spec.dnsDomains", texts.dns_domain),
        pod_cidrs=tuple(_networks(fields, spec.get("podCIDRs"))),
        pod_ip_accepted=bool(fields.text(spec.get("podIPCertificates"), "spec.podIPCertificates", _accepted)),
        min_ttl=fields.seconds(spec.get("minTTL"), "spec.minTTL", texts.ttl, DEFAULT_MIN_TTL),
        min_kubelet=_version(fields, spec, "minKubeletVersion") if "minKubeletVersion" in spec else newest,
        platform=fields.word(spec.get("platform"), "spec.platform", PLATFORMS, "kubernetes"),
    )
    _check(fields, cluster, newest)
    ca_file = fields.text(vault.get("caFile"), "spec.vault.caFile", _file_name)
    return ClusterDraft(cluster, ca_file, fields)


def _group(
    fields: Fields,
    spec: Mapping[str, Node],
    name: str,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
) -> dict[str, Node]:
    return fields.mapping(spec[name], f"spec.{name}", required, optional) if name in spec else {}


def _accepted(text: str) -> str | None:
    if text == "accepted":
        return None
    return "accepted, or no such line: it says that any pod may get a certificate for any pod's address"


def _file_name(text: str) -> str | None:
    if text and "\0" not in text and "\n" not in text:
        return None
    return "a file name relative to this file, such as vault-ca.pem"


def _version(fields: Fields, spec: Mapping[str, Node], name: str) -> tuple[int, int]:
    text = fields.text(spec.get(name), f"spec.{name}", texts.version)
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if text else (0, 0)


def _networks(fields: Fields, node: Node | None) -> Iterator[IPv4Network | IPv6Network]:
    at = "spec.podCIDRs"
    for index, text in enumerate(fields.texts(node, at, _network)):
        if text:
            network = ip_network(text)
            if network.prefixlen < WIDEST[network.version]:
                fields.report(
                    f"{at}[{index}]",
                    f"got {text!r}, expected the network of this cluster's pods alone, at least /{WIDEST[network.version]}",
                )
            yield network


def _network(text: str) -> str | None:
    try:
        ip_network(text)
    except ValueError as error:
        return f"a network such as 10.244.0.0/16 ({error})"
    return None if "/" in text else "a network such as 10.244.0.0/16, with its prefix length"


def _check(fields: Fields, cluster: Cluster, newest: tuple[int, int]) -> None:
    if cluster.serving_mount and cluster.serving_mount == cluster.identity_mount:
        fields.report(
            "spec.pki.identity",
            f"got {cluster.identity_mount!r}, expected another mount than serving: each has a root of its own",
        )
    if cluster.pod_ip_accepted and not cluster.pod_cidrs and not fields.is_wrong("spec.podCIDRs"):
        fields.report(
            "spec.podIPCertificates", "got accepted, expected podCIDRs too: the networks of the pods"
        )
    if newest != (0, 0) and cluster.min_kubelet > newest:
        fields.report(
            "spec.minKubeletVersion", "got a newer version than kubernetesVersion, expected the oldest node's"
        )


def check_distinct(drafts: Iterable[ClusterDraft]) -> None:
    """Report what two clusters share and must not: one could speak, log in or sign for the other."""
    first: dict[tuple[str, ...], ClusterDraft] = {}
    for draft in drafts:
        for at, key, what in _claims(draft.cluster):
            other = first.setdefault(key, draft)
            if other is not draft and not draft.fields.is_wrong(at):
                draft.fields.report(
                    at,
                    f"got {key[-1]!r}, expected {what}: {other.fields.file} "
                    f"(cluster {other.cluster.name}) has it",
                )


def _claims(cluster: Cluster) -> Iterator[tuple[str, tuple[str, ...], str]]:
    server = (_origin(cluster.vault_address), cluster.vault_namespace)
    yield "metadata.name", ("name", cluster.name), "a name of its own"
    yield "spec.trustDomain", ("trust domain", cluster.trust_domain), "a trust domain of its own"
    yield "spec.auth.mount", ("auth", *server, cluster.auth_mount), "a mount of its own on this server"
    yield "spec.pki.serving", ("engine", *server, cluster.serving_mount), "a mount of its own on this server"
    if cluster.identity_mount != cluster.serving_mount:
        yield (
            "spec.pki.identity",
            ("engine", *server, cluster.identity_mount),
            "a mount of its own on this server",
        )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname or ''}:{port}"


PEM = re.compile(r"\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+")
