"""An API server with the chart's policies and no webhook: what passes there was made by hand. No pod runs."""

import uuid
from collections.abc import Iterator

import pytest

from tests.chart import clusters
from tests.chart.charts import render
from tests.chart.clusters import Cluster
from tests.chart.pods import forged, golden_pods, whole

POLICIES = ("pods", "doors", "workloads")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two namespaces and the chart's policies, gone afterwards; one pod as it was injected, which never runs."""
    tag = uuid.uuid4().hex[:8]
    found = Cluster(clusters.kubeconfig(), f"labelled-{tag}", f"plain-{tag}")
    rendered = render(*(f"--show-only=templates/backstop-{name}.yaml" for name in POLICIES))
    assert found.kubectl("get", "validatingadmissionpolicy", "pods.podkeys.dev").returncode, (
        "the chart is installed in this cluster; its policies would be deleted"
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
