"""An API server with the chart's policies and no webhook: what passes there was made by hand. No pod runs."""

import uuid
from collections.abc import Iterator

import pytest
import yaml

from tests.chart import clusters
from tests.chart.charts import render
from tests.chart.clusters import Cluster
from tests.chart.pods import forged, golden_pods, whole

POLICIES = ("pods", "doors", "workloads")


def confined(rendered: str, tag: str, namespaces: tuple[str, ...]) -> str:
    """The policies under names of their own and for these namespaces alone, so that runs don't see each other."""
    found = [item for item in yaml.safe_load_all(rendered) if item]
    for item in found:
        item["metadata"]["name"] += f".{tag}"
        if item["kind"] == "ValidatingAdmissionPolicyBinding":
            item["spec"]["policyName"] += f".{tag}"
            only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [*namespaces]}
            item["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"].append(only)
    return yaml.safe_dump_all(found)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two namespaces and the chart's policies, gone afterwards; one pod as it was injected, which never runs."""
    tag = uuid.uuid4().hex[:8]
    found = Cluster(clusters.kubeconfig(), f"labelled-{tag}", f"plain-{tag}")
    rendered = render(*(f"--show-only=templates/backstop-{name}.yaml" for name in POLICIES))
    rendered = confined(rendered, tag, (found.labelled, found.plain))
    assert found.kubectl("get", "validatingadmissionpolicy", "pods.podkeys.dev").returncode, (
        "the chart is installed in this cluster, and would answer instead"
    )
    for name in (found.labelled, found.plain):
        found.must("create", "namespace", name)
    found.must("label", "namespace", found.labelled, "podkeys.dev/injection=enabled")
    accounts = {str(item["spec"].get("serviceAccountName", "default")) for item in golden_pods().values()}
    for account in sorted({*accounts, "payments-api", "default"}):
        for namespace in (found.labelled, found.plain):
            found.kubectl("create", "serviceaccount", account, f"--namespace={namespace}")
    found.must("apply", "--server-side", "--filename=-", given=rendered)
    try:
        clusters.eventually(lambda: found.create(forged(), found.plain))
        clusters.eventually(lambda: found.kubectl(*found.token("vault")).returncode)
        assert found.create(whole(), found.labelled, keep=True) == ""
        yield found
    finally:
        found.kubectl("delete", "--filename=-", given=rendered)
        found.kubectl("delete", "namespace", found.labelled, found.plain, "--wait=false")
