"""POST /warn: a workload is always allowed, with what its pods have to expect as warnings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhook.admissions import CATALOG, SETTINGS, Json, answer, pod
from tests.webhook.admissions import review as pod_review
from tests.webhook.test_app import JSON, Broken, answered, expected, sample
from tests.webhook.test_golden_pods import golden
from tests.webhook.test_hostile_reviews import NEAR
from webhook.app import JSON as JSON_TYPE
from webhook.app import Admission, create
from webhook.config import LoadedCatalog
from webhook.forecast import MAX_WARNINGS
from webhook.manifests import read
from webhook.metrics import Metrics
from webhook.workloads import TEMPLATES

REFUSED = "podkeys: its pods will be refused: "
Client = Callable[[bytes], Json]


def client(catalog: LoadedCatalog | None = CATALOG, metrics: Metrics | None = None) -> Client:
    flask = create(Admission(lambda: catalog, SETTINGS, metrics or Metrics())).test_client()
    return lambda body: answered(flask.post("/warn", data=body, content_type=JSON_TYPE))


CLIENT = client()


def workload(kind: str, template: object) -> Json:
    value: Any = template
    for key in reversed(TEMPLATES.get(kind, ("spec", "template"))):
        value = {key: value}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "payments"}, **value}


def review(found: object, **request: Any) -> bytes:  # noqa: ANN401 - JSON
    request.setdefault("resource", {"group": "apps", "version": "v1", "resource": "deployments"})
    return pod_review(found, **request)


def template(annotations: dict[str, str] | None = None, **spec: object) -> Json:
    """A pod template of role payments that asks for stripe; annotations without their prefix."""
    found = pod({"secrets": "stripe"} | (annotations or {}), **spec)
    return {"metadata": {"annotations": found["metadata"]["annotations"]}, "spec": found["spec"]}


def warned(response: Json) -> list[str]:
    assert (response["uid"], response["allowed"]) == ("uid-1", True)
    assert "patch" not in response
    found: list[str] = response.get("warnings", [])
    assert response["auditAnnotations"]["outcome"] == ("warned" if found else "passed")
    return found


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_workload_whose_pods_would_be_refused_is_allowed_with_the_reason(kind: str) -> None:
    response = CLIENT(review(workload(kind, template({"secrets": "strpe"}))))
    (warning,) = warned(response)
    assert warning.startswith(f'{REFUSED}podkeys.dev/secrets: got "strpe", which role payments does not')
    assert response["auditAnnotations"]["reason"] == "undeclared"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_workload_whose_pods_would_be_injected_is_allowed_in_silence(kind: str) -> None:
    assert warned(CLIENT(review(workload(kind, template())))) == []


@golden
def test_golden_pod_in_a_workload_is_forecast_as_the_pod_is_decided(case: Path) -> None:
    """The decision is the same: a workload in silence is one whose pods are injected or left alone."""
    (manifest,) = read((case / "pod.yaml").read_text())
    metadata = manifest.pod.get("metadata", {})
    body = workload("Deployment", {"metadata": metadata, "spec": manifest.pod["spec"]})
    found = warned(CLIENT(review(body, namespace=manifest.namespace)))
    decided = answer(pod_review(manifest.pod, manifest.namespace))
    if not any(name.startswith("podkeys.dev/") for name in metadata.get("annotations") or {}):
        assert found == []
    elif decided["allowed"]:
        assert found == decided.get("warnings", [])
    else:
        said = decided["status"]["message"]
        assert len(found) == len(said.splitlines()[1:] or [said])
        assert all(warning.removeprefix(REFUSED).removesuffix("...") in said for warning in found)


def test_each_problem_is_a_warning_and_there_are_not_too_many() -> None:
    two = warned(CLIENT(review(workload("Job", template({"secrets": "strpe", "sidecar": "no"})))))
    assert [warning.removeprefix(REFUSED).partition(":")[0] for warning in two] == [
        "podkeys.dev/sidecar",
        "podkeys.dev/secrets",
    ]
    many = warned(CLIENT(review(workload("Job", template({"secrets": ",".join(NEAR[:200])})))))
    assert len(many) == MAX_WARNINGS + 1
    assert many[-1] == "podkeys: its pods will be refused, for more reasons than these"
    assert all(len(warning) <= 256 and warning.isprintable() for warning in many)


def test_what_its_pods_would_be_warned_of_is_said_at_once() -> None:
    off = template({"certificates": "serving", "sidecar": "false"})
    assert warned(CLIENT(review(workload("Deployment", off)))) == [
        "podkeys.dev/sidecar is false: nothing renews certificate serving"
    ]


def test_without_a_service_account_its_pods_run_as_default() -> None:
    nobody = template(serviceAccountName=None)
    (warning,) = warned(CLIENT(review(workload("StatefulSet", nobody))))
    assert warning.startswith(f'{REFUSED}spec.serviceAccountName: got nothing, so "default", which no role')


def test_the_namespace_is_the_reviews() -> None:
    found = workload("Deployment", template())
    found["metadata"]["namespace"] = "payments"
    (warning,) = warned(CLIENT(review(found, namespace="elsewhere")))
    assert 'namespace "elsewhere" has no role' in warning


@pytest.mark.parametrize(
    "found",
    [
        workload("Deployment", {"metadata": {"annotations": {"other.dev/inject": "x"}}, "spec": {}}),
        workload("Deployment", {"metadata": None, "spec": []}),
        workload("ConfigMap", template({"secrets": "strpe"})),
        {"kind": ["Deployment"]},
        {"kind": "CronJob", "spec": {"jobTemplate": None}},
        None,
    ],
    ids=["others'", "broken", "other-kind", "no-kind", "no-template", "deleted"],
)
@pytest.mark.parametrize("catalog", [CATALOG, None], ids=["catalog", "no-catalog"])
def test_what_asks_for_nothing_is_allowed_in_silence(found: object, catalog: LoadedCatalog | None) -> None:
    """Nobody who does not use the webhook hears of it, whatever state it is in."""
    assert warned(client(catalog)(review(found))) == []


def test_a_template_that_opts_out_is_allowed_in_silence() -> None:
    assert (
        warned(CLIENT(review(workload("Deployment", template({"inject": "false", "secrets": "strpe"})))))
        == []
    )


def test_an_update_is_forecast_only_when_the_template_changes() -> None:
    before = workload("Deployment", template({"secrets": "strpe"}))
    scaled = workload("Deployment", template({"secrets": "strpe"}))
    scaled["spec"]["replicas"] = 3
    update = {"operation": "UPDATE", "oldObject": before}
    assert warned(CLIENT(review(scaled, **update))) == []
    again = workload("Deployment", template({"secrets": "strpe"}, containers=[{"name": "app", "image": "b"}]))
    assert len(warned(CLIENT(review(again, **update)))) == 1, "a new image changes nothing about the refusal"


def test_without_a_catalog_the_warning_says_so() -> None:
    (warning,) = warned(client(None)(review(workload("Deployment", template()))))
    assert warning.startswith(f"{REFUSED}this webhook has no valid catalog yet")


def test_what_cannot_be_read_is_allowed_and_said_to_be_not_looked_at() -> None:
    (warning,) = warned(CLIENT(review(workload("Deployment", template(hostPID="yes")))))
    assert warning == (
        'podkeys: not looked at: this pod can\'t be read: spec.hostPID: got "yes", expected true or false'
    )
    (warning,) = warned(CLIENT(review(workload("Deployment", template()), operation=1)))
    assert warning.startswith("podkeys: not looked at: this pod can't be read: request.operation: got 1")


def test_a_bug_is_allowed_and_said_to_be_one() -> None:
    metrics = Metrics()
    broken = client(LoadedCatalog(CATALOG.cluster, Broken(), ""), metrics)
    (warning,) = warned(broken(review(workload("Deployment", template()))))
    assert warning.startswith("podkeys: not looked at: the webhook failed on this pod (a bug)")
    assert "canary-4711" not in warning
    assert sample(metrics.registry, "podkeys_workload_reviews_total", pods="denied", reason="internal") == 1


def test_workloads_are_counted_apart_from_admissions() -> None:
    metrics = Metrics()
    counted = client(metrics=metrics)
    counted(review(workload("Deployment", template())))
    counted(review(workload("Deployment", template({"secrets": "strpe"}))))
    counted(review(workload("ConfigMap", template())))
    counts = {
        (found.labels["pods"], found.labels["reason"]): found.value
        for family in metrics.registry.collect()
        for found in family.samples
        if found.name == "podkeys_workload_reviews_total"
    }
    assert counts == {
        ("injected", "injected"): 1,
        ("denied", "undeclared"): 1,
        ("skipped", "not-a-pod-creation"): 1,
    }
    assert sample(metrics.registry, "podkeys_admission_duration_seconds_count") == 0
    assert not [
        found
        for family in metrics.registry.collect()
        for found in family.samples
        if found.name == "podkeys_admissions_total"
    ]


def test_templates_nested_deeper_than_python_compares_are_allowed() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    body = review(
        workload("Deployment", template(other="deep")),
        operation="UPDATE",
        oldObject=workload("Deployment", template(other="deep")),
    ).replace(b'"deep"', deep)
    warned(CLIENT(body))


PART = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(sorted(TEMPLATES)) | JSON,
        "metadata": JSON,
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "template": st.fixed_dictionaries({"metadata": st.just(template()["metadata"]), "spec": JSON})
                | JSON
            },
        )
        | JSON,
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "uid": st.just("u") | JSON,
            "operation": st.sampled_from(["CREATE", "UPDATE", "DELETE"]) | JSON,
            "resource": st.just({"group": "apps", "resource": "deployments"}) | JSON,
            "namespace": st.just("payments") | JSON,
            "object": PART | JSON,
            "oldObject": PART | JSON,
        },
    )
)
def test_any_review_of_a_workload_with_a_uid_is_allowed_with_it(request: dict[str, Any]) -> None:
    """A webhook that only warns must never stand in anybody's way."""
    top = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    body = json.dumps(top).encode()
    flask = create(Admission(lambda: CATALOG, SETTINGS, Metrics())).test_client()
    response = flask.post("/warn", data=body, content_type=JSON_TYPE)
    uid = expected(body)
    if response.status_code == 400:  # as in /mutate: orjson refuses what Python's reader takes
        assert uid is None or b"no JSON" in response.data
    else:
        found = orjson.loads(response.data)["response"]
        assert (found["uid"], found["allowed"]) == (uid, True)
