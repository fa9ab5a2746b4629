"""One boundary file → a Boundary, with all that is wrong with it; and what boundaries may not share."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode

from policies.roles import texts
from policies.roles.checks import unknown_cluster
from policies.roles.fields import Fields, header
from policies.roles.role import key_value
from policies.roles.types import Boundary, CertificateLimits, Cluster, SecretsBelow

KIND = "Boundary"
ALL = "all"  # stands where a list could: no cluster has this name

_LIMITS = ("secrets", "databases", "certificates", "identity")
_PARTS = (
    "clusters",
    "owners",
    "certificates.services",
    "certificates.maxTTL",
    "certificates.podIP",
    "identity.maxTTL",
)
_TWO_IN_A_SEGMENT = re.compile(r"\}[^/]*\{")


@dataclass(frozen=True, slots=True)
class BoundaryDraft:
    boundary: Boundary
    fields: Fields


def parse(file: str, document: MappingNode) -> BoundaryDraft:
    fields = Fields(file)
    top = fields.mapping(document, "", ("apiVersion", "kind", "metadata", "spec"))
    header(fields, top, KIND)
    metadata = fields.mapping(top["metadata"], "metadata", ("name",)) if "metadata" in top else {}
    required = ("namespaces", "clusters", "owners")
    spec = fields.mapping(top["spec"], "spec", required, _LIMITS) if "spec" in top else {}
    secrets = tuple(_secrets(fields, spec.get("secrets")))
    databases = tuple(_databases(fields, spec.get("databases")))
    boundary = Boundary(
        name=fields.text(metadata.get("name"), "metadata.name", texts.own_name),
        file=file,
        namespaces=fields.texts(spec.get("namespaces"), "spec.namespaces", texts.namespace),
        clusters=_list_or_all(fields, spec.get("clusters"), "spec.clusters", texts.own_name),
        owners=fields.texts(spec.get("owners"), "spec.owners", texts.owner),
        secrets=secrets,
        databases=databases,
        certificates=_certificates(fields, spec["certificates"]) if "certificates" in spec else None,
        identity_ttl=_identity(fields, spec["identity"]) if "identity" in spec else 0,
        lines=_lines(fields, len(secrets), len(databases)),
    )
    return BoundaryDraft(boundary, fields)


def _lines(fields: Fields, secrets: int, databases: int) -> dict[str, int]:
    names = [*_LIMITS, *_PARTS]
    names += [f"secrets[{index}]" for index in range(secrets)]
    names += [f"databases[{index}]" for index in range(databases)]
    return {name: fields.place(f"spec.{name}").line for name in names}


def _list_or_all(fields: Fields, node: Node | None, at: str, check: texts.Check) -> tuple[str, ...] | None:
    if isinstance(node, ScalarNode) and node.value == ALL and node.tag == "tag:yaml.org,2002:str":
        return None
    return fields.texts(node, at, check)


def _secrets(fields: Fields, node: Node | None) -> Iterator[SecretsBelow]:
    for at, item in fields.items(node, "spec.secrets"):
        found = fields.mapping(item, at, (), ("path", "mount", "engine", "env"))
        if not {"path", "mount"} & found.keys() and isinstance(item, MappingNode):
            fields.report(at, "got no path and no mount, expected path, or mount for all of a mount")
        engine, mount, path = key_value(fields, found, at)
        _check_segments(fields, f"{at}.mount", mount if "mount" in found else "")
        _check_segments(fields, f"{at}.path", path if "mount" in found else f"{mount}/{path}")
        yield SecretsBelow(engine, mount, path, fields.flag(found.get("env"), f"{at}.env"))


def _databases(fields: Fields, node: Node | None) -> Iterator[str]:
    for at, item in fields.items(node, "spec.databases"):
        found = fields.mapping(item, at, ("path",))
        path = fields.text(found.get("path"), f"{at}.path", texts.database_place)
        _check_segments(fields, f"{at}.path", path)
        yield path


def _check_segments(fields: Fields, at: str, path: str) -> None:
    """`{cluster}-{namespace}` is a-b-c for b-c in a and for c in a-b: one could claim what is meant for the other."""
    if _TWO_IN_A_SEGMENT.search(path):
        fields.report(
            at, f"got {path!r}, expected at most one placeholder between two slashes: two may read the same"
        )


def _certificates(fields: Fields, node: Node) -> CertificateLimits:
    at = "spec.certificates"
    found = fields.mapping(node, at, ("services", "maxTTL"), ("podIP",))
    return CertificateLimits(
        services=_list_or_all(fields, found.get("services"), f"{at}.services", texts.label),
        max_ttl=fields.seconds(found.get("maxTTL"), f"{at}.maxTTL", texts.ttl),
        pod_ip=fields.flag(found.get("podIP"), f"{at}.podIP"),
    )


def _identity(fields: Fields, node: Node) -> int:
    found = fields.mapping(node, "spec.identity", ("maxTTL",))
    return fields.seconds(found.get("maxTTL"), "spec.identity.maxTTL", texts.ttl)


def check_clusters(draft: BoundaryDraft, known: Mapping[str, Cluster]) -> None:
    """Report clusters without a file: what is misspelt would close a namespace that should be open."""
    for index, name in enumerate(draft.boundary.clusters or ()):
        if name and name not in known:
            draft.fields.report(f"spec.clusters[{index}]", unknown_cluster(name, known))


def check_distinct(drafts: Iterable[BoundaryDraft]) -> None:
    """Report a namespace that two boundaries name for one cluster: there is one place to look at."""
    seen: dict[str, list[BoundaryDraft]] = {}
    for draft in drafts:
        for index, namespace in enumerate(draft.boundary.namespaces):
            others = seen.setdefault(namespace, []) if namespace else []
            other = next((other for other in others if other is not draft and _meet(draft, other)), None)
            if other:
                draft.fields.report(
                    f"spec.namespaces[{index}]",
                    f"got {namespace!r} again, expected it in one boundary for each cluster: "
                    f"{other.fields.file}:{other.fields.place('spec.namespaces').line} has it; join the two",
                )
            others.append(draft)


def _meet(one: BoundaryDraft, other: BoundaryDraft) -> bool:
    a, b = one.boundary.clusters, other.boundary.clusters
    return a is None or b is None or not set(a).isdisjoint(b)
