"""Many generated pods: the patch only adds, equals an independent diff, and depends on no order.

One seeded generator makes ten thousand pods quickly; hypothesis looks for the odd ones, and shrinks them.
"""

import copy
import random
from typing import Any

import jsonpatch
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhook.admissions import CATALOG, CLUSTER, SETTINGS, Json, answer, operations, review
from webhook import guards
from webhook.layout import CONTAINERS, VOLUMES
from webhook.review import parse

ANNOTATIONS = {
    "secrets": ["stripe", "stripe,smtp", "all", "orders"],
    "certificates": ["serving", "all"],
    "identity": ["true", "false"],
    "env": ["P=smtp.password", "B=smtp.b,A=smtp.a"],
    "containers": ["app-0", "app-0,late"],
    "sidecar": ["auto", "true", "false"],
    "mode.smtp": ["0400"],
    "role": ["payments"],
}
OURS = {*CONTAINERS, *VOLUMES}


def maybe(random_: random.Random, value: object, *, absent: float = 0.3) -> dict[str, object]:
    """A field's value, or its absence, as null and as nothing at all."""
    chance = random_.random()
    if chance < absent:
        return {}
    return {"value": None} if chance < absent + 0.1 else {"value": value}


def put(random_: random.Random, item: Json, field: str, value: object) -> None:
    found = maybe(random_, value)
    if found:
        item[field] = found["value"]


def a_container(random_: random.Random, name: str) -> Json:
    item: Json = {"name": name, "image": "registry.example.com/app:1"}
    put(
        random_, item, "env", [{"name": f"V{at}", "value": f"$(P){at}"} for at in range(random_.randrange(4))]
    )
    put(
        random_,
        item,
        "volumeMounts",
        [{"name": "tmp", "mountPath": f"/data{at}", "subPath": "x"} for at in range(random_.randrange(3))],
    )
    put(random_, item, "securityContext", {"runAsUser": random_.choice([0, 1000, None, 64000])})
    put(random_, item, "resources", {"limits": {"cpu": "1", "memory": "1Gi"}})
    return item


def a_pod(random_: random.Random) -> Json:
    annotations = {"podkeys.dev/inject": "true", "example.com/other": "~/{}"}
    for name, values in ANNOTATIONS.items():
        if random_.random() < 0.4:
            annotations[f"podkeys.dev/{name}"] = random_.choice(values)
    spec: Json = {
        "serviceAccountName": "payments-api",
        "containers": [a_container(random_, f"app-{at}") for at in range(random_.randrange(1, 4))],
    }
    proxy = a_container(random_, "istio-proxy") | {"restartPolicy": "Always"}
    early, late = a_container(random_, "early"), a_container(random_, "late")
    put(random_, spec, "initContainers", random_.choice([[], [early, proxy, late], [late], [proxy]]))
    put(random_, spec, "volumes", random_.choice([[], [{"name": "tmp", "emptyDir": {}}]]))
    groups: Json = random_.choice(
        [{}, {"supplementalGroups": [5]}, {"supplementalGroups": None}, {"fsGroup": 7}]
    )
    put(random_, spec, "securityContext", {"runAsUser": random_.choice([None, 0, 1000]), **groups})
    put(random_, spec, "restartPolicy", random_.choice(["Always", "Never", "OnFailure"]))
    metadata: Json = {"generateName": "payments-", "annotations": annotations, "labels": {"a": "b"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def shuffled(random_: random.Random, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same JSON with every object's keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random_.shuffle(keys)
        return {key: shuffled(random_, value[key]) for key in keys}
    return [shuffled(random_, item) for item in value] if isinstance(value, list) else value


def kept(before: Any, after: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether all of `before` is in `after`, lists in their order; null and an absent field are the same."""
    if before is None:
        return True
    if isinstance(before, dict):
        return isinstance(after, dict) and all(kept(value, after.get(key)) for key, value in before.items())
    if not isinstance(before, list):
        return bool(before == after)
    remaining = iter(after)
    return all(any(kept(item, other) for other in remaining) for item in before)


def check(random_: random.Random, pod: Json, *, oracle: bool) -> str:
    """All properties for one pod; its reason code."""
    response = answer(review(pod))
    assert answer(review(shuffled(random_, pod))) == response
    code: str = response["auditAnnotations"]["reason"]
    if code != "injected":
        return code
    patch = operations(response)
    after = jsonpatch.apply_patch(copy.deepcopy(pod), patch)
    assert {operation["op"] for operation in patch} == {"add"}
    assert kept(pod, after)
    if oracle:
        assert jsonpatch.make_patch(pod, after).apply(pod) == after
    spec = after["spec"]
    assert not OURS & {
        mount["name"] for item in spec["containers"] for mount in item.get("volumeMounts") or ()
    } - {"podkeys"}
    found = parse(review(after)).pod
    assert found is not None
    assert guards.leftovers(found, CLUSTER)  # a second round is refused
    return code


def test_ten_thousand_generated_pods_are_only_added_to() -> None:
    """Invariant: same review in, same bytes out, whatever the order of its objects' keys."""
    random_ = random.Random(20260101)  # noqa: S311 - a seed, so that a failure comes again
    codes = [check(random_, a_pod(random_), oracle=at % 10 == 0) for at in range(10_000)]
    assert codes.count("injected") > 4_000
    assert len(set(codes)) >= 4


@settings(max_examples=500)
@given(st.randoms(use_true_random=False))
def test_pods_that_hypothesis_finds_are_only_added_to(random_: random.Random) -> None:
    check(random.Random(1), a_pod(random_), oracle=True)  # noqa: S311 - a seed


def test_fifty_containers_each_get_one_mount() -> None:
    random_ = random.Random(2)  # noqa: S311 - a seed
    pod = a_pod(random_)
    pod["metadata"]["annotations"] = {"podkeys.dev/inject": "true", "podkeys.dev/secrets": "stripe"}
    pod["spec"]["containers"] = [a_container(random_, f"app-{at}") for at in range(50)]
    assert check(random_, pod, oracle=True) == "injected"
    after = jsonpatch.apply_patch(pod, operations(answer(review(pod))))
    for item in after["spec"]["containers"]:
        assert [mount["name"] for mount in item["volumeMounts"]].count("podkeys") == 1


def test_a_megabyte_of_environment_stays_as_it_is() -> None:
    random_ = random.Random(3)  # noqa: S311 - a seed
    pod = a_pod(random_)
    pod["metadata"]["annotations"] = {"podkeys.dev/inject": "true", "podkeys.dev/env": "P=smtp.password"}
    env = [{"name": f"LONG_{at}", "value": "é$(P)" * 2_000} for at in range(100)]
    pod["spec"]["containers"] = [{"name": "app", "env": env}]
    assert len(review(pod)) > 1_000_000
    assert check(random_, pod, oracle=False) == "injected"
    patch = operations(answer(review(pod)))
    assert len(orjson.dumps(patch)) < 20_000  # what we add, and not the pod once more
    assert jsonpatch.apply_patch(pod, patch)["spec"]["containers"][0]["env"][1:] == env


def test_settings_and_catalog_stay_as_they_are() -> None:
    """One catalog serves all threads."""
    before = (repr(CATALOG), repr(SETTINGS))
    random_ = random.Random(4)  # noqa: S311 - a seed
    for _ in range(100):
        check(random_, a_pod(random_), oracle=False)
    assert (repr(CATALOG), repr(SETTINGS)) == before
