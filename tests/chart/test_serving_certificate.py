"""The certificate that the chart makes: kept by upgrades, and replaced without a moment that nobody trusts."""

import base64
import datetime as dt
import uuid
from collections.abc import Iterator

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certs.chain import chain_problems
from certs.pem import certificates, private_key
from certs.verify import pair_matches
from tests.chart import clusters
from tests.chart.charts import CHART, Manifest, helm, render
from tests.chart.clusters import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """An empty namespace of a real API server, as Helm looks for the Secret there."""
    name = f"upgrade-{uuid.uuid4().hex[:8]}"
    found = Cluster(clusters.kubeconfig(), name, name)
    found.must("create", "namespace", name)
    yield found
    found.kubectl("delete", "namespace", name, "--wait=false")


def upgrade(cluster: Cluster, *values: str) -> dict[str, bytes]:
    """Render as an upgrade does, and apply the Secret alone. Returns its values."""
    result = helm(
        *("template", "podkeys", str(CHART), "--dry-run=server", f"--kubeconfig={cluster.kubeconfig}"),
        *(
            "--show-only=templates/registration.yaml",
            f"--namespace={cluster.labelled}",
            "--set=image=podkeys",
        ),
        *values,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Manifest] = {item["kind"]: item for item in yaml.safe_load_all(result.stdout)}
    owner = {"meta.helm.sh/release-name": "podkeys", "meta.helm.sh/release-namespace": cluster.labelled}
    found["Secret"]["metadata"]["annotations"] |= owner
    cluster.must(
        "apply", "--server-side", "--force-conflicts", "--filename=-", given=yaml.safe_dump(found["Secret"])
    )
    values_of = {name: base64.b64decode(text) for name, text in found["Secret"]["data"].items()}
    (webhook,) = found["MutatingWebhookConfiguration"]["webhooks"]
    assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == values_of["ca.crt"]
    return values_of


def trusts(bundle: dict[str, bytes], served: dict[str, bytes]) -> bool:
    (leaf,) = certificates(served["tls.crt"])
    return not chain_problems(leaf, (), certificates(bundle["ca.crt"]), dt.datetime.now(dt.UTC))


def test_an_upgrade_keeps_the_certificate(cluster: Cluster) -> None:
    first = upgrade(cluster)
    assert upgrade(cluster) == first
    assert upgrade(cluster, "--set=replicas=5") == first


def test_a_renewal_trusts_what_is_still_served_and_forgets_what_was_before(cluster: Cluster) -> None:
    """Pods get the new files within a minute or two: until then they serve the old certificate."""
    first = upgrade(cluster)
    second = upgrade(cluster, "--set=certificate.renewAfterDays=0")
    assert second["tls.key"] != first["tls.key"]
    assert trusts(second, first)
    assert trusts(second, second)
    assert upgrade(cluster) == second
    third = upgrade(cluster, "--set=certificate.renewAfterDays=0")
    assert trusts(third, second)
    assert trusts(third, third)
    assert not trusts(third, first)


def test_a_certificate_is_renewed_by_the_first_upgrade_after_its_time(cluster: Cluster) -> None:
    first = upgrade(cluster)
    issued = int((dt.datetime.now(dt.UTC) - dt.timedelta(days=364)).timestamp())
    annotate = ("annotate", "--overwrite", "secret", "podkeys-webhook-tls", f"--namespace={cluster.labelled}")
    cluster.must(*annotate, f"podkeys.dev/issued-at={issued}")
    assert upgrade(cluster) == first
    cluster.must(*annotate, f"podkeys.dev/issued-at={issued - 2 * 86400}")
    assert upgrade(cluster)["tls.key"] != first["tls.key"]


def test_a_secret_that_lost_its_key_is_made_anew(cluster: Cluster) -> None:
    first = upgrade(cluster)
    patch = '{"data": {"tls.key": ""}}'
    cluster.must(
        "patch", "secret", "podkeys-webhook-tls", f"--namespace={cluster.labelled}", f"--patch={patch}"
    )
    second = upgrade(cluster)
    assert trusts(second, second)
    assert trusts(second, first)


def test_the_certificate_is_for_the_service_alone_and_has_an_elliptic_key(cluster: Cluster) -> None:
    made = upgrade(cluster)
    (leaf,) = certificates(made["tls.crt"])
    key = private_key(made["tls.key"])
    assert pair_matches(leaf, key)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"podkeys-webhook.{cluster.labelled}.svc"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)


def test_an_api_server_takes_both_registrations(cluster: Cluster) -> None:
    """It compiles their conditions, reads their bundles, and refuses what it can't use."""
    rendered = render("--show-only=templates/registration.yaml")
    registrations = [
        item for item in yaml.safe_load_all(rendered) if item["kind"].endswith("WebhookConfiguration")
    ]
    assert len(registrations) == 2
    cluster.must("create", "--dry-run=server", "--filename=-", given=yaml.safe_dump_all(registrations))
