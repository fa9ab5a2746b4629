"""The side doors, and warnings for workloads, in a real API server with the chart's policies."""

import json

import pytest

from tests.chart.clusters import Cluster
from tests.chart.pods import Pod, annotated, bare, file_key, mount


def debugger(**fields: object) -> str:
    ephemeral = {"name": "debugger", "image": "app", **fields}
    return json.dumps({"spec": {"ephemeralContainers": [ephemeral]}})


@pytest.mark.parametrize(
    "fields",
    [
        {"targetContainerName": "podkeys-sidecar"},
        {"targetContainerName": "podkeys-init"},
        *(
            {"volumeMounts": [mount(name)]}
            for name in ("podkeys", "podkeys-env", "podkeys-state", "podkeys-token")
        ),
        {"env": [file_key("podkeys-state")]},
        {"env": [file_key("podkeys-env")]},
    ],
)
def test_an_ephemeral_container_does_not_reach_our_parts(cluster: Cluster, fields: Pod) -> None:
    arguments = ["patch", "pod", "payments", "--subresource=ephemeralcontainers", "--type=strategic"]
    assert "podkeys: an ephemeral container can't" in cluster.refused(
        *arguments, f"--patch={debugger(**fields)}"
    )


def test_an_ephemeral_container_beside_the_application_is_accepted(cluster: Cluster) -> None:
    patch = debugger(targetContainerName="app")
    arguments = ["patch", "pod", "payments", "--subresource=ephemeralcontainers", "--type=strategic"]
    cluster.must(*arguments, f"--namespace={cluster.labelled}", f"--patch={patch}", "--dry-run=server")


@pytest.mark.parametrize("name", ["podkeys-init", "podkeys-sidecar"])
@pytest.mark.parametrize("verb", ["exec", "attach"])
def test_nobody_executes_anything_in_our_containers(cluster: Cluster, verb: str, name: str) -> None:
    """By the API itself, as kubectl looks at the pod's state first."""
    path = f"/api/v1/namespaces/{cluster.labelled}/pods/payments/{verb}"
    query = f"?container={name}&stdout=true&command=id"
    assert "no exec or attach into podkeys-init" in cluster.refused("create", f"--raw={path}{query}", "-f-")


def test_the_application_is_open_to_exec(cluster: Cluster) -> None:
    """Refused because the pod runs nowhere here, and not by us."""
    path = f"/api/v1/namespaces/{cluster.labelled}/pods/payments/exec?container=app&stdout=true&command=id"
    assert "podkeys:" not in cluster.refused("create", f"--raw={path}", "-f-")


def test_only_nodes_may_request_tokens_of_our_audience(cluster: Cluster) -> None:
    assert "only nodes may request tokens" in cluster.kubectl(*cluster.token("vault")).stderr
    cluster.must(*cluster.token("other"))
    node = [*cluster.token("vault"), "--as=system:node:a", "--as-group=system:nodes"]
    assert "podkeys" not in cluster.kubectl(*node).stderr


def workload(kind: str, template: Pod, annotations: dict[str, str]) -> Pod:
    labels = {"app": "a"}
    pod_template = {"metadata": {"labels": labels, **template["metadata"]}, "spec": template["spec"]}
    pod_template["metadata"].pop("name", None)
    metadata = {"name": kind.lower(), "annotations": annotations}
    if kind == "CronJob":
        job = {"spec": {"template": pod_template}}
        pod_template["spec"]["restartPolicy"] = "Never"
        return {
            "apiVersion": "batch/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"schedule": "30 2 * * *", "jobTemplate": job},
        }
    if kind == "Job":
        pod_template["spec"]["restartPolicy"] = "Never"
        return {
            "apiVersion": "batch/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"template": pod_template},
        }
    spec: Pod = {"selector": {"matchLabels": labels}, "template": pod_template}
    if kind == "StatefulSet":
        spec["serviceName"] = "a"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def warnings(cluster: Cluster, manifest: Pod, namespace: str) -> str:
    result = cluster.kubectl(
        "create",
        f"--namespace={namespace}",
        "--dry-run=server",
        "--filename=-",
        "--validate=false",
        given=json.dumps(manifest),
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_whoever_applies_a_workload_is_warned_of_what_the_webhook_is_not_asked_about(
    cluster: Cluster, kind: str
) -> None:
    ours = {"podkeys.dev/inject": "true"}
    template = annotated(podkeys_dev__inject="true")()
    assert "is not labelled" in warnings(cluster, workload(kind, template, {}), cluster.plain)
    assert warnings(cluster, workload(kind, template, {}), cluster.labelled) == ""
    misplaced = warnings(cluster, workload(kind, bare(), ours), cluster.labelled)
    assert "belong in the pod template" in misplaced
    for misspelt in ("podkey.dev/secrets", "Pod-Keys.io/inject", "podkeys/inject"):
        template = {**annotated(podkeys_dev__inject="true")(), "metadata": {"annotations": {misspelt: "x"}}}
        warned = warnings(cluster, workload(kind, template, {}), cluster.labelled)
        assert f"nobody reads {misspelt}: the annotations are called podkeys.dev/*" in warned
    others = {**template, "metadata": {"annotations": {"podkeys-of.example.com/inject": "x"}}}
    assert warnings(cluster, workload(kind, others, {}), cluster.labelled) == ""
    assert warnings(cluster, workload(kind, bare(), {}), cluster.plain) == ""
