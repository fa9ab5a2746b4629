"""JSON Patch (RFC 6902) by hand: `add` alone, in one order, so that nothing of the pod's changes. Pure.

`add` to a path that is a list replaces it: a list is added whole only where there is none, else entries are.
"""

from collections.abc import Sequence
from typing import Any

from agent.config import ENV_FILE
from webhook import layout
from webhook.annotations import PREFIX, STATUS
from webhook.containers import Users
from webhook.pod import Container, Pod

Operation = dict[str, Any]
Json = dict[str, Any]


def add(path: str, value: Any) -> Operation:  # noqa: ANN401 - any JSON value
    return {"op": "add", "path": path, "value": value}


def pointer(key: str) -> str:
    """A key as one part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def append(path: str, existing: Sequence[object] | None, items: Sequence[Any]) -> list[Operation]:
    if existing is None:
        return [add(path, list(items))]
    return [add(f"{path}/-", item) for item in items]


def insert(path: str, existing: Sequence[object] | None, at: int, items: Sequence[Any]) -> list[Operation]:
    if existing is None:
        return [add(path, list(items))]
    return [add(f"{path}/{at + offset}", item) for offset, item in enumerate(items)]


def status(text: str) -> list[Operation]:
    """Only for pods that have annotations: without one they aren't injected."""
    return [add(f"/metadata/annotations/{pointer(PREFIX + STATUS)}", text)]


def groups(pod: Pod, users: Users) -> list[Operation]:
    """The group that owns our files joins the pod's supplemental groups, unless it is there."""
    if not users.join:
        return []
    if pod.security is None:
        return [add("/spec/securityContext", {"supplementalGroups": [users.group]})]
    existing = pod.security.supplemental_groups
    if users.group in (existing or ()):
        return []
    return append("/spec/securityContext/supplementalGroups", existing, [users.group])


def application(path: str, container: Container, variables: Sequence[str]) -> list[Operation]:
    """The mount, and the variables before the container's own, so that its own may refer to them."""
    mount = {
        "name": layout.FILES_VOLUME,
        "mountPath": layout.FILES,
        "subPath": layout.FILES_SUBPATH,
        "readOnly": True,
    }
    operations = append(f"{path}/volumeMounts", container.mounts, [mount])
    if variables:
        entries = [_variable(name) for name in variables]
        operations += insert(f"{path}/env", container.variables, 0, entries)
    return operations


def _variable(name: str) -> Json:
    reference = {"volumeName": layout.ENV_VOLUME, "path": ENV_FILE, "key": name, "optional": False}
    return {"name": name, "valueFrom": {"fileKeyRef": reference}}
