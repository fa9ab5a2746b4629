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
SHAPES = (
    rf"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)*{LETTERS}{{20}}",
    rf"(?<![\w.-])(?:hv)?[sb]\.{LETTERS}{{24}}",  # the server's tokens: s. and b. of OpenBao, hvs. and hvb. of Vault
    rf"eyJ{LETTERS}{{20,}}\.eyJ{LETTERS}{{20}}",  # service account tokens
)


def marks() -> re.Pattern[bytes]:
    """The canaries, which the installation may have read from its folder, and what keys and tokens look like."""
    canaries = (PLANTED, *(value for values in SECRETS.values() for value in values.values()))
    return re.compile("|".join((*map(re.escape, canaries), *SHAPES)).encode())


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
        pod("crashes", template(EVERYTHING, LOOK + "raise SystemExit(1)")),
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


def betraying() -> Json:
    """A value in the pod, and so in etcd; in its environment, and so in the node's runtime state; and in logs of the past."""
    made = template({}, "import os; print(os.environ['PLANTED'])")
    made["spec"]["containers"][0]["env"] = [{"name": "PLANTED", "value": PLANTED}]
    return pod("betrays", made)


def restarts(name: str, namespace: str) -> int:
    status = get("pod", namespace, name)["status"]
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return sum(item["restartCount"] for item in containers)


def in_etcd() -> set[str]:
    """Keys of etcd whose value holds a mark; left out are the certificates that this suite itself put there."""
    address = os.environ.get("E2E_ETCD", "")
    if not address:
        pytest.skip("no E2E_ETCD (the address of etcd's JSON gateway), so raw etcd can't be read here")
    every = base64.b64encode(b"\0").decode()
    body = json.dumps({"key": every, "range_end": every}).encode()
    with urllib.request.urlopen(f"{address}/v3/kv/range", body, timeout=30) as answer:  # noqa: S310 - the test cluster's
        pairs = json.load(answer)["kvs"]
    values = {base64.b64decode(p["key"]).decode(): base64.b64decode(p.get("value", "")) for p in pairs}
    own = ("/registry/secrets/vault/", f"/registry/secrets/{WEBHOOK}/")
    return {key for key, value in values.items() if not key.startswith(own) and found_in(value)}


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
        "fails/podkeys-init --previous=true",
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
