"""The admission endpoint over HTTP. The only module that knows Flask.

Without a uid there is nobody to answer to: 400, or what HTTP has for it. Once a review's uid is known the answer
is always 200 with a review, because the API server reads a refusal's message only there.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from webhook import logs
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.decide import decide
from webhook.incoming import MAX_BODY
from webhook.metrics import Metrics
from webhook.outcome import Deny, Inject, Outcome, Problem, Skip, refuse
from webhook.refusal import OVERLOADED
from webhook.review import (
    AdmissionRequest,
    NotAReview,
    parse,
    parse_workload,
    respond,
    respond_to_workload,
)

PATH = "/mutate"  # for pods
WORKLOADS_PATH = "/warn"  # for Deployments and their like, whose pods come later
JSON = "application/json"  # the one content type that the API server sends

INTERNAL = refuse(
    [
        Problem(
            "internal",
            "the webhook failed on this pod (a bug), so the pod is refused; "
            "the platform team finds the place in its log by the request's uid",
        )
    ]
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the endpoint decides with."""

    catalog: Callable[[], LoadedCatalog | None]
    settings: OperatorSettings
    metrics: Metrics

    def mutate(self, body: bytes) -> bytes:
        """A pod's review, in bytes → its answer's; counted and logged. Raises NotAReview."""
        started = time.perf_counter()
        review = parse(body)
        outcome, answer = self._answer(review, respond)
        self._note(review, outcome, time.perf_counter() - started)
        return answer

    def warn(self, body: bytes) -> bytes:
        """A workload's review, in bytes → its answer's: allowed whatever happens. Raises NotAReview."""
        review = parse_workload(body)
        outcome, answer = self._answer(review, respond_to_workload)
        self._note_workload(review, outcome)
        return answer

    def _answer(
        self, review: AdmissionRequest, to_bytes: Callable[[str, Outcome], bytes]
    ) -> tuple[Outcome, bytes]:
        try:
            outcome = decide(review, self.catalog(), self.settings)
            return outcome, to_bytes(review.uid, outcome)
        except Exception as error:  # noqa: BLE001 - the uid is known, so there must be an answer: fail closed
            logs.event(logging.ERROR, "bug", {"uid": review.uid, **logs.place(error)})
        return INTERNAL, to_bytes(review.uid, INTERNAL)

    def _note(self, review: AdmissionRequest, outcome: Outcome, seconds: float) -> None:
        word = _word(outcome)
        self.metrics.admission(word, outcome.reason, seconds)
        fields: dict[str, str | float] = {
            "uid": review.uid,
            "namespace": review.namespace,
            "outcome": word,
            "reason": outcome.reason,
            "duration_ms": round(seconds * 1000, 3),
        }
        if isinstance(outcome, Inject):
            fields["role"] = outcome.role
        if isinstance(outcome, Deny):
            fields["message"] = outcome.message
        logs.event(logging.DEBUG if isinstance(outcome, Skip) else logging.INFO, "admission", fields)

    def _note_workload(self, review: AdmissionRequest, outcome: Outcome) -> None:
        word = _word(outcome)
        self.metrics.workload(word, outcome.reason)
        fields = {
            "uid": review.uid,
            "namespace": review.namespace,
            "resource": review.resource,
            "pods": word,
            "reason": outcome.reason,
        }
        logs.event(logging.INFO if isinstance(outcome, Deny) else logging.DEBUG, "workload", fields)


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Inject):
        return "injected"
    return "skipped" if isinstance(outcome, Skip) else "denied"


def _http_error(
    metrics: Metrics, status: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    metrics.refused(status)
    logs.event(logging.WARNING, "refused", {"status": status, "message": message})
    return Response(f"podkeys: {message}\n", status, headers, mimetype="text/plain")


def create(admission: Admission) -> Flask:
    app = Flask(__name__, static_folder=None)
    http_error = partial(_http_error, admission.metrics)

    @app.post(PATH, provide_automatic_options=False)
    def mutate() -> Response:
        return answered(admission.mutate)

    @app.post(WORKLOADS_PATH, provide_automatic_options=False)
    def warn() -> Response:
        return answered(admission.warn)

    def answered(by: Callable[[bytes], bytes]) -> Response:
        if "Transfer-Encoding" in request.headers:
            return http_error(411, "got a body in chunks, expected a Content-Length")
        if (request.content_length or 0) > MAX_BODY:
            return http_error(
                413, f"got a longer body, expected at most {MAX_BODY} bytes; make the object smaller"
            )
        if request.mimetype != JSON:
            return http_error(415, f"got another content type, expected {JSON}")
        body = request.get_data(cache=False)
        if len(body) < (request.content_length or 0):  # dropped by the worker, while it read another as long
            return http_error(OVERLOADED.status, OVERLOADED.message, dict(OVERLOADED.headers))
        try:
            answer = by(body)
        except NotAReview as error:
            return http_error(400, str(error))
        return Response(answer, mimetype=JSON)

    @app.errorhandler(HTTPException)
    def unknown(error: HTTPException) -> Response:
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return http_error(
            error.code or 400,
            f"{error.name}; expected POST {PATH} or {WORKLOADS_PATH} with an AdmissionReview",
            headers,
        )

    return app
