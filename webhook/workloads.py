"""Workloads and the pods that their controllers would create from them. Pure."""

from collections.abc import Mapping
from typing import Any

# Where each workload keeps its pod template
TEMPLATES = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
}

Json = dict[str, Any]


def at(item: object, *path: str) -> Any:  # noqa: ANN401 - whatever the workload holds
    """The value at a path; None where there is none."""
    for key in path:
        item = item.get(key) if isinstance(item, dict) else None
    return item


def template(workload: Mapping[str, Any]) -> Json | None:
    """The pod template of a workload; None for another kind, or where there is none."""
    kind = workload.get("kind")
    found = at(workload, *TEMPLATES[kind]) if isinstance(kind, str) and kind in TEMPLATES else None
    return found if isinstance(found, dict) else None


def created(pod_template: Json, name: object) -> Json:
    """The pod as the controller of workload `name` would send it: the template, with a generated name."""
    metadata = pod_template.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        **pod_template,
        "metadata": {"generateName": f"{name}-", **given},
    }
