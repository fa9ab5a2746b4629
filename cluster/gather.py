"""Reads Kubernetes' side, each thing by itself: what is not allowed, or answers too late, is lost to its own checks alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

from cluster import facts, handshake, namespaces
from cluster.backstop import Backstop, backstop
from cluster.checks.kubernetes import keeps_memory
from cluster.checks.webhook import ATTEMPT
from cluster.errors import ClusterError, RefusedError, UnreachableError
from cluster.facts import LABEL, PORT, Attempt, ClusterFacts, Node, Registration, Replica
from cluster.finding import Fact, Unread
from cluster.generated import Tree
from cluster.issuer import TokenIssuer, token_issuer
from cluster.kube import Kube

T = TypeVar("T")

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
PODS = "app.kubernetes.io/name=podkeys,app.kubernetes.io/component=webhook"
MAPS = "app.kubernetes.io/name=podkeys"
ROOT_CA = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
NOT_INSTALLED = Unread("not looked at: --pre is for before the chart is installed", "", "skipped")

_ALLOW = "give whoever runs this the role in docs/cluster-check.md"
_RUN_AGAIN = "run it again when the API server is well; kubernetes-version says whether it is too old"
_UNLABELLED = Unread(
    "no namespace of a role file is there with the label, so no pod can be tried out",
    f"create one and label it {LABEL}=enabled",
)


def read(kube: Kube, tree: Tree, *, installed: bool) -> ClusterFacts:
    """`installed`: whether the chart should be there."""
    labels = attempt(lambda: namespaces.read(kube))
    found: Fact[Registration | None] = attempt(lambda: _registration(kube)) if installed else NOT_INSTALLED
    where = facts.installed_in(found)
    return ClusterFacts(
        version=attempt(lambda: _version(kube)),
        nodes=attempt(lambda: tuple(_nodes(kube))),
        namespaces=labels,
        labelled=labels if installed else NOT_INSTALLED,
        accounts=attempt(lambda: _accounts(kube)),
        registration=found,
        config_maps=attempt(lambda: _config_maps(kube, where)) if installed else NOT_INSTALLED,
        attempt=_attempt(kube, tree, labels) if installed else NOT_INSTALLED,
        replicas=_replicas(kube, found),
        backstop=attempt(lambda: _backstop(kube)) if installed else NOT_INSTALLED,
    )


def attempt(read_one: Callable[[], T]) -> Fact[T]:
    try:
        return read_one()
    except RefusedError as error:
        denied = error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return Unread(error.message, _ALLOW if denied else _RUN_AGAIN)
    except ClusterError as error:
        return Unread(str(error), _RUN_AGAIN)


def issuer(kube: Kube) -> Fact[TokenIssuer]:
    """The cluster's own, with the CA that verifies its API server inside."""
    ca = attempt(lambda: str(kube.get(ROOT_CA)["data"]["ca.crt"]))
    return attempt(
        lambda: token_issuer(
            kube.get("/.well-known/openid-configuration"),
            kube.get("/openid/v1/jwks"),
            "" if isinstance(ca, Unread) else ca,
        )
    )


def _version(kube: Kube) -> facts.Version:
    return facts.version(str(kube.get("/version")["gitVersion"]))


def _accounts(kube: Kube) -> frozenset[tuple[str, str]]:
    items = kube.items("/api/v1/serviceaccounts")
    return frozenset((item["metadata"]["namespace"], item["metadata"]["name"]) for item in items)


def _registration(kube: Kube) -> Registration | None:
    return facts.registration(kube.find(f"{REGISTRATION}/mutatingwebhookconfigurations/podkeys"))


def _config_maps(kube: Kube, namespace: str) -> dict[str, Mapping[str, str]]:
    items = kube.items(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector=MAPS)
    return {item["metadata"]["name"]: item.get("data", {}) for item in items if _is_catalog(item)}


def _is_catalog(item: Mapping[str, Any]) -> bool:
    name = item["metadata"]["name"]
    return bool(name in ("podkeys-cluster", "podkeys-catalog") or name.startswith("podkeys-catalog-"))


def _backstop(kube: Kube) -> dict[str, Backstop]:
    policies = kube.items(f"{REGISTRATION}/validatingadmissionpolicies")
    return backstop(policies, kube.items(f"{REGISTRATION}/validatingadmissionpolicybindings"))


def _nodes(kube: Kube) -> Iterable[Node]:
    """A kubelet's settings are asked only where the node's status leaves open whether it swaps."""
    for item in kube.items("/api/v1/nodes"):
        node = facts.node(item)
        yield (
            node
            if keeps_memory(node) is not None
            else replace(node, fails_on_swap=_fails_on_swap(kube, node))
        )


def _fails_on_swap(kube: Kube, node: Node) -> bool | None:
    settings = attempt(lambda: kube.get(f"/api/v1/nodes/{node.name}/proxy/configz")["kubeletconfig"])
    return None if isinstance(settings, Unread) else bool(settings.get("failSwapOn", True))


def _attempt(kube: Kube, tree: Tree, labels: Fact[Mapping[str, Mapping[str, str]]]) -> Fact[Attempt]:
    """Only in a namespace of role files: one is labelled by its owner, and whoever runs this need be allowed there alone."""
    if isinstance(labels, Unread):
        return labels
    where = next((name for name in tree.namespaces if labels.get(name, {}).get(LABEL) == "enabled"), None)
    if where is None:
        return _UNLABELLED
    path = f"/api/v1/namespaces/{where}/pods"
    try:
        kube.try_out(path, _refusable())
    except RefusedError as error:
        if error.status == HTTPStatus.FORBIDDEN and "cannot create resource" in error.message:
            return Unread(error.message, _ALLOW)
        return Attempt(where, error.message)
    except UnreachableError as error:
        return Unread(str(error), _RUN_AGAIN)
    return Attempt(where, "")


def _refusable() -> dict[str, Any]:
    """A pod that the webhook refuses for an annotation that it does not know, and that nothing else has a reason to refuse."""
    container = {
        "name": "none",
        "image": "podkeys.invalid/none",
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "podkeys-cluster-check-",
            "annotations": {"podkeys.dev/inject": "true", ATTEMPT: "true"},
        },
        "spec": {"automountServiceAccountToken": False, "containers": [container]},
    }


def _replicas(kube: Kube, found: Fact[Registration | None]) -> Fact[tuple[Replica, ...]]:
    if isinstance(found, Unread):
        return found
    if found is None:
        return Unread("the webhook is not registered, so there is no caBundle", "see webhook-registered")
    pods = attempt(lambda: _running(kube, found.namespace))
    if isinstance(pods, Unread):
        return pods
    asked = [
        handshake.serves(kube.client, (found.namespace, name), port, host=found.host, ca_pem=found.ca_pem)
        for name, port in pods
    ]
    unread = [item for item in asked if isinstance(item, Unread)]
    return unread[0] if unread else tuple(item for item in asked if isinstance(item, Replica))


def _running(kube: Kube, namespace: str) -> list[tuple[str, int]]:
    """Name and admission port of the webhook's pods that run and are not about to end."""
    return [
        (item["metadata"]["name"], port["containerPort"])
        for item in kube.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=PODS)
        if item["status"].get("phase") == "Running" and "deletionTimestamp" not in item["metadata"]
        for container in item["spec"]["containers"]
        for port in container.get("ports", [])
        if port.get("name") == PORT
    ]
