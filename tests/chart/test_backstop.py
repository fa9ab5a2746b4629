"""Pods at the admission policies of the chart, in a real API server with no webhook."""

import json
from collections.abc import Callable

import pytest

from tests.chart.clusters import Cluster
from tests.chart.pods import (
    TOKEN,
    Pod,
    annotated,
    app,
    bare,
    file_key,
    forged,
    golden_pods,
    mount,
    ours,
    volume,
    whole,
    with_spec,
)
from tests.webhook.admissions import container, injected, pod


def unasked() -> Pod:
    found = whole()
    del found["metadata"]["annotations"]
    return found


def opted_out_with_parts() -> Pod:
    found = whole()
    found["metadata"]["annotations"] = {"podkeys.dev/inject": "false"}
    return found


def called_as_ours() -> Pod:
    found = injected(pod({"secrets": "smtp"}))  # nothing expires: there is no sidecar
    container(found, "app")["name"] = "podkeys-sidecar"
    return found


BAD: dict[str, tuple[Callable[[], Pod], str]] = {
    "asks": (annotated(podkeys_dev__inject="true"), "was not injected"),
    "asks in capitals": (annotated(podkeys_dev__inject="True"), "was not injected"),
    "asks by another spelling": (annotated(Podkeys_DEV__inject="true"), "was not injected"),
    "asks for something alone": (annotated(podkeys_dev__secrets="orders"), "was not injected"),
    "parts without asking": (unasked, "does not ask for them"),
    "parts of who opted out": (opted_out_with_parts, "does not ask for them"),
    "a volume of ours alone": (forged, "does not ask for them"),
    "a container called as ours": (called_as_ours, "are init containers"),
    "another image": (ours("podkeys-init", image="evil.example.com/podkeys:1"), "must run an image of"),
    "an image whose name begins as ours": (
        ours("podkeys-init", image="registry.example.com/podkeys-evil:1"),
        "must run an image of",
    ),
    "an image whose host begins as ours": (
        ours("podkeys-init", image="registry.example.com/podkeys:5000/evil"),
        "must run an image of",
    ),
    "another command": (ours("podkeys-init", command=["/bin/sh"]), "must run the agent alone"),
    "the other container's command": (
        ours("podkeys-init", command=["/opt/podkeys/bin/python", "-I", "-m", "agent", "sidecar"]),
        "must run the agent alone",
    ),
    "no command": (ours("podkeys-sidecar", command=None), "must run the agent alone"),
    "arguments": (ours("podkeys-sidecar", args=["x"]), "must run the agent alone"),
    "a hook": (
        ours("podkeys-sidecar", lifecycle={"preStop": {"exec": {"command": ["x"]}}}),
        "must run the agent alone",
    ),
    "a probe": (
        ours("podkeys-sidecar", livenessProbe={"exec": {"command": ["x"]}}),
        "must run the agent alone",
    ),
    "state on disk": (volume("podkeys-state", {"emptyDir": {}}), "emptyDir in memory"),
    "files on the node": (volume("podkeys", {"hostPath": {"path": "/mine"}}), "emptyDir in memory"),
    "files without a limit": (volume("podkeys", {"emptyDir": {"medium": "Memory"}}), "with a size limit"),
    "a token and more": (
        volume("podkeys-token", {"projected": {"sources": [TOKEN, TOKEN | {}]}}),
        "must be one service account token",
    ),
    "a token of another audience": (
        volume(
            "podkeys-token",
            {"projected": {"sources": [{"serviceAccountToken": {"audience": "x", "path": "token"}}]}},
        ),
        "must be one service account token",
    ),
    "our token mounted": (app("volumeMounts", mount("podkeys-token", readOnly=True)), "are ours"),
    "our state mounted": (app("volumeMounts", mount("podkeys-state", readOnly=True)), "are ours"),
    "our files mounted to write": (app("volumeMounts", mount("podkeys")), "read-only"),
    "our state read by the kubelet": (app("env", file_key("podkeys-state")), "a fileKeyRef may read"),
    "our files read by the kubelet": (app("env", file_key("podkeys")), "a fileKeyRef may read"),
    "shared processes": (with_spec(shareProcessNamespace=True), "shareProcessNamespace or hostPID"),
    "processes of the node": (with_spec(hostPID=True), "shareProcessNamespace or hostPID"),
    "a token of our audience": (
        volume("mine", {"projected": {"sources": [TOKEN]}}),
        "only the volume podkeys-token may hold",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_pod_that_the_webhook_did_not_make_is_refused(cluster: Cluster, name: str) -> None:
    build, expected = BAD[name]
    message = cluster.create(build(), cluster.labelled)
    assert "ValidatingAdmissionPolicy 'pods.podkeys.dev." in message
    assert expected in message


@pytest.mark.parametrize("build", [whole, forged, unasked, annotated(podkeys_dev__inject="TRUE")])
def test_where_nothing_is_injected_nothing_of_ours_is_accepted(
    cluster: Cluster, build: Callable[[], Pod]
) -> None:
    """The webhook isn't called there, so a perfect forgery would pass."""
    assert "is not labelled podkeys.dev/injection=enabled" in cluster.create(build(), cluster.plain)


def test_a_token_of_our_audience_is_refused_in_any_namespace(cluster: Cluster) -> None:
    found = bare()
    found["spec"]["volumes"] = [{"name": "mine", "projected": {"sources": [TOKEN]}}]
    assert "only the volume podkeys-token may hold" in cluster.create(found, cluster.plain)


def test_a_pod_that_has_nothing_to_do_with_us_is_left_alone(cluster: Cluster) -> None:
    other = bare()
    other["spec"]["shareProcessNamespace"] = True
    other["spec"]["containers"] = [{"name": "podkeys-demo", "image": "app"}]
    token = {"serviceAccountToken": {"audience": "other", "path": "token"}}
    other["spec"]["volumes"] = [{"name": "podkeys-demo", "projected": {"sources": [token]}}]
    for found in (bare(), other, annotated(podkeys_dev__inject="false")()):
        assert cluster.create(found, cluster.plain) == ""
        assert cluster.create(found, cluster.labelled) == ""


@pytest.mark.parametrize("name", golden_pods())
def test_what_the_webhook_makes_of_pods_in_the_wild_is_accepted(cluster: Cluster, name: str) -> None:
    found = golden_pods()[name]
    found["metadata"].pop("namespace", None)
    found["spec"].pop("priorityClassName", None)
    assert cluster.create(found, cluster.labelled) == ""


@pytest.mark.parametrize("change", ["podkeys.dev/secrets-", "podkeys.dev/role=x", "Podkeys.dev/x=y"])
def test_an_annotation_of_a_running_pod_cannot_change(cluster: Cluster, change: str) -> None:
    assert "can't change" in cluster.refused("annotate", "--overwrite", "pod", "payments", change)


@pytest.mark.parametrize("index", [0, 1])
def test_the_image_of_a_running_pods_agent_cannot_change(cluster: Cluster, index: int) -> None:
    path = f"/spec/initContainers/{index}/image"
    for image in ("evil.example.com/podkeys:1", "registry.example.com/podkeys:0.0.1"):
        patch = json.dumps([{"op": "replace", "path": path, "value": image}])
        said = cluster.refused("patch", "pod", "payments", "--type=json", f"--patch={patch}")
        assert "images of podkeys-init and podkeys-sidecar can't change" in said


def test_other_changes_of_a_running_pod_are_none_of_our_business(cluster: Cluster) -> None:
    space = f"--namespace={cluster.labelled}"
    cluster.must(space, "label", "--overwrite", "pod", "payments", "a=b")
    cluster.must(space, "annotate", "--overwrite", "pod", "payments", "example.com/a=b")
    cluster.must(space, "set", "image", "pod/payments", "app=registry.example.com/payments:2")
