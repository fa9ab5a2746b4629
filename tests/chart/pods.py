"""Pods as the webhook makes them, and as someone makes them by hand."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.webhook.admissions import container, injected, pod

Pod = dict[str, Any]
GOLDEN = sorted(Path(__file__).parents[1].glob("testdata/*/expected.yaml"))
TOKEN = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
ANNOTATIONS = {"secrets": "orders, smtp", "certificates": "serving", "env": "PASSWORD=smtp.password"}


def whole() -> Pod:
    """As the webhook leaves it, with all of our parts."""
    found = injected(pod(ANNOTATIONS))
    found["metadata"] = {"name": "payments", "annotations": found["metadata"]["annotations"]}
    return found


def bare() -> Pod:
    found = pod()
    found["metadata"] = {"name": "bare"}
    return found


def golden_pods() -> dict[str, Pod]:
    """What the webhook injects of the pods found in the wild."""
    found = {}
    for path in GOLDEN:
        text = path.read_text()
        if text.startswith("# injected"):
            found[path.parent.name] = yaml.safe_load(text)
    return found


def forged() -> Pod:
    found = bare()
    found["spec"]["volumes"] = [{"name": "podkeys-state", "emptyDir": {}}]
    return found


def with_spec(**spec: object) -> Callable[[], Pod]:
    def build() -> Pod:
        found = whole()
        found["spec"].update(copy.deepcopy(spec))
        return found

    return build


def ours(name: str, **fields: object) -> Callable[[], Pod]:
    def build() -> Pod:
        found = whole()
        container(found, name).update(copy.deepcopy(fields))
        return found

    return build


def app(field: str, value: Pod) -> Callable[[], Pod]:
    def build() -> Pod:
        found = whole()
        container(found, "app").setdefault(field, []).append(value)
        return found

    return build


def volume(name: str, value: Pod) -> Callable[[], Pod]:
    def build() -> Pod:
        found = whole()
        items = [item for item in found["spec"]["volumes"] if item["name"] != name]
        found["spec"]["volumes"] = [*items, {"name": name, **copy.deepcopy(value)}]
        return found

    return build


def annotated(**annotations: str) -> Callable[[], Pod]:
    def build() -> Pod:
        found = bare()
        found["metadata"]["annotations"] = {
            name.replace("__", "/").replace("_", "."): value for name, value in annotations.items()
        }
        return found

    return build


def mount(name: str, **fields: object) -> Pod:
    return {"name": name, "mountPath": "/mine", **fields}


def file_key(name: str) -> Pod:
    reference = {"volumeName": name, "path": "token", "key": "A"}
    return {"name": "A", "valueFrom": {"fileKeyRef": reference}}
