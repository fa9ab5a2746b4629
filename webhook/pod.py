"""The pod as the webhook needs it: only what a decision or a patch depends on, checked once. Pure.

An absent field and a null one are the same to Kubernetes. Where a patch must add a list that isn't there yet,
the list is None; `()` is a list that is there and empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from webhook.resources import is_guaranteed
from webhook.wording import describe

T = TypeVar("T")

MAX_PARTS = (
    10_000  # at some 150 bytes each, near what Kubernetes can keep of a pod; a few microseconds to read each
)

_KINDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


class MalformedError(ValueError):
    """A field has a type that Kubernetes would not accept. The message names it."""


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
    """`service_account` is empty where the pod names none.

    Its namespace is the review's: what metadata says of it was written by the pod's author.
    `shared_resources` are the kinds of resources that the pod sets for all its containers together.
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
    """A v1 Pod's JSON → Pod. Raises MalformedError."""
    metadata = _object(item, "metadata", "")
    spec = _object(item, "spec", "")
    _check_size(spec)
    security = _get(spec, "securityContext", dict, "spec")
    return Pod(
        annotations=_annotations(metadata),
        service_account=_text(spec, "serviceAccountName", "spec") or _text(spec, "serviceAccount", "spec"),
        restart_policy=_text(spec, "restartPolicy", "spec") or "Always",
        dns_policy=_text(spec, "dnsPolicy", "spec") or "ClusterFirst",
        host_network=_flag(spec, "hostNetwork", "spec"),
        host_pid=_flag(spec, "hostPID", "spec"),
        share_processes=_flag(spec, "shareProcessNamespace", "spec"),
        windows=_is_windows(spec),
        security=None if security is None else _security(security),
        containers=_containers(spec, "containers") or (),
        init_containers=_containers(spec, "initContainers"),
        ephemeral_containers=_containers(spec, "ephemeralContainers") or (),
        volumes=_volumes(spec),
        shared_resources=_shared_resources(spec),
    )


def _check_size(spec: Mapping[str, Any]) -> None:
    """Before anything of them is read: three MiB have room for a million empty ones, which would take seconds."""
    containers = [
        container
        for key in ("containers", "initContainers", "ephemeralContainers")
        for container in _items(spec, key, "spec") or ()
    ]
    lists = [containers, spec.get("volumes"), *(container.get("volumeMounts") for container in containers)]
    count = sum(len(item) for item in lists if type(item) is list)  # another type is refused where it is read
    if count > MAX_PARTS:
        raise MalformedError(
            f"spec: got {count} containers, volumes and mounts, expected at most {MAX_PARTS} in all; make it several pods"
        )


def _annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    found = _get(metadata, "annotations", dict, "metadata") or {}
    for name, value in found.items():
        if type(value) is not str:
            raise MalformedError(
                f"metadata.annotations[{name!r:.80}]: got {describe(value)}, expected text: put the value in quotes"
            )
    return found


def _is_windows(spec: Mapping[str, Any]) -> bool:
    system = _get(spec, "os", dict, "spec") or {}
    selector = _get(spec, "nodeSelector", dict, "spec") or {}
    return system.get("name") == "windows" or selector.get("kubernetes.io/os") == "windows"


def _security(item: Mapping[str, Any]) -> Security:
    at = "spec.securityContext"
    groups = _get(item, "supplementalGroups", list, at)
    if groups is not None and not all(type(group) is int for group in groups):
        raise MalformedError(f"{at}.supplementalGroups: expected a list of whole numbers")
    return Security(
        _get(item, "runAsUser", int, at),
        _get(item, "fsGroup", int, at),
        None if groups is None else tuple(groups),
    )


def _containers(spec: Mapping[str, Any], key: str) -> tuple[Container, ...] | None:
    items = _items(spec, key, "spec")
    if items is None:
        return None
    return tuple(_container(item, f"spec.{key}[{index}]") for index, item in enumerate(items))


def _container(item: Mapping[str, Any], at: str) -> Container:
    mounts_at, env_at = f"{at}.volumeMounts", f"{at}.env"  # once: a container may have hundreds
    mounts = _items(item, "volumeMounts", at)
    env = _items(item, "env", at)
    security = _get(item, "securityContext", dict, at) or {}
    return Container(
        name=_text(item, "name", at),
        mounts=None if mounts is None else tuple(_mount(mount, mounts_at) for mount in mounts),
        variables=None if env is None else tuple(_text(entry, "name", env_at) for entry in env),
        file_volumes=tuple(
            _file_volume(entry, env_at) for entry in env or () if entry.get("valueFrom") is not None
        ),
        run_as_user=_get(security, "runAsUser", int, f"{at}.securityContext"),
        always=_text(item, "restartPolicy", at) == "Always",
        guaranteed=is_guaranteed(*_resources(item, at)),
    )


def _resources(item: Mapping[str, Any], at: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Limits and requests."""
    found = _get(item, "resources", dict, at) or {}
    at = f"{at}.resources"
    return _get(found, "limits", dict, at) or {}, _get(found, "requests", dict, at) or {}


def _shared_resources(spec: Mapping[str, Any]) -> frozenset[str]:
    limits, requests = _resources(spec, "spec")
    return frozenset((*limits, *requests))


def _mount(item: Mapping[str, Any], at: str) -> Mount:
    return Mount(_text(item, "name", at), _text(item, "mountPath", at))


def _file_volume(entry: Mapping[str, Any], at: str) -> str:
    source = _object(entry, "valueFrom", at)
    reference = _get(source, "fileKeyRef", dict, f"{at}.valueFrom") or {}
    return _text(reference, "volumeName", f"{at}.valueFrom.fileKeyRef")


def _volumes(spec: Mapping[str, Any]) -> tuple[Volume, ...] | None:
    items = _items(spec, "volumes", "spec")
    if items is None:
        return None
    return tuple(_volume(item, f"spec.volumes[{index}]") for index, item in enumerate(items))


def _volume(item: Mapping[str, Any], at: str) -> Volume:
    projected = _get(item, "projected", dict, at) or {}
    tokens = [
        _get(source, "serviceAccountToken", dict, f"{at}.projected.sources") or {}
        for source in _items(projected, "sources", f"{at}.projected") or ()
    ]
    return Volume(
        _text(item, "name", at),
        tuple(_text(token, "audience", f"{at}.projected.sources.serviceAccountToken") for token in tokens),
    )


def _get(item: Mapping[str, Any], key: str, kind: type[T], at: str) -> T | None:
    value = item.get(key)
    if value is None or type(value) is kind:  # exact: bool is an int too
        return value
    where = f"{at}.{key}" if at else key
    raise MalformedError(f"{where}: got {describe(value)}, expected {_KINDS[kind]}")


def _object(item: Mapping[str, Any], key: str, at: str) -> dict[str, Any]:
    found = _get(item, key, dict, at)
    if found is None:
        raise MalformedError(
            f"{at}.{key}: got nothing, expected an object"
            if at
            else f"{key}: got nothing, expected an object"
        )
    return found


def _text(item: Mapping[str, Any], key: str, at: str) -> str:
    return _get(item, key, str, at) or ""


def _flag(item: Mapping[str, Any], key: str, at: str) -> bool:
    return _get(item, key, bool, at) or False


def _items(item: Mapping[str, Any], key: str, at: str) -> list[dict[str, Any]] | None:
    values = _get(item, key, list, at)
    for index, value in enumerate(values or ()):
        if type(value) is not dict:
            raise MalformedError(f"{at}.{key}[{index}]: got {describe(value)}, expected an object")
    return values
