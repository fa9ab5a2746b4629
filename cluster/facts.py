"""What was read of a cluster, parsed: Kubernetes' side. Pure; each may be an `Unread` in its place."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.backstop import Backstop
from cluster.finding import Fact

Version = tuple[int, int]

WEBHOOK = "pods.podkeys.dev"
LABEL = "podkeys.dev/injection"
NAMESPACE = "podkeys-system"  # of the chart in its documents; where it is installed elsewhere, its registration says so
ACCOUNT = "podkeys-webhook"  # the chart's service account
UPGRADE = f"helm upgrade podkeys deploy/chart -n {NAMESPACE} --wait --reset-then-reuse-values"
PORT = "admission"  # the container port's name in the chart


@dataclass(frozen=True, slots=True)
class Node:
    """`swap_bytes` is None where the kubelet says nothing of it, `fails_on_swap` where its settings weren't read."""

    name: str
    kubelet: Version
    kernel: Version
    swap_bytes: int | None = None
    fails_on_swap: bool | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The webhook as the API server knows it: the Service it is called by, and the CA that it must have (PEM)."""

    namespace: str
    service: str
    ca_pem: str
    failure_policy: str

    @property
    def host(self) -> str:
        return f"{self.service}.{self.namespace}.svc"


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of the webhook, asked over TLS: `problem` is empty, and its certificate holds from `begins` to `ends`.

    Both are seconds since 1970.
    """

    pod: str
    problem: str
    begins: float = 0.0
    ends: float = 0.0

    @property
    def life(self) -> float:
        return self.ends - self.begins


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the API server said to a pod that the webhook must refuse; "" where it would have been created."""

    namespace: str
    answer: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """`namespaces` and `labelled` are labels by namespace: the second is there once pods should be injected.

    `accounts` are (namespace, name), `config_maps` their files by name of the map in the webhook's namespace.
    """

    version: Fact[Version]
    nodes: Fact[tuple[Node, ...]]
    namespaces: Fact[Mapping[str, Mapping[str, str]]]
    labelled: Fact[Mapping[str, Mapping[str, str]]]
    accounts: Fact[frozenset[tuple[str, str]]]
    registration: Fact[Registration | None]
    config_maps: Fact[Mapping[str, Mapping[str, str]]]
    attempt: Fact[Attempt]
    replicas: Fact[tuple[Replica, ...]]
    backstop: Fact[Mapping[str, Backstop]]


def installed_in(found: Fact[Registration | None]) -> str:
    """The webhook's namespace."""
    return found.namespace if isinstance(found, Registration) else NAMESPACE


def version(text: str) -> Version:
    """`v1.37.2+k3s1` or `6.18.44-generic` → its first two numbers; (0, 0) for what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def shown(number: Version) -> str:
    return f"{number[0]}.{number[1]}"


def node(item: Mapping[str, Any]) -> Node:
    info = item["status"]["nodeInfo"]
    return Node(
        item["metadata"]["name"],
        version(info["kubeletVersion"]),
        version(info["kernelVersion"]),
        info.get("swap", {}).get("capacity"),
    )


def registration(item: Mapping[str, Any] | None) -> Registration | None:
    """None where the configuration is absent, or has no webhook of ours that is called by a Service."""
    for webhook in (item or {}).get("webhooks", []):
        config = webhook["clientConfig"]
        if webhook["name"] == WEBHOOK and "service" in config:
            service = config["service"]
            pem = _decoded(config.get("caBundle", ""))
            return Registration(service["namespace"], service["name"], pem, webhook["failurePolicy"])
    return None


def _decoded(bundle: str) -> str:
    try:
        return base64.b64decode(bundle, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
