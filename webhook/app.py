"""The admission endpoint over HTTP. The only module that knows Flask.

Without a uid there is nobody to answer to: 400, or what HTTP has for it. Once a review's uid is known the answer
is always 200 with a review, because the API server reads a refusal's message only there.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, HTTPException

from webhook import logs
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.decide import decide
from webhook.metrics import Metrics
from webhook.outcome import Deny, Inject, Outcome, Skip
from webhook.review import AdmissionRequest, NotAReview, parse, respond

PATH = "/mutate"
MAX_BODY = 3 * 1024 * 1024  # bytes; the API server's own limit of a request
MAX_DISCARDED = 16 * 1024 * 1024  # read from a longer body, so that its sender gets to read the answer
_CHUNK = 64 * 1024

NO_CATALOG = Deny(
    "no-catalog",
    "this webhook has no valid catalog yet, so no pod can be injected; the platform team finds the reason "
    "in its log (catalog-refused) and deploys the generated catalog; until then the pod is refused",
)
INTERNAL = Deny(
    "internal",
    "the webhook failed on this pod (a bug), so the pod is refused; "
    "the platform team finds the place in its log by the request's uid",
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the endpoint decides with. `busy` says whether more requests wait for a thread than can be served."""

    catalog: Callable[[], LoadedCatalog | None]
    settings: OperatorSettings
    metrics: Metrics
    busy: Callable[[], bool]

    def answer(self, body: bytes) -> bytes:
        """A review's bytes → its answer's; counted and logged. Raises NotAReview."""
        started = time.perf_counter()
        review = parse(body)
        outcome = self._outcome(review)
        try:
            answer = respond(review.uid, review.api_version, outcome)
        except Exception as error:  # noqa: BLE001 - the uid is known, so there must be an answer
            outcome = _bug(review, error)
            answer = respond(review.uid, review.api_version, outcome)
        self._note(review, outcome, time.perf_counter() - started)
        return answer

    def _outcome(self, review: AdmissionRequest) -> Outcome:
        catalog = self.catalog()
        if catalog is None:
            return NO_CATALOG
        try:
            return decide(review, catalog, self.settings)
        except Exception as error:  # noqa: BLE001 - fail closed, with an answer that says so
            return _bug(review, error)

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


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, Inject):
        return "injected"
    return "skipped" if isinstance(outcome, Skip) else "denied"


def _bug(review: AdmissionRequest, error: Exception) -> Deny:
    logs.event(logging.ERROR, "bug", {"uid": review.uid, **logs.place(error)})
    return INTERNAL


def create(admission: Admission) -> Flask:
    app = Flask(__name__, static_folder=None)

    @app.post(PATH, provide_automatic_options=False)
    def mutate() -> Response:
        if admission.busy():
            return refuse(503, "too many requests wait; try again in a second", {"Retry-After": "1"})
        body = _body()
        if len(body) > MAX_BODY:
            return refuse(413, f"got a longer body, expected at most {MAX_BODY} bytes; make the pod smaller")
        try:
            answer = admission.answer(body)
        except NotAReview as error:
            return refuse(400, str(error))
        return Response(answer, mimetype="application/json")

    @app.errorhandler(HTTPException)
    def unknown(error: HTTPException) -> Response:
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return refuse(
            error.code or 400, f"{error.name}; expected POST {PATH} with an AdmissionReview", headers
        )

    def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        admission.metrics.refused(status)
        logs.event(logging.WARNING, "refused", {"status": status, "message": message})
        return Response(f"podkeys: {message}\n", status, headers, mimetype="text/plain")

    return app


def _body() -> bytes:
    """At most one byte more than a body may have; the rest is read too, but not kept.

    A connection closed on unread bytes is reset, and the sender would never see why. Werkzeug's own limit cuts a
    chunked body silently. Raises BadRequest where the rest doesn't come.
    """
    source = request.environ["wsgi.input"]
    try:
        body: bytes = source.read(MAX_BODY + 1)
        left = MAX_DISCARDED if len(body) > MAX_BODY else 0
        while left > 0 and (chunk := source.read(min(_CHUNK, left))):
            left -= len(chunk)
    except Exception as error:  # noqa: BLE001 - late, gone, or no chunks; each server has its own errors
        logs.event(logging.DEBUG, "body-unreadable", logs.place(error))
        raise BadRequest from None
    return body
