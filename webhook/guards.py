"""What a pod must not carry, and shapes of pods that can't be injected: small checks, in order. Pure."""

import posixpath
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice

from policies.catalog import Cluster
from webhook.annotations import PREFIX, STATUS
from webhook.config import OperatorSettings
from webhook.layout import CONTAINERS, FILES, FILES_BY_LINK, VOLUMES
from webhook.outcome import MAX_REPORTED, Deny, Problem, refuse
from webhook.placement import Placement
from webhook.pod import MAX_CONTAINERS, Container, Pod
from webhook.selection import Selection
from webhook.wording import clip, listed, quote

MAX_SHOWN = 80
MAX_VARIABLES = 4000  # at some 170 bytes each, near what Kubernetes can keep of a pod
_MARK = posixpath.basename(FILES)
# One of our folders or what is in it, however its slashes and dots are spelt. Nothing is tried twice (++, *+): a path may be as
# long as a review.
_BETWEEN = "/++(?:[.]/++)*+"
_OURS = re.compile(
    "/*+(?:[.]/++)*+(?:{})(?:/|\\Z)".format(
        "|".join(_BETWEEN.join(folder.strip("/").split("/")) for folder in (FILES, FILES_BY_LINK))
    )
)


def leftovers(pod: Pod, cluster: Cluster) -> list[str]:
    """What to remove, in words, one more than is reported; empty for a clean pod.

    Each is ours to add, and only once: a pod that brings it is a copy of an injected one, or prepares a place
    from which our token or files could be read.
    """
    found = chain.from_iterable(check(pod, cluster) for check in LEFTOVER_CHECKS)
    return list(islice(found, MAX_REPORTED + 1))


def _all_containers(pod: Pod) -> tuple[tuple[str, Container], ...]:
    groups = (
        ("initContainers", pod.init_containers or ()),
        ("containers", pod.containers),
        ("ephemeralContainers", pod.ephemeral_containers),
    )
    return tuple((field, container) for field, group in groups for container in group)


def _status(pod: Pod, _: Cluster) -> Iterator[str]:
    if STATUS in pod.annotations:
        yield f"the annotation {PREFIX}{STATUS}"


def _containers(pod: Pod, _: Cluster) -> Iterator[str]:
    for field, container in _all_containers(pod):
        if container.name in CONTAINERS:
            yield f"{container.name} from {field}"


def _ephemeral(pod: Pod, _: Cluster) -> Iterator[str]:
    if pod.ephemeral_containers:
        yield f"ephemeralContainers ({listed(item.name for item in pod.ephemeral_containers)})"


def _volumes(pod: Pod, _: Cluster) -> Iterator[str]:
    for volume in pod.volumes or ():
        if volume.name in VOLUMES:
            yield f"the volume {volume.name}"


def _mounts(pod: Pod, _: Cluster) -> Iterator[str]:
    for _field, container in _all_containers(pod):
        for mount in container.mounts or ():
            if mount.volume in VOLUMES or _is_ours(mount.path):
                yield (
                    f"the mount of {clip(mount.volume, MAX_SHOWN)} at {clip(mount.path, MAX_SHOWN)} "
                    f"in container {clip(container.name, MAX_SHOWN)}"
                )


def _is_ours(path: str) -> bool:
    """By `..` one gets anywhere: a path that has both it and our name counts as ours, whoever means no harm writes none."""
    return _MARK in path and ("../" in path or path.endswith("..") or _OURS.match(path) is not None)


def _file_references(pod: Pod, _: Cluster) -> Iterator[str]:
    for _field, container in _all_containers(pod):
        for name in container.file_volumes:
            if name in VOLUMES:
                yield f"the fileKeyRef to volume {name} in container {clip(container.name, MAX_SHOWN)}"


def _tokens(pod: Pod, cluster: Cluster) -> Iterator[str]:
    for volume in pod.volumes or ():
        if cluster.audience in volume.audiences:
            yield (
                f"the service account token with audience {cluster.audience} in volume "
                f"{clip(volume.name, MAX_SHOWN)}, which only our containers may hold"
            )


LEFTOVER_CHECKS: tuple[Callable[[Pod, Cluster], Iterator[str]], ...] = (
    _status,
    _containers,
    _ephemeral,
    _volumes,
    _mounts,
    _file_references,
    _tokens,
)


def too_many_containers(pod: Pod) -> Problem | None:
    """Kubernetes has no limit of its own; ours keeps the time for one answer short. No more of them were read."""
    if len(pod.containers) + len(pod.init_containers or ()) <= MAX_CONTAINERS:
        return None
    return Problem(
        "too-big", f"spec: got more than {MAX_CONTAINERS} containers, expected at most {MAX_CONTAINERS}"
    )


def unfit(pod: Pod, settings: OperatorSettings) -> Iterator[Problem]:
    """Why this pod, whatever it asks for, can't be injected."""
    if pod.windows:
        yield Problem(
            "pod",
            f"spec.os.name: got windows, expected linux; remove {PREFIX}inject, the agent runs on Linux",
        )
    if settings.allow_shared_pid:
        return
    for field, is_set in (("shareProcessNamespace", pod.share_processes), ("hostPID", pod.host_pid)):
        if is_set:
            yield Problem(
                "pod",
                f"spec.{field}: got true, with which another container could read the token for Vault; "
                "remove it, or ask the platform team to allow it (--allow-shared-pid)",
            )


def unsuitable(pod: Pod, selection: Selection, placement: Placement) -> Iterator[Problem]:
    """Why this pod can't get what its role would give it."""
    for certificate in selection.certificates:
        if certificate.pod_ip and pod.host_network:
            yield Problem(
                "pod",
                f"{PREFIX}certificates: got {certificate.name}, which names the pod's address, but spec.hostNetwork is "
                "true and the address is the node's; remove hostNetwork, or podIP from the certificate in role file "
                f"{selection.role.source}",
            )
    variables = {item.variable for item, _ in selection.env}
    added = len(variables) * len(placement.targets)
    if added > MAX_VARIABLES:
        yield Problem(
            "too-big",
            f"{PREFIX}env: got {len(variables)} variables for {len(placement.targets)} containers, expected at most "
            f"{MAX_VARIABLES} in all; name the containers that need them in {PREFIX}containers",
        )
    for target in placement.targets:
        for name in sorted(variables & set(target.container.variables or ())):
            yield Problem(
                "collision",
                f"{PREFIX}env: got {clip(name, MAX_SHOWN)}, which container {quote(target.container.name)} sets itself; "
                "remove one of the two, or choose another name",
            )


def refuse_leftovers(found: list[str]) -> Deny:
    shown = found[:MAX_REPORTED]
    more = ["and more"] if len(found) > MAX_REPORTED else []
    message = (
        "this pod already has what Podkeys adds itself, as a copy of an injected pod does; remove "
        f"{'; '.join([*shown, *more])}"
    )
    return refuse([Problem("leftovers", message)])
