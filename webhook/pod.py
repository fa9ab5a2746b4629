"""The pod as the webhook needs it: only what a decision or a patch depends on, checked once. Pure.

An absent field and a null one are the same to Kubernetes. Where a patch must add a list that isn't there yet,
the list is None; `()` is a list that is there and empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.annotations import PREFIX, asks, ours
from webhook.fields import (
    MalformedError,
    flag,
    get,
    list_or_empty,
    object_or_empty,
    objects,
    required_object,
    text,
    texts,
)
from webhook.layout import CONTAINERS, VOLUMES
from webhook.resources import is_guaranteed
from webhook.wording import describe, quote

MAX_CONTAINERS = 250
MAX_PARTS = 10_000  # at some 150 bytes each, near what Kubernetes can keep of a pod; a microsecond or two to read each

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Mount:
    volume: str
    path: str


@dataclass(frozen=True, slots=True)
class Container:
    """`file_volumes`: volumes that its environment reads by fileKeyRef, or "". `always`: restartPolicy Always."""

    name: str
    mounts: tuple[Mount, ...] | None
    variables: tuple[str, ...] | None
    file_volumes: tuple[str, ...]
    run_as_user: int | None
    always: bool
    guaranteed: bool


@dataclass(frozen=True, slots=True)
class Volume:
    """`audiences` are those of its projected service account tokens."""

    name: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Security:
    """The pod's securityContext."""

    run_as_user: int | None
    fs_group: int | None
    supplemental_groups: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Pod:
    """`annotations` are those under our prefix, as `annotations.ours` returns them; `service_account` is empty where the pod names none.

    Its namespace is the review's: what metadata says of it was written by the pod's author.
    `shared_resources` are the kinds of resources that the pod sets for all its containers together. Of more than
    MAX_CONTAINERS in one list no more than one over it are read.
    """

    annotations: Mapping[str, str]
    service_account: str
    restart_policy: str
    dns_policy: str
    host_network: bool
    host_pid: bool
    share_processes: bool
    windows: bool
    security: Security | None
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] | None
    ephemeral_containers: tuple[Container, ...]
    volumes: tuple[Volume, ...] | None
    shared_resources: frozenset[str]

    @property
    def guaranteed(self) -> bool:
        """Whether its class of service is Guaranteed, by its containers."""
        return all(item.guaranteed for item in (*self.containers, *(self.init_containers or ())))


def parse(item: Mapping[str, Any]) -> Pod:
    """A v1 Pod's JSON → Pod. Raises MalformedError.

    A pod that asks for nothing is never too large: of too many parts, what is not called as ours is left out.
    """
    metadata = required_object(item, "metadata", "")
    spec = required_object(item, "spec", "")
    annotations = _annotations(metadata)
    count = _size(spec)
    if count > MAX_PARTS and asks(annotations):
        raise MalformedError(
            f"spec: got {count} containers, volumes, mounts and variables, expected at most {MAX_PARTS} in all; "
            "make it several pods"
        )
    most = max(len(list_or_empty(spec, key)) for key in _CONTAINER_LISTS)
    if not asks(annotations) and (count > MAX_PARTS or most > MAX_CONTAINERS):
        spec = _called_as_ours(spec)
    security = get(spec, "securityContext", dict, "spec")
    return Pod(
        annotations=annotations,
        service_account=text(spec, "serviceAccountName", "spec") or text(spec, "serviceAccount", "spec"),
        restart_policy=text(spec, "restartPolicy", "spec") or "Always",
        dns_policy=text(spec, "dnsPolicy", "spec") or "ClusterFirst",
        host_network=flag(spec, "hostNetwork", "spec"),
        host_pid=flag(spec, "hostPID", "spec"),
        share_processes=flag(spec, "shareProcessNamespace", "spec"),
        windows=_is_windows(spec),
        security=None if security is None else _security(security),
        containers=_containers(spec, "containers") or (),
        init_containers=_containers(spec, "initContainers"),
        ephemeral_containers=_containers(spec, "ephemeralContainers") or (),
        volumes=_volumes(spec),
        shared_resources=_shared_resources(spec),
    )


def _size(spec: Mapping[str, Any]) -> int:
    """Before anything of them is read: three MiB have room for many, and each costs more to read than to count."""
    containers = [item for key in _CONTAINER_LISTS for item in list_or_empty(spec, key) if type(item) is dict]
    volumes = [item for item in list_or_empty(spec, "volumes") if type(item) is dict]
    count = len(containers) + len(volumes)
    if count > MAX_PARTS:
        return count
    sources = (
        list_or_empty(object_or_empty(volume, "projected"), "sources")
        for volume in volumes
        if "projected" in volume
    )
    inner = (list_or_empty(container, key) for container in containers for key in ("volumeMounts", "env"))
    return count + sum(map(len, sources)) + sum(map(len, inner))


def _called_as_ours(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The names of its containers and volumes that only we may add."""
    lists = {**dict.fromkeys(_CONTAINER_LISTS, CONTAINERS), "volumes": VOLUMES}
    return {
        key: [
            {"name": item["name"]}
            for item in list_or_empty(spec, key)
            if type(item) is dict and item.get("name") in ours
        ]
        for key, ours in lists.items()
    }


def _annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Ours alone: there may be thousands of others, of which none is looked at."""
    chosen = ours(get(metadata, "annotations", dict, "metadata") or {})
    for name, value in chosen.items():
        if type(value) is not str:
            raise MalformedError(
                f"metadata.annotations[{quote(name if '/' in name else PREFIX + name)}]: got {describe(value)}, "
                "expected text: put the value in quotes"
            )
    return chosen


def _is_windows(spec: Mapping[str, Any]) -> bool:
    system = get(spec, "os", dict, "spec") or {}
    selector = get(spec, "nodeSelector", dict, "spec") or {}
    return system.get("name") == "windows" or selector.get("kubernetes.io/os") == "windows"


def _security(item: Mapping[str, Any]) -> Security:
    at = "spec.securityContext"
    groups = get(item, "supplementalGroups", list, at)
    if groups is not None and not all(type(group) is int for group in groups):
        raise MalformedError(f"{at}.supplementalGroups: expected a list of whole numbers")
    return Security(
        get(item, "runAsUser", int, at),
        get(item, "fsGroup", int, at),
        None if groups is None else tuple(groups),
    )


def _containers(spec: Mapping[str, Any], key: str) -> tuple[Container, ...] | None:
    items = objects(spec, key, "spec")
    if items is None:
        return None
    return tuple(
        _container(item, f"spec.{key}[{index}]") for index, item in enumerate(items[: MAX_CONTAINERS + 1])
    )


def _container(item: Mapping[str, Any], at: str) -> Container:
    mounts_at, env_at = f"{at}.volumeMounts", f"{at}.env"  # once: a container may have hundreds
    mounts = objects(item, "volumeMounts", at)
    env = objects(item, "env", at)
    security = get(item, "securityContext", dict, at) or {}
    return Container(
        name=text(item, "name", at),
        mounts=None if mounts is None else _mounts(mounts, mounts_at),
        variables=None if env is None else texts(env, "name", env_at),
        file_volumes=tuple(
            _file_volume(entry, env_at) for entry in env or () if entry.get("valueFrom") is not None
        ),
        run_as_user=get(security, "runAsUser", int, f"{at}.securityContext"),
        always=text(item, "restartPolicy", at) == "Always",
        guaranteed=is_guaranteed(*_resources(item, at)),
    )


def _resources(item: Mapping[str, Any], at: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Limits and requests."""
    found = get(item, "resources", dict, at) or {}
    at = f"{at}.resources"
    return get(found, "limits", dict, at) or {}, get(found, "requests", dict, at) or {}


def _shared_resources(spec: Mapping[str, Any]) -> frozenset[str]:
    limits, requests = _resources(spec, "spec")
    return frozenset((*limits, *requests))


def _mounts(items: Sequence[Mapping[str, Any]], at: str) -> tuple[Mount, ...]:
    return tuple(map(Mount, texts(items, "name", at), texts(items, "mountPath", at)))


def _file_volume(entry: Mapping[str, Any], at: str) -> str:
    source = required_object(entry, "valueFrom", at)
    reference = get(source, "fileKeyRef", dict, f"{at}.valueFrom") or {}
    return text(reference, "volumeName", f"{at}.valueFrom.fileKeyRef")


def _volumes(spec: Mapping[str, Any]) -> tuple[Volume, ...] | None:
    items = objects(spec, "volumes", "spec")
    if items is None:
        return None
    return tuple(_volume(item, f"spec.volumes[{index}]") for index, item in enumerate(items))


def _volume(item: Mapping[str, Any], at: str) -> Volume:
    projected = get(item, "projected", dict, at)
    return Volume(
        text(item, "name", at), () if projected is None else _audiences(projected, f"{at}.projected")
    )


def _audiences(projected: Mapping[str, Any], at: str) -> tuple[str, ...]:
    sources, at = objects(projected, "sources", at) or (), f"{at}.sources"
    tokens = [get(source, "serviceAccountToken", dict, at) or {} for source in sources]
    return texts(tokens, "audience", f"{at}.serviceAccountToken")
