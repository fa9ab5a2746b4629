"""After pods have run: nothing secret stands in etcd, in a log, or in the node's runtime state but what is documented.

It runs last, by its name's place in the alphabet. Pods of its own are there while it looks: one that runs, one that is done, one
that crashes, one whose init container fails; and one that betrays a planted value in each place, so that the search is known to see.
"""

import base64
import json
import os
import re
import secrets
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.installation import NAMESPACE, NAMESPACES, SECRETS, WEBHOOK, Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.tokens import log_in, token_of
from tests.e2e.workloads import EVERYTHING, LOOK, pod, seen, template

PLANTED = f"canary-{secrets.token_hex(12)}"
LETTERS = r"[A-Za-z0-9_-]"
CRASH = """
import pathlib, time
mark = pathlib.Path("/mark/crashed")
if not mark.exists():
    mark.touch()
    raise SystemExit(1)
time.sleep(3600)
"""
SHAPES = (
    rf"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)*{LETTERS}{{20}}",
    rf"(?<![\w.-])(?:hv)?[sb]\.{LETTERS}{{24}}",  # the server's tokens: s. and b. of OpenBao, hvs. and hvb. of Vault
    rf"eyJ{LETTERS}{{20,}}\.eyJ{LETTERS}{{20}}",  # service account tokens
)


def canaries() -> set[str]:
    """When it is asked for: the installation may have read them from its folder."""
    return {PLANTED, *(value for values in SECRETS.values() for value in values.values())}


def marks() -> re.Pattern[bytes]:
    """Canaries, and what keys and tokens look like."""
    return re.compile("|".join((*map(re.escape, sorted(canaries())), *SHAPES)).encode())


def found_in(content: bytes) -> set[str]:
    return {mark.decode() for mark in marks().findall(content)}


def test_the_search_knows_keys_and_tokens_when_it_sees_them(installation: Installation) -> None:
    jwt = token_of(get("pod", NAMESPACE, "runs"))
    token = log_in(installation, jwt, "podkeys.shop.shop.shop").body["auth"]["client_token"]
    service = installation.call("POST", "auth/token/create", {"ttl": "1m"})["auth"]["client_token"]
    key = (installation.folder / "tls.key").read_text()
    for text in (jwt, token, service, key, json.dumps(key)):
        assert found_in(f"x={text}".encode()), f"{text[:8]}… is not known"


@pytest.fixture(scope="module", autouse=True)
def witnesses(installation: Installation) -> Iterator[None]:
    del installation
    pods = [
        pod("runs", template(EVERYTHING, LOOK + "time.sleep(3600)")),
        pod("done", template(EVERYTHING, LOOK, restartPolicy="Never")),
        crashing("crashes", EVERYTHING, LOOK),
        pod(
            "fails",
            template({"inject": "true", "secrets": "unwritten"}, serviceAccountName="shapes"),
            "bounded",
        ),
        betraying(),
    ]
    try:
        apply(*pods)
        seen("runs")
        wait_for("a pod to be done", lambda: get("pod", NAMESPACE, "done")["status"]["phase"] == "Succeeded")
        for name, namespace in (("crashes", NAMESPACE), ("betrays", NAMESPACE), ("fails", "bounded")):
            wait_for(f"a restart in {name}", partial(restarts, name, namespace))
        yield
    finally:
        for namespace in (NAMESPACE, "bounded"):
            names = [item["metadata"]["name"] for item in pods if item["metadata"]["namespace"] == namespace]
            kubectl("-n", namespace, "delete", "pod", *names, "--ignore-not-found")


def crashing(name: str, annotations: dict[str, str], script: str) -> Json:
    """A pod whose app ends once and is restarted, so that its first log stays as that of the run before."""
    made = template(annotations, script + CRASH, volumes=[{"name": "mark", "emptyDir": {}}])
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "mark", "mountPath": "/mark"}]
    return pod(name, made)


def betraying() -> Json:
    """A value in the pod, and so in etcd; in its environment, and so in the node's runtime state; and in logs of the past."""
    made = crashing("betrays", {}, "import os\nprint(os.environ['PLANTED'], flush=True)")
    made["spec"]["containers"][0]["env"] = [{"name": "PLANTED", "value": PLANTED}]
    return made


def restarts(name: str, namespace: str) -> int:
    status = get("pod", namespace, name)["status"]
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return sum(item["restartCount"] for item in containers)


def is_others(key: str) -> bool:
    """A Secret where no pod is injected: with the key of the server, of the webhook, or of something else in the cluster."""
    pods_run = NAMESPACES.keys() - {WEBHOOK}
    return key.startswith("/registry/secrets/") and key.split("/")[3] not in pods_run


def in_etcd() -> set[str]:
    """Keys of etcd whose value holds a mark; in others' Secrets, only canaries count."""
    address = os.environ.get("E2E_ETCD", "")
    if not address:
        pytest.skip("no E2E_ETCD (the address of etcd's JSON gateway), so raw etcd can't be read here")
    every = base64.b64encode(b"\0").decode()
    body = json.dumps({"key": every, "range_end": every}).encode()
    with urllib.request.urlopen(f"{address}/v3/kv/range", body, timeout=30) as answer:  # noqa: S310 - the test cluster's
        pairs = json.load(answer)["kvs"]
    values = {base64.b64decode(p["key"]).decode(): base64.b64decode(p.get("value", "")) for p in pairs}
    found = {key: found_in(value) for key, value in values.items()}
    return {key for key, held in found.items() if (held & canaries() if is_others(key) else held)}


def test_no_secret_token_or_key_stands_in_etcd(installation: Installation) -> None:
    """Invariant: no secret reaches etcd. What is planted in a pod and in a plain Secret is found, and nothing else."""
    del installation
    plain = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted", "namespace": NAMESPACE}}
    apply({**plain, "stringData": {"value": PLANTED}})
    try:
        found = in_etcd()
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", "planted")
    assert found == {f"/registry/pods/{NAMESPACE}/betrays", f"/registry/secrets/{NAMESPACE}/planted"}


def logs() -> Iterator[tuple[str, str]]:
    """The log of every container of our namespaces and of the server, and of each one's run before."""
    for namespace in (*NAMESPACES, "vault"):
        for item in get("pods", namespace)["items"]:
            name, spec = item["metadata"]["name"], item["spec"]
            kinds = ("initContainers", "containers", "ephemeralContainers")
            for container in (entry["name"] for kind in kinds for entry in spec.get(kind, [])):
                for which in ("--previous=false", "--previous=true"):
                    words = ("-n", namespace, "logs", name, "-c", container, which)
                    yield f"{name}/{container} {which}", kubectl(*words, check=False).stdout


def test_no_log_of_any_container_holds_a_secret_token_or_key(installation: Installation) -> None:
    """Invariant: no secret in a log, be it of a container that runs, that is done, or that ran before a restart."""
    del installation
    everything = {where: text for where, text in logs() if text}
    expected = {
        "runs/podkeys-init --previous=false",
        "done/podkeys-init --previous=false",
        "crashes/app --previous=true",
        "fails/podkeys-init --previous=false",
    }
    assert expected <= everything.keys()
    found = {where for where, text in everything.items() if found_in(text.encode())}
    assert "betrays/app --previous=true" in found
    assert {where for where in found if not where.startswith("betrays/app ")} == set()


def state_files(state: Path) -> Iterator[Path]:
    """Without what images bring: their archives, and the folders for programs in what was unpacked of them."""
    for folder, folders, files in os.walk(state):
        if Path(folder).name == "fs":
            folders[:] = [name for name in folders if name not in ("usr", "opt")]
        folders[:] = [name for name in folders if name not in ("rootfs", "io.containerd.content.v1.content")]
        yield from (
            path
            for path in (Path(folder, name) for name in files)
            if path.is_file() and not path.is_symlink()
        )


def test_the_nodes_runtime_state_holds_no_secret_but_environment_variables(
    installation: Installation,
) -> None:
    """Invariant: files never touch a disk. Variables do, as docs/role-file.md says of `env`."""
    del installation
    state = os.environ.get("E2E_NODE_STATE", "")
    if not state:
        pytest.skip(
            "no E2E_NODE_STATE (the folder of a node's container runtime), so it can't be searched here"
        )
    found: dict[str, set[str]] = {}
    for path in state_files(Path(state)):
        for mark in found_in(path.read_bytes()):
            found.setdefault(mark, set()).add(str(path))
    assert found.keys() == {PLANTED, SECRETS["shop/mail"]["password"]}, found
