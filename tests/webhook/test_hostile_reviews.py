"""Whatever comes over the network: an answer, or NotAReview; never another exception."""

import contextlib
import random
import re
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhook.admissions import CATALOG, SETTINGS, Json, answer, pod, refusal, review
from webhook.annotations import OPTIONS, PREFIX, READERS, ours
from webhook.annotations import parse as parse_annotations
from webhook.decide import decide
from webhook.outcome import REASONS
from webhook.pod import MAX_PARTS
from webhook.review import NotAReview, parse, respond

MAX_MESSAGE = 16 * 1024

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
NAMES = st.sampled_from(
    ["inject", *READERS, "status", *(f"{option}.stripe" for option in OPTIONS)]
) | st.text(max_size=30)


VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    2**64 - 1,
    1.5,
    "",
    "\0",
    [],
    [None],
    [[]],
    {},
    {"": None},
    "x" * 10_000,
]


def answered(body: bytes) -> Json:
    """The whole review that answers `body`, checked for what always holds."""
    request = parse(body)
    outcome = decide(request, CATALOG, SETTINGS)
    sent: Json = orjson.loads(respond(request.uid, outcome))
    assert sent["response"]["uid"] == orjson.loads(body)["request"]["uid"]
    assert outcome.reason in REASONS
    assert len(sent["response"].get("status", {}).get("message", "")) < MAX_MESSAGE
    return sent


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_not_a_review(body: bytes) -> None:
    with contextlib.suppress(NotAReview):
        parse(body)


@settings(max_examples=300)
@given(JSON)
def test_any_json_is_an_answer_or_not_a_review(value: object) -> None:
    with contextlib.suppress(NotAReview):
        parse(orjson.dumps(value))


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["operation", "resource", "namespace", "name", "subResource", "object"]), JSON
    )
)
def test_any_field_of_a_review_may_be_anything(changes: Json) -> None:
    answered(review(pod({"secrets": "stripe"}), **changes))


@settings(max_examples=500)
@given(st.dictionaries(NAMES, st.text(max_size=100)))
def test_any_annotation_may_be_any_text(annotations: dict[str, str]) -> None:
    value = pod()
    value["metadata"]["annotations"] = {PREFIX + name: text for name, text in annotations.items()}
    answered(review(value))
    parse_annotations(ours(value["metadata"]["annotations"]))


def test_every_part_of_a_pod_may_be_anything() -> None:
    """One place after the other of a full pod is replaced by each kind of value."""
    whole = pod(
        {"secrets": "all", "certificates": "all", "identity": "true", "env": "X=smtp.password"},
        securityContext={"runAsUser": 1, "fsGroup": 1, "supplementalGroups": [1]},
        containers=[
            {
                "name": "app",
                "env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v"}}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}],
                "securityContext": {"runAsUser": 1},
            }
        ],
        initContainers=[{"name": "istio-proxy", "restartPolicy": "Always"}],
        volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}}],
        nodeSelector={"kubernetes.io/os": "linux"},
        os={"name": "linux"},
    )
    assert answer(review(whole))["allowed"]
    text = orjson.dumps(whole)
    paths = list(_paths(whole))
    for path in paths:
        for value in VALUES:
            changed = orjson.loads(text)
            _replace(changed, path, value)
            answered(review(changed))
    assert len(paths) > 40


def _paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        return found + [path for key, item in value.items() for path in _paths(item, (*at, key))]
    if isinstance(value, list):
        return found + [path for index, item in enumerate(value) for path in _paths(item, (*at, index))]
    return found


def _replace(value: Json, path: tuple[str | int, ...], new: object) -> None:
    inner: Any = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new


def test_bytes_of_a_real_review_flipped_at_random_are_an_answer_or_not_a_review() -> None:
    random_ = random.Random(5)  # noqa: S311 - a seed
    whole = bytearray(review(pod({"secrets": "all", "env": "X=smtp.password"})))
    for _ in range(2_000):
        body = bytearray(whole)
        for _ in range(random_.randrange(1, 4)):
            body[random_.randrange(len(body))] = random_.randrange(256)
        with contextlib.suppress(NotAReview):
            answered(bytes(body))


def test_a_hostile_name_cannot_break_the_line_or_the_terminal_of_a_message() -> None:
    name = "a\n\x1b[2Jb\u202e" * 10_000
    value = pod({"secrets": name, name: "x", "containers": name}, ephemeralContainers=[])
    message = answer(review(value))["status"]["message"]
    assert len(message) < 2_000
    assert all(line.isprintable() for line in message.splitlines())
    value = pod(
        {"secrets": "stripe"},
        containers=[{"name": name, "volumeMounts": [{"name": name, "mountPath": "/run/podkeys/" + name}]}],
    )
    assert answer(review(value))["status"]["message"].isprintable()


NEAR = [f"secretz{at:06}" for at in range(60_000)]  # each a little like a name that exists


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        (
            {},
            {
                "containers": [
                    {"name": "app", "volumeMounts": [{"name": "podkeys", "mountPath": f"/{n}"} for n in NEAR]}
                ]
            },
        ),
        ({"containers": ",".join(NEAR[:200])}, {"containers": [{"name": f"app{name}"} for name in NEAR]}),
        (
            {"containers": ",".join(NEAR[:200])},
            {"containers": [{"name": f"app{name}"} for name in NEAR[:250]]},
        ),
        ({"secrets": ",".join(NEAR)}, {}),
        ({"secrets": ",".join(NEAR[:200]), "certificates": ",".join(NEAR[:200])}, {}),
        ({"env": ",".join(f"V{at}={name}.key" for at, name in enumerate(NEAR[:200]))}, {}),
        (dict.fromkeys(NEAR, ""), {}),
        (dict.fromkeys(NEAR[:450], ""), {}),
        ({f"format.{name}": "jsn" for name in NEAR[:450]}, {}),
        ({f"file.{name}": "same" for name in NEAR[:450]}, {}),
        ({"env": "A=smtp.a"}, {"containers": [{"name": n, "env": [{"name": "A"}]} for n in NEAR[:250]]}),
        (
            {"env": ",".join(f"V{at}=smtp.a" for at in range(200))},
            {"containers": [{"name": n} for n in NEAR[:250]]},
        ),
    ],
)
def test_a_pod_made_to_cost_time_is_refused_briefly_and_soon(annotations: dict[str, str], spec: Json) -> None:
    """One thread's time is everyone's. The bound is loose: it tells linear work from quadratic."""
    body = review(pod({"secrets": "stripe"} | annotations, **spec))
    started = time.process_time()
    response = answered(body)["response"]
    assert time.process_time() - started < 5
    assert not response["allowed"]
    assert len(response["status"]["message"]) < 8_000


@pytest.mark.parametrize(
    "field", ["containers", "initContainers", "ephemeralContainers", "volumes", "volumeMounts", "env"]
)
def test_parts_are_counted_before_they_are_read(field: str) -> None:
    """Each that is read costs a microsecond or two."""
    parts: list[Json] = [{}] * (MAX_PARTS + 1)
    inside = field in {"volumeMounts", "env"}
    spec = {"containers": [{"name": "app", field: parts}]} if inside else {field: parts}
    message = refusal(pod({"secrets": "stripe"}, **spec))
    assert re.fullmatch(
        r"this pod can't be read: spec: got 1000\d containers, volumes, mounts and variables, expected at most 10000 "
        "in all; make it several pods",
        message,
    )


@pytest.mark.parametrize("inject", [None, "false"])
@pytest.mark.parametrize("field", ["containers", "volumes"])
def test_a_pod_that_does_not_ask_is_never_too_large_and_brings_nothing_of_ours(
    field: str, inject: str | None
) -> None:
    names = {"containers": "podkeys-sidecar", "volumes": "podkeys-token"}
    for count in (300, MAX_PARTS + 1):
        value = pod(None, **{field: [{"name": f"n{at}"} for at in range(count)]})
        value["metadata"]["annotations"] = {} if inject is None else {"podkeys.dev/inject": inject}
        assert answer(review(value))["allowed"]
        value["spec"][field].append({"name": names[field]})
        assert names[field] in refusal(value)


def test_a_body_of_very_many_values_is_refused_unread_under_its_uid() -> None:
    """JSON's reader alone takes two thirds of a second for a million lists."""
    value = pod({"secrets": "stripe"}, affinity=[[]] * 50_000)
    head = b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"12-ab","object":'
    request = parse(head + orjson.dumps(value))  # never ends, and is never read so far
    assert request.uid == "12-ab"
    assert re.match(
        r"request: got 1000\d\d objects, lists and values, expected at most 50000", request.problem
    )
    with pytest.raises(NotAReview, match="expected at most 50000"):
        parse(b"[" * 100_000)


def test_a_pod_of_the_most_parts_is_read() -> None:
    spec: Json = {
        "containers": [
            {"name": f"app{at}", "volumeMounts": [{"name": "v", "mountPath": "/v"}] * 39} for at in range(249)
        ]
    }
    found = parse(review(pod(**spec, volumes=[{"name": f"v{at}"} for at in range(MAX_PARTS - 249 * 40)]))).pod
    assert found is not None
    assert len(found.containers) == 249
