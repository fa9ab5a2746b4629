"""Which pods the API server sends to the webhook at all: a real one, with the chart's registration and no webhook.

What is sent is refused there, as nobody answers; so what is created did not wait for us.
"""

import uuid
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.chart import clusters
from tests.chart.charts import render
from tests.chart.clusters import Cluster
from tests.chart.pods import Pod, annotated, bare, forged, whole
from tests.webhook.admissions import container

OPTED_OUT = annotated(podkeys_dev__inject="false")


def opted_out_with(change: Callable[[Pod], object]) -> Callable[[], Pod]:
    def build() -> Pod:
        declined = OPTED_OUT()
        change(declined)
        return declined

    return build


def with_name(field: str, name: str) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].setdefault(field, []).append({"name": name, "image": "app"})


def with_volume(name: str) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].update(volumes=[{"name": name, "emptyDir": {}}])


SENT: dict[str, Callable[[], Pod]] = {
    "asks": annotated(podkeys_dev__inject="true"),
    "asks by a setting alone": annotated(podkeys_dev__secrets="orders"),
    **{
        f"opts out by {spelling!r}": annotated(podkeys_dev__inject=spelling)
        for spelling in ("False", "FALSE", "0", "no", "", " false", "false ")
    },
    "opts out under another spelling": annotated(Podkeys_dev__inject="false"),
    "a volume of ours": forged,
    "a copy of an injected one": whole,
    "opted out, with the status": annotated(podkeys_dev__inject="false", podkeys_dev__status="{}"),
    "opted out, with a container of ours": opted_out_with(with_name("containers", "podkeys-sidecar")),
    "opted out, with an init container of ours": opted_out_with(with_name("initContainers", "podkeys-init")),
    **{
        f"opted out, with volume {name}": opted_out_with(with_volume(name))
        for name in ("podkeys", "podkeys-env", "podkeys-state", "podkeys-token")
    },
}
LEFT_OUT: dict[str, Callable[[], Pod]] = {
    "never asked": bare,
    "asks somebody else": annotated(example_com__inject="true"),
    "opted out": OPTED_OUT,
    "opted out, with settings": annotated(podkeys_dev__inject="false", podkeys_dev__secrets="orders"),
    "opted out, with a misspelt setting": annotated(podkeys_dev__inject="false", Podkeys_dev__Secrets="x"),
    "opted out, with containers of its own": opted_out_with(with_name("initContainers", "podkeys-demo")),
}


@pytest.fixture(scope="module")
def registered() -> Iterator[Cluster]:
    """A namespace of its own with the chart's registration, which leads to a Service that nobody made."""
    tag = uuid.uuid4().hex[:8]
    cluster = Cluster(clusters.kubeconfig(), f"registered-{tag}", "")
    documents = yaml.safe_load_all(render("--show-only=templates/registration.yaml"))
    (item,) = (item for item in documents if item and item["kind"] == "MutatingWebhookConfiguration")
    item["metadata"]["name"] += f"-{tag}"
    (webhook,) = item["webhooks"]
    webhook["clientConfig"]["service"]["namespace"] = cluster.labelled
    only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [cluster.labelled]}
    webhook["namespaceSelector"]["matchExpressions"].append(only)
    registration = yaml.safe_dump(item)
    cluster.must("create", "namespace", cluster.labelled)
    cluster.must("label", "namespace", cluster.labelled, "podkeys.dev/injection=enabled")
    for account in ("payments-api", "default"):
        cluster.kubectl("create", "serviceaccount", account, f"--namespace={cluster.labelled}")
    cluster.must("create", "--filename=-", given=registration)
    try:
        clusters.eventually(
            lambda: "failed calling webhook" in cluster.create(SENT["asks"](), cluster.labelled)
        )
        yield cluster
    finally:
        cluster.kubectl("delete", "--filename=-", given=registration)
        cluster.kubectl("delete", "namespace", cluster.labelled, "--wait=false")


@pytest.mark.parametrize("name", LEFT_OUT)
def test_with_no_replica_a_pod_that_opted_out_is_created_as_one_that_never_asked(
    registered: Cluster, name: str
) -> None:
    """Invariant: a pod that did not ask, or opted out, never waits for us."""
    assert registered.create(LEFT_OUT[name](), registered.labelled) == ""


@pytest.mark.parametrize("name", SENT)
def test_with_no_replica_what_asks_or_brings_a_part_of_ours_is_refused(
    registered: Cluster, name: str
) -> None:
    """Invariant: a pod that asked for injection never runs without it."""
    message = registered.create(SENT[name](), registered.labelled)
    assert 'failed calling webhook "pods.podkeys.dev"' in message
    assert 'service "podkeys-webhook" not found' in message


def test_what_the_policies_refuse_does_not_depend_on_who_was_left_out(cluster: Cluster) -> None:
    """No part of ours comes in past the webhook: each pod with one is refused by the API server's own policies, too."""
    for name, build in SENT.items():
        if "opted out, with" in name or name == "a volume of ours":
            message = cluster.create(build(), cluster.labelled)
            assert "ValidatingAdmissionPolicy 'pods.podkeys.dev." in message, name
    forgery = whole()
    forgery["metadata"]["annotations"] = {"podkeys.dev/inject": "false", "podkeys.dev/status": "{}"}
    container(forgery, "app")["volumeMounts"] = []
    assert "ValidatingAdmissionPolicy 'pods.podkeys.dev." in cluster.create(forgery, cluster.labelled)
