"""Pods of every shape that is found in clusters: admitted and working, or refused with the reason.

They are created all at once, and each test then looks at one.
"""

import copy
import json
from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.workloads import digest, pod, seen, template

ASKS = {"inject": "true", "secrets": "card", "identity": "true"}
LOOK = """
import hashlib, json, os
card = json.load(open("/var/run/podkeys/secrets/card"))["api_key"].encode()
open("/var/run/podkeys/identity/svid.key").read()
print(json.dumps({"user": os.getuid(), "card": hashlib.sha256(card).hexdigest()}), flush=True)
"""
SLEEP = "import time; time.sleep(3600)"


def shape(name: str, namespace: str = "bounded", script: str = LOOK + SLEEP, **spec: object) -> Json:
    return pod(name, template(ASKS, script, serviceAccountName="shapes", **spec), namespace)


def app(made: Json, **fields: object) -> Json:
    """The pod, with other fields in its app container."""
    made["spec"]["containers"][0].update(fields)
    return made


def users(made: Json, pod_user: int | None, *app_users: int | None, **more: object) -> Json:
    """The pod, as `pod_user`, with one container for each of `app_users`; None sets no user."""
    security = made["spec"]["securityContext"]
    del security["runAsUser"]
    security |= ({} if pod_user is None else {"runAsUser": pod_user}) | more
    first = made["spec"]["containers"][0]
    made["spec"]["containers"] = [
        {**copy.deepcopy(first), "name": "app" if index == 0 else f"beside-{index}"}
        for index in range(len(app_users))
    ]
    for container, user in zip(made["spec"]["containers"], app_users, strict=True):
        if user is not None:
            container["securityContext"] |= {"runAsUser": user, "runAsNonRoot": user != 0}
    return made


def proxied() -> Json:
    proxy = copy.deepcopy(template({}, SLEEP)["spec"]["containers"][0])
    proxy |= {"name": "istio-proxy", "restartPolicy": "Always"}
    return shape("proxied", "loose", initContainers=[proxy])


ROOM = {"limits": {"cpu": "100m", "memory": "64Mi"}}
SHAPES = {
    made["metadata"]["name"]: made
    for made in (
        users(shape("image-user"), None, None),
        users(shape("arbitrary-user"), 1000680000, None),
        users(shape("fixed-user"), None, 1234),
        users(shape("several-users"), None, 1000, 2000),
        users(shape("fs-group"), None, 1500, 2500, fsGroup=3000),
        users(shape("root", "loose"), None, 0),
        users(shape("root-beside-another", "loose"), None, 0, 2000),
        app(
            shape("read-only"),
            securityContext={
                **template({})["spec"]["containers"][0]["securityContext"],
                "readOnlyRootFilesystem": True,
            },
        ),
        app(shape("guaranteed", "loose"), resources=ROOM),
        shape("pod-level", "loose", resources={"limits": {"cpu": "1", "memory": "256Mi"}}),
        shape("host-network", "loose", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"),
        proxied(),
        shape("never", script=LOOK, restartPolicy="Never"),
    )
}
USERS = {"image-user": 64000, "arbitrary-user": 1000680000, "several-users": 1000, "fs-group": 1500}
USERS |= {"root": 0, "root-beside-another": 0}


def unreachable() -> Json:
    """For this pod alone the server is nowhere."""
    aliases = [{"ip": "127.0.0.1", "hostnames": ["vault.vault.svc"]}]
    return shape("unreachable", restartPolicy="Never", hostAliases=aliases)


def unwritten() -> Json:
    made = template(
        {"inject": "true", "secrets": "unwritten"}, LOOK, serviceAccountName="shapes", restartPolicy="Never"
    )
    return pod("unwritten", made, "bounded")


def limits() -> list[Json]:
    """What a namespace's owner may set: defaults and room in `bounded`, too much for our small requests in `tight`."""
    sizes = {"default": {"cpu": "500m", "memory": "32Mi"}, "defaultRequest": {"cpu": "10m", "memory": "16Mi"}}
    hard = {"limits.memory": "4Gi", "requests.cpu": "2", "requests.memory": "2Gi"}
    kinds: list[tuple[str, str, Json]] = [
        ("LimitRange", "bounded", {"limits": [{"type": "Container", "max": {"memory": "512Mi"}, **sizes}]}),
        ("ResourceQuota", "bounded", {"hard": hard}),
        ("LimitRange", "tight", {"limits": [{"type": "Container", "min": {"memory": "100Mi"}}]}),
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": "limits", "namespace": namespace},
            "spec": spec,
        }
        for kind, namespace, spec in kinds
    ]


@pytest.fixture(scope="module", autouse=True)
def pods(installation: Installation) -> Iterator[None]:
    del installation
    apply(*limits())
    made = [*SHAPES.values(), unreachable(), unwritten()]
    try:
        apply(*made)
        yield
    finally:
        for namespace in ("bounded", "loose"):
            names = [item["metadata"]["name"] for item in made if item["metadata"]["namespace"] == namespace]
            kubectl("-n", namespace, "delete", "pod", *names, "--ignore-not-found")


def status(name: str, namespace: str = "bounded") -> Json:
    found: Json = get("pod", namespace, name)["status"]
    return found


def init_of(name: str) -> Json:
    """The status of podkeys-init, empty while there is none."""
    found = status(name).get("initContainerStatuses", [])
    return next((item for item in found if item["name"] == "podkeys-init"), {})


@pytest.mark.parametrize("name", SHAPES)
def test_a_pod_of_this_shape_has_its_files_before_its_app_starts(name: str) -> None:
    namespace = SHAPES[name]["metadata"]["namespace"]
    found = seen(name, namespace)
    assert found == {"user": USERS.get(name, 1234), "card": digest("shop/card", "api_key")}


@pytest.mark.parametrize("name", ["several-users", "fs-group", "root-beside-another"])
def test_every_user_of_the_pod_reads_the_files(name: str) -> None:
    """Also where the node follows no foreign links in shared folders (fs.protected_symlinks=1)."""
    namespace = SHAPES[name]["metadata"]["namespace"]
    seen(name, namespace)

    def printed() -> str:
        return kubectl("-n", namespace, "logs", name, "-c", "beside-1", check=False).stdout

    text = wait_for(f"the second container of {name}", printed)
    assert json.loads(text)["card"] == digest("shop/card", "api_key")


def test_a_guaranteed_pod_stays_one_and_pod_level_resources_are_left_to_the_pod() -> None:
    assert status("guaranteed", "loose")["qosClass"] == "Guaranteed"
    spec = get("pod", "loose", "pod-level")["spec"]
    assert spec["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    assert all("limits" not in container["resources"] for container in spec["initContainers"])


def test_a_pod_whose_apps_have_no_resources_gets_the_defaults_of_the_namespace_beside_ours() -> None:
    spec = get("pod", "bounded", "image-user")["spec"]
    assert spec["containers"][0]["resources"]["limits"]["memory"] == "32Mi"
    assert {item["resources"]["limits"]["memory"] for item in spec["initContainers"]} == {"64Mi"}


def test_a_proxy_that_is_a_native_sidecar_starts_before_ours_and_sees_no_files() -> None:
    proxy, *ours = get("pod", "loose", "proxied")["spec"]["initContainers"]
    assert [proxy["name"], *(item["name"] for item in ours)] == [
        "istio-proxy",
        "podkeys-init",
        "podkeys-sidecar",
    ]
    assert not [mount for mount in proxy["volumeMounts"] if mount["name"].startswith("podkeys")]


def test_a_pod_that_is_never_restarted_completes_with_its_sidecar() -> None:
    wait_for("the pod to succeed", lambda: status("never")["phase"] == "Succeeded")


def test_a_pod_that_is_never_restarted_outlasts_a_server_that_can_not_be_reached() -> None:
    """Exit code 14 starts init again, and its reason stands in the pod's status."""
    wait_for("init to be started again", lambda: init_of("unreachable").get("restartCount"))
    init = init_of("unreachable")
    ended = init["lastState"].get("terminated") or init["state"]["terminated"]
    assert ended["exitCode"] == 14
    assert ended["message"].startswith("unreachable: https://vault.vault.svc:8200 ")
    assert status("unreachable")["phase"] == "Pending"


def test_a_pod_that_is_never_restarted_fails_at_once_where_waiting_would_not_help() -> None:
    wait_for("the pod to fail", lambda: status("unwritten")["phase"] == "Failed")
    ended = init_of("unwritten")["state"]["terminated"]
    assert ended["exitCode"] == 13
    assert "kv/data/shop/unwritten" in ended["message"]


def refused(made: Json) -> str:
    done = kubectl("create", "-f", "-", stdin=json.dumps(made), check=False)
    assert done.returncode != 0, f"{made['metadata']['name']} was accepted"
    return done.stderr


def test_limits_that_leave_no_room_for_our_containers_are_named() -> None:
    assert "minimum memory usage per Container is 100Mi" in refused(shape("small", "tight"))
    roomy = app(shape("roomy"), resources={"requests": {"cpu": "2"}, "limits": {"cpu": "2"}})
    assert "exceeded quota: limits" in refused(roomy)


def test_a_copy_of_a_running_pod_is_refused_with_what_to_remove() -> None:
    seen("fixed-user", "bounded")
    running = get("pod", "bounded", "fixed-user")
    kept = {key: running["metadata"][key] for key in ("namespace", "annotations")}
    copied = {**running, "metadata": {**kept, "name": "copied"}}
    said = refused(copied)
    assert "this pod already has what Podkeys adds itself, as a copy of an injected pod does; remove" in said
    assert "podkeys-init from initContainers" in said


def debug(name: str, *words: str) -> tuple[int, str]:
    image = ("--image=localhost/podkeys:e2e", "--image-pull-policy=IfNotPresent", "--profile=restricted")
    done = kubectl("-n", "bounded", "debug", name, *image, *words, check=False)
    return done.returncode, done.stderr


def test_a_copy_by_kubectl_debug_is_refused_with_what_to_remove() -> None:
    seen("fixed-user", "bounded")
    code, said = debug(
        "fixed-user", "--copy-to=copy", "--container=app", "--", "/opt/podkeys/bin/python", "-V"
    )
    assert code != 0
    assert "remove podkeys-init from initContainers" in said


def test_kubectl_debug_without_a_target_is_admitted_and_sees_no_files() -> None:
    seen("fixed-user", "bounded")
    look = "import os; print(os.path.exists('/var/run/podkeys'))"
    code, said = debug("fixed-user", "--container=debugger", "--", "/opt/podkeys/bin/python", "-c", look)
    assert code == 0, said
    read = ("-n", "bounded", "logs", "fixed-user", "-c", "debugger")
    assert wait_for("the debugger", lambda: kubectl(*read, check=False).stdout).strip() == "False"
