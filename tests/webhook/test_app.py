"""The endpoint's answers, without a network: every body gets one, and none is a 5xx."""

import json
import logging
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from werkzeug.test import TestResponse

from policies.catalog import NamespaceCatalog
from tests.webhook import catalogs
from tests.webhook.serving import review
from webhook import logs
from webhook.app import Admission, create
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.incoming import MAX_BODY
from webhook.metrics import Metrics

CATALOG = LoadedCatalog(
    catalogs.CLUSTER,
    {
        "payments": NamespaceCatalog(
            catalogs.CLUSTER.name, "payments", {"payments": catalogs.role("payments", "payments")}
        )
    },
    "0" * 64,
)


class JSONClient(FlaskClient):
    """Sends the API server's content type, unless the test says another."""

    def open(self, *args: Any, **named: Any) -> TestResponse:  # noqa: ANN401 - the library's own
        return super().open(*args, **{"content_type": "application/json"} | named)


def client(
    catalog: Callable[[], LoadedCatalog | None] = lambda: CATALOG,
    *,
    metrics: Metrics | None = None,
) -> FlaskClient:
    settings = OperatorSettings(image="podkeys.example.com/podkeys:1")
    app = create(Admission(catalog, settings, metrics or Metrics()))
    app.test_client_class = JSONClient
    return app.test_client()


CLIENT = client()


def answered(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200
    assert response.content_type == "application/json"
    found: dict[str, Any] = json.loads(response.data)
    assert found["apiVersion"] == "admission.k8s.io/v1"
    answer: dict[str, Any] = found["response"]
    return answer


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged during the test, from debug up."""
    stream, root = StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON;x=y"]
)
def test_json_is_read_whatever_parameters_its_type_has(content_type: str) -> None:
    answer = answered(CLIENT.post("/mutate", data=review("u"), content_type=content_type))
    assert (answer["uid"], answer["allowed"], answer["patchType"]) == ("u", True, "JSONPatch")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "x", None],
)
def test_any_other_content_type_is_a_415(content_type: str | None) -> None:
    for path in ("/mutate", "/warn"):
        response = CLIENT.post(path, data=review("u"), content_type=content_type)
        assert response.status_code == 415
        assert b"expected application/json" in response.data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"request": null}',
        b'{"request": {"uid": 1}}',
        b"\xff",
        b"[" * 10_000,
    ],
)
def test_what_is_no_review_is_a_400_that_says_so(body: bytes) -> None:
    response = CLIENT.post("/mutate", data=body)
    assert response.status_code == 400
    assert b"expected" in response.data


@pytest.mark.parametrize("path", ["/", "/mutate/", "/mutate/x", "/healthz", "/metrics", "/static/x"])
def test_other_paths_are_404(path: str) -> None:
    assert CLIENT.post(path, data=review("u")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405(method: str) -> None:
    response = CLIENT.open("/mutate", method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


def test_a_body_that_the_worker_dropped_is_a_503_that_the_api_server_repeats() -> None:
    response = CLIENT.post(
        "/mutate",
        input_stream=BytesIO(),
        environ_overrides={
            "CONTENT_LENGTH": str(MAX_BODY),
            "wsgi.input_terminated": True,
        },  # as gunicorn says
    )
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_a_413() -> None:
    assert CLIENT.post("/mutate", data=b" " * MAX_BODY).status_code == 400
    assert CLIENT.post("/mutate", data=b" " * (MAX_BODY + 1)).status_code == 413


def test_without_a_catalog_the_pod_is_denied_with_its_uid() -> None:
    """A pod that asked for injection never runs without it."""
    answer = answered(client(lambda: None).post("/mutate", data=review("u")))
    assert (answer["uid"], answer["allowed"]) == ("u", False)
    assert "no valid catalog" in answer["status"]["message"]


class Broken(dict[str, NamespaceCatalog]):
    """A catalog that fails when it is asked, with a secret in its error."""

    def get(self, *_: object) -> Any:  # noqa: ANN401 - it never returns
        raise RuntimeError("canary-4711")

    __getitem__ = __contains__ = get


def test_a_bug_is_a_denial_with_the_uid_logged_by_type_and_place(
    log: Callable[[], list[dict[str, Any]]],
) -> None:
    """No value in an error message or a log."""
    metrics = Metrics()
    broken = client(lambda: LoadedCatalog(catalogs.CLUSTER, Broken(), ""), metrics=metrics)
    response = broken.post("/mutate", data=review("u-1"))
    answer = answered(response)
    assert (answer["uid"], answer["allowed"], answer["status"]["code"]) == ("u-1", False, 500)
    bug = next(line for line in log() if line["event"] == "bug")
    assert (bug["level"], bug["uid"], bug["error"]) == ("error", "u-1", "RuntimeError")
    assert "test_app.py:" in bug["at"]
    assert "canary-4711" not in json.dumps(log()) + response.text
    assert sample(metrics.registry, "podkeys_admissions_total", outcome="denied", reason="internal") == 1


def test_outcomes_and_refusals_are_counted() -> None:
    metrics = Metrics()
    counted = client(metrics=metrics)
    off = {"podkeys.dev/inject": "false"}
    counted.post("/mutate", data=review("a"))
    counted.post("/mutate", data=review("b", more=off))
    counted.post("/mutate", data=review("c", role="nobody"))
    counted.post("/mutate", data=b"{}")
    counted.post("/other")
    registry = metrics.registry
    assert sample(registry, "podkeys_admissions_total", outcome="injected", reason="injected") == 1
    assert sample(registry, "podkeys_admissions_total", outcome="skipped", reason="opted-out") == 1
    assert sample(registry, "podkeys_admissions_total", outcome="denied", reason="role") == 1
    assert sample(registry, "podkeys_admission_duration_seconds_count") == 3
    assert sample(registry, "podkeys_http_refused_total", status="400") == 1
    assert sample(registry, "podkeys_http_refused_total", status="404") == 1


def test_labels_are_a_closed_set_whatever_is_sent() -> None:
    """A caller must not be able to grow the metrics."""
    metrics = Metrics()
    flood = client(metrics=metrics)
    for number in range(50):
        flood.post(
            "/mutate", data=review(f"u{number}", role=f"r{number}", more={f"podkeys.dev/x{number}": "1"})
        )
        flood.post(f"/{number}")
        flood.open("/mutate", method=f"M{number}")
    values = {
        value
        for family in metrics.registry.collect()
        if family.name.startswith("podkeys_")
        for found in family.samples
        for value in found.labels.values()
    }
    assert not any(value.strip("urxM").isdigit() and value not in {"404", "405"} for value in values)


def test_a_log_line_is_bounded_and_on_one_line(log: Callable[[], list[dict[str, Any]]]) -> None:
    CLIENT.post("/mutate", data=review("u" * 5000 + "\n{}", role="no\nbody"))
    line = next(line for line in log() if line["event"] == "admission")
    assert len(line["uid"]) == logs.MAX_TEXT + 1
    assert line["outcome"] == "denied"
    assert len(line["message"]) <= logs.MAX_TEXT + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "uid": st.text(min_size=1, max_size=60) | JSON,
        "operation": st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]) | JSON,
        "namespace": st.sampled_from(["payments", ""]) | JSON,
        "resource": st.just({"group": "", "version": "v1", "resource": "pods"}) | JSON,
        "object": st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON, "kind": JSON}) | JSON,
    },
)


def expected(body: bytes) -> str | None:
    """The uid that must be echoed, as an independent reader of JSON finds it."""
    top = json.loads(body)
    if not isinstance(top, dict) or top.get("response") is not None:
        return None
    if (top.get("apiVersion"), top.get("kind")) != ("admission.k8s.io/v1", "AdmissionReview"):
        return None
    request = top.get("request")
    uid = request.get("uid") if isinstance(request, dict) else None
    return uid if isinstance(uid, str) and uid else None


@given(
    st.fixed_dictionaries(
        {"apiVersion": st.just("admission.k8s.io/v1") | JSON, "kind": st.just("AdmissionReview") | JSON},
        optional={"request": REQUESTS | JSON, "response": st.none() | JSON},
    )
)
def test_any_json_is_answered_with_its_uid_or_a_400(top: dict[str, Any]) -> None:
    body = json.dumps(top).encode()
    response = CLIENT.post("/mutate", data=body)
    uid = expected(body)
    if response.status_code == 400:
        # orjson refuses what Python's reader takes: lone surrogates and numbers out of range
        assert uid is None or b"no JSON" in response.data
    else:
        assert response.status_code == 200
        assert json.loads(response.data)["response"]["uid"] == uid


@given(st.binary(max_size=300))
def test_any_bytes_are_a_400(body: bytes) -> None:
    assert CLIENT.post("/mutate", data=body).status_code == 400


@given(st.data())
def test_a_damaged_review_is_answered(data: st.DataObject) -> None:
    whole = bytearray(review("u"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert CLIENT.post("/mutate", data=bytes(whole)).status_code in {200, 400}
