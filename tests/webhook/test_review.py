"""Bytes in, bytes out: whatever comes, either there is an answer to its uid or there is no review."""

import base64
from collections.abc import Callable

import orjson
import pytest

from tests.webhook.admissions import Json, answer, pod, review
from webhook.outcome import REASONS, Deny, Inject, Problem, Reason, refuse
from webhook.review import AdmissionRequest, NotAReview, parse, parse_workload, respond


def _top(**changes: object) -> bytes:
    """The least review that is one, changed."""
    return orjson.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u"}} | changes
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 40_000, "no JSON"),
        (b"[" * 100_000, "got 100000 objects, lists and values, expected at most 50000"),
        (b'{"request": ' + b'{"a":' * 5000, "no JSON"),
        (b'{"request": {"uid": "\\ud800"}}', "no JSON"),
        (b"null", "got null, expected an AdmissionReview"),
        (b"[]", "got a list, expected an AdmissionReview"),
        (b"1e999", "no JSON"),
        (b"18446744073709551616", "expected an AdmissionReview"),
        (b"{}", "apiVersion: got null"),
        (_top(request=None), "request: got null"),
        (_top(request=[]), "request: got a list"),
        (_top(request={}), "request.uid: got null"),
        (_top(request={"uid": ""}), 'request.uid: got ""'),
        (_top(request={"uid": 7}), "request.uid: got 7 (a number)"),
    ],
)
def test_a_body_without_a_uid_is_not_a_review(body: bytes, said: str) -> None:
    with pytest.raises(NotAReview) as caught:
        parse(body)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "Pod"}, 'kind: got "Pod", expected AdmissionReview'),
        ({"kind": None}, "kind: got null"),
        ({"kind": "admissionreview"}, "expected AdmissionReview"),
        ({"apiVersion": "v1"}, 'apiVersion: got "v1", expected admission.k8s.io/v1'),
        ({"apiVersion": "admission.k8s.io/v1beta1"}, "expected admission.k8s.io/v1"),
        ({"apiVersion": ["admission.k8s.io/v1"]}, "apiVersion: got a list"),
        ({"response": {"uid": "u", "allowed": True}}, "with a response, expected one with a request alone"),
    ],
)
@pytest.mark.parametrize("read", [parse, parse_workload])
def test_a_document_of_another_kind_is_not_a_review_though_it_has_a_uid(
    changes: Json, said: str, read: Callable[[bytes], AdmissionRequest]
) -> None:
    """The API server would not take an answer to it, and nobody else has anything to ask."""
    with pytest.raises(NotAReview) as caught:
        read(_top(**changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"operation": None}, "request.operation: got null"),
        ({"operation": 7}, "request.operation: got 7 (a number)"),
        ({"resource": "pods"}, 'request.resource: got "pods", expected an object'),
        ({"resource": {"resource": ["pods"]}}, "request.resource: got a list"),
        ({"subResource": {}}, "request.subResource: got an object"),
        ({"namespace": None}, "request.namespace: got nothing"),
        ({"namespace": {}}, "request.namespace: got an object"),
        ({"object": None}, "request.object: got null, expected a Pod"),
        ({"object": []}, "request.object: got a list, expected a Pod"),
        ({"object": {"kind": "Deployment"}}, "expected a Pod of version v1"),
        ({"object": {"apiVersion": "v2"}}, "expected a Pod of version v1"),
        ({"object": {}}, "metadata: got nothing, expected an object"),
    ],
)
def test_a_review_with_a_uid_that_cannot_be_read_is_refused(changes: Json, said: str) -> None:
    response = answer(review(pod(), **changes))
    assert response["uid"] == "uid-1"
    assert response["allowed"] is False
    assert response["status"]["code"] == 400
    assert said in response["status"]["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"operation": "CONNECT", "subResource": "exec"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"subResource": "binding"},
        {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}},
        {"resource": {"group": "metrics.k8s.io", "version": "v1", "resource": "pods"}},
        {"resource": {"group": "", "version": "v1", "resource": "namespaces"}, "namespace": ""},
    ],
)
def test_only_the_creation_of_a_pod_is_decided(changes: Json) -> None:
    response = answer(review(pod({"secrets": "stripe"}), **changes))
    assert response["allowed"] is True
    assert "patch" not in response
    assert response["auditAnnotations"]["reason"] == "not-a-pod-creation"


def test_an_injection_is_answered_with_a_base64_json_patch() -> None:
    operation = {"op": "add", "path": "/a", "value": "ü"}
    sent = orjson.loads(respond("u", Inject((operation,), "payments", ("w" * 500,))))
    response = sent["response"]
    assert (sent["kind"], response["uid"], response["patchType"]) == ("AdmissionReview", "u", "JSONPatch")
    assert orjson.loads(base64.b64decode(response["patch"])) == [operation]
    assert [len(warning) for warning in response["warnings"]] == [120]
    assert response["auditAnnotations"] == {"outcome": "injected", "reason": "injected", "role": "payments"}


@pytest.mark.parametrize(
    ("reason", "code", "word"),
    [
        ("undeclared", 403, "Forbidden"),
        ("malformed", 400, "BadRequest"),
        ("internal", 500, "InternalError"),
        ("no-catalog", 503, "ServiceUnavailable"),
    ],
)
def test_a_refusal_carries_its_message_and_a_status(reason: Reason, code: int, word: str) -> None:
    outcome = Deny(reason, ("why",))
    response = orjson.loads(respond("u", outcome))["response"]
    assert response == {
        "uid": "u",
        "allowed": False,
        "status": {"message": "why", "code": code, "reason": word},
        "auditAnnotations": {"outcome": "denied", "reason": reason},
    }


def test_many_problems_are_one_refusal_of_bounded_length() -> None:
    refused = refuse([Problem("env", f"problem {number}") for number in range(50)])
    assert refused.reason == "env"
    assert refused.message.splitlines()[0] == "more than 20 problems, the first of them:"
    assert len(refused.message.splitlines()) == 21


def test_reasons_are_a_closed_set_without_repetition() -> None:
    assert len(set(REASONS)) == len(REASONS)
    assert {"injected", "not-annotated", "opted-out", "internal", "no-catalog", "malformed"} <= set(REASONS)
