"""AdmissionReview (admission.k8s.io/v1): bytes → AdmissionRequest, and outcome → the response's bytes. Pure.

Once a uid is known there is always an answer: what can't be read further becomes a request with a `problem`,
which is refused. Without a uid there is nothing to answer.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from webhook.outcome import Deny, Inject, Outcome
from webhook.pod import MalformedError, Pod
from webhook.pod import parse as parse_pod
from webhook.wording import clip, describe

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
MAX_WARNING = 120  # longer ones are cut by clients
_MAX_VERSION = 64

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
    api_version: str
    operation: str = ""
    resource: str = ""
    namespace: str = ""
    pod: Pod | None = None
    problem: str = ""


def parse(body: bytes) -> AdmissionRequest:
    """The request's body → what is asked. Raises NotAReview when there is no uid to answer to."""
    try:
        top = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAReview(f"got no JSON ({error}), expected an {KIND} of {API_VERSION}") from None
    request = top.get("request") if isinstance(top, dict) else None
    if not isinstance(request, dict):
        raise NotAReview(f"got JSON without an object under request, expected an {KIND} of {API_VERSION}")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise NotAReview(f"request.uid: got {describe(uid)}, expected text")
    version = top.get("apiVersion")
    if version != API_VERSION:
        echoed = version if isinstance(version, str) and len(version) <= _MAX_VERSION else API_VERSION
        return AdmissionRequest(
            uid, echoed, problem=f"apiVersion: got {describe(version)}, expected {API_VERSION}"
        )
    try:
        return _request(uid, request)
    except MalformedError as error:
        return AdmissionRequest(uid, API_VERSION, problem=str(error))


def _request(uid: str, request: Mapping[str, Any]) -> AdmissionRequest:
    operation = _text(request, "operation")
    resource = _resource(request)
    namespace = _text(request, "namespace", optional=True)
    if (operation, resource) != ("CREATE", "pods"):
        return AdmissionRequest(uid, API_VERSION, operation, resource, namespace)
    if not namespace:
        raise MalformedError("request.namespace: got nothing, expected the pod's namespace")
    found = request.get("object")
    if not isinstance(found, dict):
        raise MalformedError(f"request.object: got {describe(found)}, expected a Pod")
    if (found.get("apiVersion", "v1"), found.get("kind", "Pod")) != ("v1", "Pod"):
        raise MalformedError("request.object: got another kind, expected a Pod of version v1")
    return AdmissionRequest(uid, API_VERSION, operation, resource, namespace, parse_pod(found))


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


def respond(request_uid: str, api_version: str, outcome: Outcome) -> bytes:
    """The AdmissionReview that answers; the only place where uid and apiVersion are written."""
    response = {"uid": request_uid, **_answer(outcome)}
    return orjson.dumps({"apiVersion": api_version, "kind": KIND, "response": response})


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
        answer["warnings"] = [clip(warning, MAX_WARNING) for warning in outcome.warnings]
    return answer
