"""What a role may ask of the clusters that it runs in. Each check yields the field and what is wrong with it."""

from collections.abc import Callable, Iterator, Mapping

from policies.nearest import nearest
from policies.roles.role import Draft
from policies.roles.texts import SERVERS_OWN, spoken
from policies.roles.types import Cluster, RunsAs, Secret, SecretsBelow, ServiceRole

Finding = tuple[str, str]
Check = Callable[[ServiceRole, Mapping[str, Cluster]], Iterator[Finding]]

ENV_KUBELET = (1, 35)  # the first that reads environment variables by fileKeyRef
MAX_POD_IP_TTL = 3600  # nobody can prove which pod holds an address, so such certificates live shortly
MAX_REVOKED_TTL = 24 * 3600  # a certificate with a lease ends with its token, which lives a day at most


def run(draft: Draft, clusters: Mapping[str, Cluster], *, complete: bool) -> None:
    """Report every finding about a field that isn't wrong already.

    `complete`: no cluster file was broken, so a cluster that isn't in `clusters` doesn't exist.
    """
    checks = CHECKS if complete else CHECKS[1:]
    seen: set[str] = set()  # a field that is wrong in many places is said once
    for check in checks:
        for at, message in check(draft.role, clusters):
            if at not in seen and not draft.fields.is_wrong(at):
                draft.fields.report(at, message)
            seen.add(at)


def _clusters_exist(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    for index, place in enumerate(role.runs_as):
        if place.cluster and place.cluster not in clusters:
            yield f"spec.runsAs[{index}].cluster", unknown_cluster(place.cluster, clusters)


def unknown_cluster(name: str, clusters: Mapping[str, Cluster]) -> str:
    near = nearest(name, clusters)
    known = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(clusters)[:10]) or 'none'}"
    return f"got {name!r}, expected a cluster that has a file; {known}"


def _places_are_distinct(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    del clusters
    first: dict[tuple[str, str], int] = {}
    for index, place in enumerate(role.runs_as):
        other = first.setdefault((place.cluster, place.namespace), index)
        if other != index and place.cluster and place.namespace:
            yield (
                f"spec.runsAs[{index}].namespace",
                (
                    f"got {place.cluster}/{place.namespace} again, expected it once; "
                    f"join its serviceAccounts to those of spec.runsAs[{other}]"
                ),
            )


def _lives_are_long_enough(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    lives = [(f"spec.certificates[{i}].ttl", entry.ttl) for i, entry in enumerate(role.certificates)]
    if role.identity:
        lives.append(("spec.identity.ttl", role.identity.ttl))
    for cluster in _used(role, clusters):
        for at, ttl in lives:
            if 0 < ttl < cluster.min_ttl:
                yield (
                    at,
                    f"got {spoken(ttl)}, expected at least {spoken(cluster.min_ttl)}, the minTTL of cluster {cluster.name}",
                )


def _revoked_lives_end_with_the_token(
    role: ServiceRole, clusters: Mapping[str, Cluster]
) -> Iterator[Finding]:
    del clusters
    for index, entry in enumerate(role.certificates):
        if entry.revoke and entry.ttl > MAX_REVOKED_TTL:
            yield (
                f"spec.certificates[{index}].ttl",
                f"got {spoken(entry.ttl)}, expected at most 24h, because of revoke: true",
            )


def _pod_addresses_are_accepted(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    for index, entry in enumerate(role.certificates):
        if not entry.pod_ip:
            continue
        for cluster in _used(role, clusters):
            if not cluster.pod_ip_accepted:
                yield (
                    f"spec.certificates[{index}].podIP",
                    (
                        f"got true, expected false: cluster {cluster.name} does not accept certificates for "
                        "pod addresses (podIPCertificates: accepted in its file), as nobody can prove which "
                        "pod holds an address"
                    ),
                )
        if entry.ttl > MAX_POD_IP_TTL:
            yield (
                f"spec.certificates[{index}].ttl",
                f"got {spoken(entry.ttl)}, expected at most 1h, because of podIP: true",
            )


def _kubelets_know_env(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    for index, entry in enumerate(role.secrets):
        for cluster in _used(role, clusters) if entry.env else ():
            if cluster.min_kubelet < ENV_KUBELET:
                oldest = "{}.{}".format(*cluster.min_kubelet)
                yield (
                    f"spec.secrets[{index}].env",
                    (
                        f"got true, expected false: nodes of cluster {cluster.name} may run kubelet {oldest}, "
                        "and environment variables from files need 1.35; read the secret as a file"
                    ),
                )


def _mounts_are_allowed(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    """By the mount as it reads in each place: a namespace called sys must not turn {namespace}/x into the server's own."""
    paths = [(f"spec.secrets[{i}]", f"{entry.mount}/{entry.path}") for i, entry in enumerate(role.secrets)]
    paths += [(f"spec.databases[{i}]", entry.path) for i, entry in enumerate(role.databases)]
    for place in role.runs_as:
        cluster = clusters.get(place.cluster)
        for entry, path in paths:
            taken = _taken(expand(path, place), cluster)
            if taken:
                yield f"{entry}.path", f"got {path!r}, expected a mount for secrets: {taken}"


def _taken(path: str, cluster: Cluster | None) -> str:
    first = path.partition("/")[0]
    if first.lower() in SERVERS_OWN:
        return f"{first}/ belongs to the server"
    for mount in (cluster.serving_mount, cluster.identity_mount) if cluster else ():
        if f"{path}/".startswith(f"{mount}/"):
            return f"{mount} is a PKI mount of cluster {cluster.name if cluster else ''}"
    return ""


def _key_value_is_no_database(role: ServiceRole, clusters: Mapping[str, Cluster]) -> Iterator[Finding]:
    """A key-value 1 path is read as it stands, so it could name an engine that makes accounts, with no renewal."""
    del clusters
    for index, entry in enumerate(role.secrets):
        if entry.engine == "kv1" and entry.path.split("/")[0] in {"creds", "static-creds"}:
            yield (
                f"spec.secrets[{index}].path",
                f"got {entry.mount}/{entry.path}, expected a key-value path; use databases",
            )


CHECKS: tuple[Check, ...] = (
    _clusters_exist,
    _places_are_distinct,
    _lives_are_long_enough,
    _revoked_lives_end_with_the_token,
    _pod_addresses_are_accepted,
    _kubelets_know_env,
    _mounts_are_allowed,
    _key_value_is_no_database,
)


def expand(path: str, place: RunsAs) -> str:
    """Put the place's names where the placeholders stand."""
    return path.replace("{cluster}", place.cluster).replace("{namespace}", place.namespace)


def api_path(entry: Secret | SecretsBelow) -> str:
    """Where the server keeps it, with its placeholders: key-value version 2 has values below `data/`."""
    return "/".join(filter(None, (entry.mount, "data" if entry.engine == "kv2" else "", entry.path)))


def _used(role: ServiceRole, clusters: Mapping[str, Cluster]) -> list[Cluster]:
    return [
        clusters[name] for name in dict.fromkeys(place.cluster for place in role.runs_as) if name in clusters
    ]
