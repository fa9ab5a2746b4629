"""AdmissionReview (admission.k8s.io/v1): bytes → AdmissionRequest, and outcome → the response's bytes. Pure.

Once the uid of a review is known there is always an answer: what can't be read further becomes a request with a
`problem`, which is refused. To another document, version or kind, or without a uid, there is nothing to answer.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from webhook.annotations import any_ours
from webhook.density import request_uid, too_many_values
from webhook.fields import MalformedError
from webhook.forecast import advice, forecast
from webhook.outcome import Deny, Inject, Outcome
from webhook.pod import Pod
from webhook.pod import parse as parse_pod
from webhook.wording import describe
from webhook.workloads import at, created, template

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

_STATUS = {
    "malformed": (400, "BadRequest"),
    "internal": (500, "InternalError"),
    "no-catalog": (503, "ServiceUnavailable"),
}
_FORBIDDEN = (403, "Forbidden")


class NotAReview(ValueError):  # noqa: N818 - said as it reads: not a review
    """The body holds no review that could be answered. The message says what was got and expected."""


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """`resource` is `GROUP/RESOURCE/SUBRESOURCE` without its empty parts, such as `pods` or `apps/deployments`.

    `problem` is empty, or says why the rest could not be read. `pod` is there for the creation of a pod.
    """

    uid: str
    operation: str = ""
    resource: str = ""
    namespace: str = ""
    pod: Pod | None = None
    problem: str = ""


def parse(body: bytes) -> AdmissionRequest:
    """The request's body → what is asked. Raises NotAReview when there is no review, or no uid to answer to."""
    return _parse(body, _pod_review)


def parse_workload(body: bytes) -> AdmissionRequest:
    """As `parse`, for a workload: `pod` is the one it would create, if that asks for something and is new."""
    return _parse(body, _workload_review)


def _parse(body: bytes, read: Callable[[str, Mapping[str, Any]], AdmissionRequest]) -> AdmissionRequest:
    dense = too_many_values(body)
    if dense:
        return _unread(request_uid(body), dense)
    try:
        top = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAReview(f"got no JSON ({error}), expected an {KIND} of {API_VERSION}") from None
    request, uid = _request(top)
    try:
        return read(uid, request)
    except MalformedError as error:
        return AdmissionRequest(uid, problem=str(error))


def _request(top: object) -> tuple[Mapping[str, Any], str]:
    """The request of a review that asks and was not answered yet, and its uid."""
    if not isinstance(top, dict):
        raise NotAReview(f"got {describe(top)}, expected an {KIND} of {API_VERSION}")
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if top.get(key) != expected:
            raise NotAReview(f"{key}: got {describe(top.get(key))}, expected {expected}")
    if top.get("response") is not None:
        raise NotAReview(f"got an {KIND} with a response, expected one with a request alone")
    request = top.get("request")
    if not isinstance(request, dict):
        raise NotAReview(f"request: got {describe(request)}, expected an object")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise NotAReview(f"request.uid: got {describe(uid)}, expected text")
    return request, uid


def _unread(uid: str, problem: str) -> AdmissionRequest:
    if not uid:
        raise NotAReview(f"request: {problem}")
    return AdmissionRequest(uid, problem=f"request: {problem}")


def _pod_review(uid: str, request: Mapping[str, Any]) -> AdmissionRequest:
    review = _without_pod(uid, request)
    if (review.operation, review.resource) != ("CREATE", "pods"):
        return review
    if not review.namespace:
        raise MalformedError("request.namespace: got nothing, expected the pod's namespace")
    found = request.get("object")
    if not isinstance(found, dict):
        raise MalformedError(f"request.object: got {describe(found)}, expected a Pod")
    if (found.get("apiVersion", "v1"), found.get("kind", "Pod")) != ("v1", "Pod"):
        raise MalformedError("request.object: got another kind, expected a Pod of version v1")
    return replace(review, pod=parse_pod(found))


def _workload_review(uid: str, request: Mapping[str, Any]) -> AdmissionRequest:
    """An update that leaves the template as it is creates no new pods: nothing is read of it."""
    review = _without_pod(uid, request)
    workload, before = (
        item if isinstance(item, dict) else {} for item in (request.get("object"), request.get("oldObject"))
    )
    found = template(workload)
    if found is None or not _annotated(found) or _equal(found, template(before)):
        return review
    name = at(workload, "metadata", "name") or at(workload, "metadata", "generateName")
    return replace(review, pod=parse_pod(created(found, name)))


def _annotated(pod: Mapping[str, Any]) -> bool:
    annotations = at(pod, "metadata", "annotations")
    return isinstance(annotations, dict) and any_ours(annotations)


def _equal(one: object, other: object) -> bool:
    try:
        return one == other
    except RecursionError:  # deeper than any template, and not the API server's
        return False


def _without_pod(uid: str, request: Mapping[str, Any]) -> AdmissionRequest:
    return AdmissionRequest(
        uid,
        _text(request, "operation"),
        _resource(request),
        _text(request, "namespace", optional=True),
    )


def _resource(request: Mapping[str, Any]) -> str:
    item = request.get("resource")
    if not isinstance(item, dict):
        raise MalformedError(f"request.resource: got {describe(item)}, expected an object")
    parts = (
        _text(item, "group", optional=True),
        _text(item, "resource"),
        _text(request, "subResource", optional=True),
    )
    return "/".join(part for part in parts if part)


def _text(item: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    value = item.get(key)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or not (value or optional):
        raise MalformedError(f"request.{key}: got {describe(value)}, expected text")
    return value


def respond(request_uid: str, outcome: Outcome) -> bytes:
    """The AdmissionReview that answers about a pod."""
    return _review(request_uid, _answer(outcome))


def respond_to_workload(request_uid: str, outcome: Outcome) -> bytes:
    """The AdmissionReview that answers about a workload: always allowed, with what its pods have to expect."""
    return _review(request_uid, _forecast(outcome))


def _review(request_uid: str, answer: Mapping[str, Any]) -> bytes:
    """The only place where uid and apiVersion are written."""
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": request_uid, **answer}})


def _forecast(outcome: Outcome) -> dict[str, Any]:
    found = forecast(outcome)
    answer = {
        "allowed": True,
        "auditAnnotations": {"outcome": "warned" if found else "passed", "reason": outcome.reason},
    }
    return answer | ({"warnings": found} if found else {})


def _answer(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Deny):
        code, reason = _STATUS.get(outcome.reason, _FORBIDDEN)
        return {
            "allowed": False,
            "status": {"message": outcome.message, "code": code, "reason": reason},
            "auditAnnotations": {"outcome": "denied", "reason": outcome.reason},
        }
    if not isinstance(outcome, Inject):
        return {"allowed": True, "auditAnnotations": {"outcome": "skipped", "reason": outcome.reason}}
    answer: dict[str, Any] = {
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(orjson.dumps(outcome.patch)).decode(),
        "auditAnnotations": {"outcome": "injected", "reason": outcome.reason, "role": outcome.role},
    }
    if outcome.warnings:
        answer["warnings"] = advice(outcome)
    return answer
