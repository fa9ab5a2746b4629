"""After pods have run: nothing secret stands in etcd or in a log. It runs last, by its name's place in the alphabet."""

import base64
import json
import os
import urllib.request

import pytest

from tests.e2e.installation import NAMESPACE, SECRETS, Installation
from tests.e2e.kubectl import apply, get, kubectl

CANARIES = [value for values in SECRETS.values() for value in values.values()]
MARKS = [*CANARIES, "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY", "hvs.", "hvb."]


def _etcd() -> list[tuple[str, bytes]]:
    """Every key and value, by etcd's JSON gateway."""
    address = os.environ.get("E2E_ETCD", "")
    if not address:
        pytest.skip("no E2E_ETCD (the address of etcd's JSON gateway), so raw etcd can't be read here")
    every = base64.b64encode(b"\0").decode()
    body = json.dumps({"key": every, "range_end": every}).encode()
    with urllib.request.urlopen(f"{address}/v3/kv/range", body, timeout=30) as answer:  # noqa: S310 - the test cluster's
        pairs = json.load(answer)["kvs"]
    return [(base64.b64decode(p["key"]).decode(), base64.b64decode(p.get("value", ""))) for p in pairs]


def _found_in_etcd(marks: list[str]) -> set[str]:
    """Keys that hold a mark; left out are objects that this suite itself put there as Secrets."""
    own = ("/registry/secrets/vault/", "/registry/secrets/podkeys-system/")
    return {
        key
        for key, value in _etcd()
        if not key.startswith(own) and any(mark.encode() in value for mark in marks)
    }


def test_no_secret_token_or_key_stands_in_etcd(installation: Installation) -> None:
    """And the search sees: a value planted as a plain Secret is found."""
    del installation
    assert _found_in_etcd(MARKS) == set()
    planted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted", "namespace": NAMESPACE}}
    apply({**planted, "stringData": {"value": CANARIES[0]}})
    assert _found_in_etcd(MARKS) == {f"/registry/secrets/{NAMESPACE}/planted"}
    kubectl("-n", NAMESPACE, "delete", "secret", "planted")


def test_no_log_of_any_container_holds_a_secret(installation: Installation) -> None:
    del installation
    looked = 0
    for namespace in (NAMESPACE, "podkeys-system"):
        for pod in get("pods", namespace)["items"]:
            name = pod["metadata"]["name"]
            for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
                logs = kubectl("-n", namespace, "logs", name, "-c", container["name"], check=False).stdout
                looked += bool(logs)
                assert [mark for mark in MARKS if mark in logs] == [], f"{name}/{container['name']}"
    assert looked > 0
