"""Pods made to cost the webhook time: shapes, each of which grows to any size. For tests and for the benchmark."""

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from policies.catalog import NamespaceCatalog, Secret
from tests.webhook.admissions import CLUSTER, SETTINGS, review, role
from webhook.annotations import OPTIONS, READERS
from webhook.config import LoadedCatalog
from webhook.decide import decide
from webhook.outcome import Outcome
from webhook.review import parse, parse_workload, respond, respond_to_workload

KILOBYTE = 1024
SIZES = {"2 KB": 2 * KILOBYTE, "37 KB": 37 * KILOBYTE, "3 MiB": 3 * 1024 * KILOBYTE}
ENDPOINTS = ("/mutate", "/warn")
ACCOUNT = "payments-api"

Json = dict[str, Any]
Body = dict[str, Any]
Shape = Callable[[int], Body]  # of any number of its parts


def large_catalog() -> LoadedCatalog:
    """A namespace of fifty roles, the pods' own with two hundred secrets called nearly the same."""
    roles = {f"payment{at:02}": role(f"payment{at:02}", "payments", (f"account{at}",)) for at in range(49)}
    own = role("payments", "payments", (ACCOUNT,))
    secrets = {
        f"secretz{at:03}": Secret(f"secretz{at:03}", "kv2", f"kv/data/{at}", env=True) for at in range(200)
    }
    roles["payments"] = type(own)(
        own.name, own.source, own.owner, own.service_accounts, {**own.secrets, **secrets}, own.certificates
    )
    return LoadedCatalog(CLUSTER, {"payments": NamespaceCatalog(CLUSTER.name, "payments", roles)}, "c0ffee")


CATALOG = large_catalog()


def near(count: int, *, length: int = 13, stem: str = "secretx") -> list[str]:
    """Names that differ in their ends alone, so that nothing tells them apart early."""
    return [f"{stem}{at:0{max(length - len(stem), 1)}}" for at in range(count)]


def asking(annotations: Json | None = None, **spec: object) -> Body:
    given = {"inject": "true", "secrets": "stripe", **(annotations or {})}
    return pod({f"podkeys.dev/{name}": value for name, value in given.items()}, **spec)


def pod(annotations: Json, **spec: object) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "payments-", "annotations": annotations},
        "spec": {"serviceAccountName": ACCOUNT, "containers": [{"name": "app"}], **spec},
    }


def containers(names: list[str], **fields: object) -> list[Json]:
    return [{"name": name, **fields} for name in names]


def one_app(**fields: object) -> Json:
    return {"containers": [{"name": "app", **fields}]}


def wrong_names(kind: str, *, names: int = 200, length: int = 13) -> Shape:
    """Names in one annotation, beside containers that are nearly called so."""

    def shape(count: int) -> Body:
        most = max(1, min(count, 250))
        longer = max(length, 13 + count // 250)
        wanted = ",".join(near(min(names, count), length=longer, stem="secretz0"))
        return asking({kind: wanted}, containers=containers(near(most, length=longer)))

    return shape


def text(annotation: str, part: str) -> Shape:
    return lambda count: asking({annotation: part * count})


def options(option: str, value: str) -> Shape:
    return lambda count: asking({f"{option}.{name}": value for name in near(count)})


def listed(field: str, item: object) -> Shape:
    return lambda count: asking(None, **{field: [item] * count})


def in_container(field: str, item: object) -> Shape:
    return lambda count: asking(**one_app(**{field: [item] * count}))


def nested(opening: str, closing: str, depth: int = 900) -> Shape:
    """As deep as JSON's reader goes, and deeper than its writer does."""
    each = opening * depth + "1" + closing * depth
    return lambda count: asking(affinity=orjson.Fragment("[" + ",".join([each] * count) + "]"))


RESOURCES = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}
MOUNT = {"name": "v", "mountPath": "/v"}
TOKENS = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}}

SHAPES: dict[str, Shape] = {
    "wrong containers beside near ones": wrong_names("containers"),
    "wrong containers, 64 characters each": wrong_names("containers", length=64),
    "wrong containers of few letters": lambda count: asking(
        {"containers": ",".join(f"{'ab' * 30}{at:03}" for at in range(21))},
        containers=containers([f"{at:03}{'ba' * (count // 500)}" for at in range(min(count, 250))]),
    ),
    "wrong secrets": wrong_names("secrets"),
    "wrong certificates": wrong_names("certificates"),
    "wrong names everywhere": lambda count: asking(
        {
            "containers": ",".join(near(min(count, 200), length=64)),
            "secrets": ",".join(near(min(count, 200), stem="secretz1")),
            "certificates": ",".join(near(min(count, 200), stem="servinx")),
            "env": ",".join(f"V{at}=secretz{at:04}.k" for at in range(min(count, 200))),
            **{f"format.{name}": "jsno" for name in near(min(count, 200))},
            **{f"secretx{at}": "" for at in range(min(count, 200))},
        },
        containers=containers(near(min(count, 250), length=64 + count // 250, stem="secretz")),
    ),
    "a wrong role": lambda count: asking({"role": "paymentx"[: 8 + count] + "y" * (count // 1000)}),
    "wrong variables": lambda count: asking(
        {"env": ",".join(f"V{at}={name}.key" for at, name in enumerate(near(count)))}
    ),
    "variables twice": lambda count: asking({"env": ",".join(["A=smtp.a"] * count)}),
    "names that are long and alike": lambda count: asking(
        {"secrets": ",".join(near(200, length=13 + count // 200))}
    ),
    "containers that are long and alike": lambda count: asking(
        {"containers": ",".join(near(200, length=13 + count // 450, stem="b" * 6))},
        containers=containers(near(250, length=13 + count // 450)),
    ),
    "a certificate's names": text("certificates", "a,"),
    "commas": text("secrets", ","),
    "new lines": text("secrets", "\n"),
    "new lines in all lists": lambda count: asking(
        dict.fromkeys(("secrets", "certificates", "containers", "env"), "\n" * count)
    ),
    "blanks": text("role", " "),
    "blanks in a name": text("secrets", "a "),
    "control characters": text("secrets", "\x01"),
    "characters outside of the plane": text("secrets", "\U0001f511"),
    "combining characters": text("containers", "e\u0301"),
    "dots in a variable": text("env", "A=smtp."),
    "a file name": text("file.stripe", "a."),
    "a key": text("key.stripe", "\u202e"),
    "a template of openings": text("template.stripe", "{{"),
    "a template of halves": text("template.stripe", "{{ a "),
    "a template of keys": text("template.stripe", "{{ a }}"),
    "a template of blanks": lambda count: asking({"template.stripe": "{{" + " " * count + "}}"}),
    "templates of keys": lambda count: asking(
        {f"template.{name}": "{{ a }}" + "x" * 30_000 for name in near(1 + count // 3)}
    ),
    "templates of blanks": lambda count: asking(
        {f"template.{name}": ("{{" + " " * 1000) * 30 for name in near(1 + count // 3)}
    ),
    "a mode": text("mode.stripe", "0"),
    "a notification": lambda count: asking({"on-change": "http:80/" + "a" * count}),
    "unknown annotations": lambda count: asking(dict.fromkeys(near(count), "")),
    "unknown annotations as many as are read": lambda count: asking(
        dict.fromkeys(near(min(count, 490), length=13 + count // 490), "")
    ),
    "an annotation's long name": lambda count: asking({"a" * count: ""}),
    "other annotations": lambda count: pod({f"a{at}": "" for at in range(count)}),
    "other annotations beside ours": lambda count: pod(
        {"podkeys.dev/inject": "true", **{f"a{at}": "" for at in range(count)}}
    ),
    "annotations that are no text": lambda count: pod({"podkeys.dev/inject": "true", "\x01" * count: 1}),
    **{f"many {option}": options(option, value) for option, value in zip(
        OPTIONS, ("same", "jsno", "k", "x", "0999"), strict=True)},
    "many of one file": options("file", "same"),
    **{f"a huge {name}": text(name, "x") for name in READERS},
    **{f"many empty {field}": listed(field, {}) for field in
       ("containers", "initContainers", "ephemeralContainers", "volumes", "tolerations")},
    "whole containers": lambda count: asking(
        containers=containers(
            near(count), resources=RESOURCES, env=[{"name": "A"}], volumeMounts=[MOUNT], securityContext={"runAsUser": 1}
        )
    ),
    "whole containers as many as are read": lambda count: asking(
        containers=containers(
            near(min(count, 250)),
            resources=RESOURCES,
            env=[{"name": "A"}] * (count // 250),
            volumeMounts=[MOUNT] * (count // 250),
        )
    ),
    "containers that don't ask": lambda count: pod({}, containers=containers(near(count), volumeMounts=[MOUNT])),
    "containers that opted out": lambda count: pod(
        {"podkeys.dev/inject": "false"}, containers=containers(near(count), env=[{"name": "A"}])
    ),
    "volumes": listed("volumes", TOKENS),
    "sources of one volume": lambda count: asking(
        volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}] * count}}]
    ),
    "ephemeral containers": lambda count: asking(ephemeralContainers=containers(near(count, length=60))),
    "long names of ephemeral containers": lambda count: asking(
        ephemeralContainers=containers(near(200, length=13 + count // 200))
    ),
    "mounts": in_container("volumeMounts", MOUNT),
    "mounts of ours": in_container("volumeMounts", {"name": "podkeys", "mountPath": "/v"}),
    "mounts nearly at ours": in_container("volumeMounts", {"name": "v", "mountPath": "/etc//podkeys/../x"}),
    "a path of many parts": lambda count: asking(
        **one_app(volumeMounts=[{"name": "v", "mountPath": "/podkeys" + "/.." * count}])
    ),
    "paths of many parts": lambda count: asking(
        **one_app(volumeMounts=[{"name": "v", "mountPath": "/podkeys" + "/a/." * 60}] * count)
    ),
    "slashes": lambda count: asking(
        **one_app(volumeMounts=[{"name": "v", "mountPath": "/" * count + "run/podkeys"}])
    ),
    "nearly our mark": lambda count: asking(
        **one_app(volumeMounts=[{"name": "v", "mountPath": "/" + "podkey" * count}])
    ),
    "variables": in_container("env", {"name": "A", "value": ""}),
    "variables from files": in_container("env", {"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v"}}}),
    "wrong variables of a container": in_container("env", {"name": 1}),
    "variables of every container": lambda count: asking(
        {"env": ",".join(f"V{at}=smtp.a" for at in range(min(200, count)))},
        containers=containers(near(min(count, 250)), env=[{"name": f"V{at}"} for at in range(count // 250)]),
    ),
    "quantities": lambda count: asking(
        containers=containers(near(min(250, count)), resources={"limits": {"cpu": "9" * (count // 250), "memory": "1"}})
    ),
    "kinds of resources": lambda count: asking(resources={"limits": {f"r{at}": "1" for at in range(count)}}),
    "groups": lambda count: asking(securityContext={"supplementalGroups": [1] * count}),
    "labels": lambda count: {**asking(), "metadata": {**asking()["metadata"], "labels": {f"l{at}": "" for at in range(count)}}},
    "owner references": lambda count: {
        **asking(), "metadata": {**asking()["metadata"], "ownerReferences": [{"kind": "Job", "uid": "1"}] * count}
    },
    "nested lists": nested("[", "]"),
    "nested objects": nested('{"a":', "}"),
    "empty lists": lambda count: asking(affinity=[[]] * count),
    "empty objects": lambda count: asking(affinity=[{}] * count),
    "numbers": lambda count: asking(affinity=[1] * count),
    "fractions": lambda count: asking(affinity=[1.5e300] * count),
    "texts": lambda count: asking(affinity=near(count)),
    "keys": lambda count: asking(affinity={f"{at:x}": 1 for at in range(count)}),
    "escapes": lambda count: asking(affinity='\x01\n"' * count),
    "one text": lambda count: asking(affinity="x" * count),
    "an unreadable name": lambda count: asking(containers=containers(["\x01\u202e" * count])),
    "a service account": lambda count: asking(serviceAccountName="payments-apx" * count),
}  # fmt: skip


def body(endpoint: str, name: str, size: int) -> bytes:
    """A review of at most `size` bytes, nearly as large as the shape gets there."""
    send = review if endpoint == "/mutate" else workload
    return send(SHAPES[name](_count(name, size - 200)))


@cache
def _count(name: str, size: int) -> int:
    """How many of a shape's parts fit, or some less."""
    low, high = 0, 1
    while high < size and len(review(SHAPES[name](high))) <= size:
        low, high = high, high * 2
    while high - low > max(1, low // 10):
        middle = (low + high) // 2
        low, high = (middle, high) if len(review(SHAPES[name](middle))) <= size else (low, middle)
    return low


def workload(template: Body) -> bytes:
    """The review of a Deployment's creation, with this pod's template."""
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "payments"},
        "spec": {"template": {key: template[key] for key in ("metadata", "spec")}},
    }
    return review(deployment, resource={"group": "apps", "version": "v1", "resource": "deployments"})


def answer(endpoint: str, sent: bytes) -> tuple[Outcome, bytes]:
    """As the endpoint does: everything from bytes to bytes."""
    read, write = (parse, respond) if endpoint == "/mutate" else (parse_workload, respond_to_workload)
    request = read(sent)
    outcome = decide(request, CATALOG, SETTINGS)
    return outcome, write(request.uid, outcome)
