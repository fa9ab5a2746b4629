"""The model of the server's decision against the server: random policies, and 0 differences.

PODKEYS_COMPARISONS, 20,000 without it, is how many; PODKEYS_SEED another start than 1.
"""

import http
import http.client
import json
import os
import urllib.error
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from demo.openbao import Server
from policies.acl.decide import Operation, Request, decided, shown
from policies.acl.dialects import Dialect
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.acl.stanza import Policy
from tests.policies import random_policies

COMPARISONS = int(os.environ.get("PODKEYS_COMPARISONS", "20000"))
OPERATIONS = {
    "GET": Operation.READ,
    "PUT": Operation.WRITE,
    "DELETE": Operation.DELETE,
    "LIST": Operation.LIST,
    "SCAN": Operation.SCAN,
}


@pytest.fixture
def random() -> Random:
    return Random(int(os.environ.get("PODKEYS_SEED", "1")))  # noqa: S311 - repeatable is what is wanted


def stored(bao: Server, name: str, text: str) -> bool:
    """Whether the server takes the policy. A policy that ends the connection made its parser panic."""
    try:
        bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
    except (urllib.error.HTTPError, http.client.RemoteDisconnected):
        return False
    return True


def read(text: str, name: str, dialect: Dialect) -> Policy | None:
    try:
        return parse_policy(text, name, dialect=dialect, now=datetime.now(UTC))
    except PolicyError:
        return None


def token(bao: Server, names: list[str]) -> str:
    body = {"policies": names, "no_default_policy": True, "type": "batch"}
    found: str = bao.call("POST", "auth/token/create", body)["auth"]["client_token"]
    return found


def accepted(bao: Server, random: Random, dialect: Dialect) -> tuple[list[Policy], list[str]]:
    """Up to three policies that the server and the model take, and the paths of their stanzas."""
    policies: list[Policy] = []
    paths: list[str] = []
    for number in range(random.randint(1, 3)):
        own = [random_policies.path(random) for _ in range(random.randint(1, 6))]
        own += random.sample(paths, min(1, len(paths)))
        text, name = random_policies.policy(random, own, dialect), f"differential-{number}"
        policy = read(text, name, dialect)
        assert stored(bao, name, text) == (policy is not None), text
        if policy:
            policies.append(policy)
            paths += own
    return policies, paths


def test_capabilities_are_what_the_server_says(bao: Server, random: Random, dialect: Dialect) -> None:
    """sys/capabilities is the oracle."""
    compared = 0
    while compared < COMPARISONS:
        policies, paths = accepted(bao, random, dialect)
        if not policies:
            continue
        asked = sorted({random_policies.asked(random, paths) for _ in range(60)} - {""})
        body = {"token": token(bao, [policy.name for policy in policies]), "paths": asked}
        answer = bao.call("POST", "sys/capabilities", body)["data"]
        rules = Rules(policies, dialect=dialect, now=datetime.now(UTC))
        for path in asked:
            assert shown(rules, path) == sorted(answer[path]), (path, policies)
        compared += len(asked)


def test_what_the_server_refuses_to_parse_is_refused_and_nothing_else(
    bao: Server, random: Random, dialect: Dialect
) -> None:
    taken = 0
    for _ in range(COMPARISONS // 4):
        text = random_policies.text(random)
        policy = read(text, "soup", dialect)
        assert stored(bao, "soup", text) == (policy is not None), repr(text)
        taken += policy is not None
    assert taken > COMPARISONS // 40


@pytest.fixture
def plain_mount(bao: Server) -> Iterator[str]:
    bao.call("POST", "sys/mounts/differential", {"type": "kv", "options": {"version": "1"}})
    yield "differential"
    bao.call("DELETE", "sys/mounts/differential")


def test_requests_are_decided_as_the_server_decides_them(
    bao: Server, random: Random, plain_mount: str, dialect: Dialect
) -> None:
    """With parameters, wrapping, pages, and objects that are there or not."""
    connection = http.client.HTTPConnection(bao.address.removeprefix("http://"))
    seen = set()
    for _ in range(COMPARISONS // 200):
        policies = []
        for number in range(random.randint(1, 2)):
            text, name = random_policies.constrained(random, plain_mount, dialect), f"constrained-{number}"
            assert stored(bao, name, text), text
            policies.append(parse_policy(text, name, dialect=dialect))
        rules, own = Rules(policies, dialect=dialect), token(bao, [policy.name for policy in policies])
        for _ in range(20):
            asked = random_policies.request(random, dialect)
            path = f"{plain_mount}/{asked.path}"
            decision = decided(
                rules,
                Request(OPERATIONS[asked.method], path, asked.exists, asked.parameters, asked.wrap_ttl),
            )
            arrange(bao, path, exists=asked.exists)
            assert decision.allowed == allowed(connection, own, path, asked), (asked, decision, policies)
            seen.add(decision.reason.name)
    connection.close()
    expected = {"GRANTED", "CAPABILITY", "DENIED_PARAMETER", "NOT_ALLOWED", "REQUIRED", "WRAPPING"}
    assert seen >= expected | ({"PAGE"} if "pagination_limit" in dialect.attributes else set())


def arrange(bao: Server, path: str, *, exists: bool) -> None:
    if path.endswith("/"):
        return
    if exists:
        bao.call("PUT", path, {"v": "1"})
    else:
        bao.call("DELETE", path)


def allowed(
    connection: http.client.HTTPConnection, own: str, path: str, asked: random_policies.Asked
) -> bool:
    headers = {"X-Vault-Token": own} | ({"X-Vault-Wrap-TTL": str(asked.wrap_ttl)} if asked.wrap_ttl else {})
    url, body = f"/v1/{path}", None
    if asked.method == "PUT":
        body = json.dumps(asked.parameters)
    elif asked.parameters:
        url += "?" + urllib.parse.urlencode(asked.parameters)
    connection.request(asked.method, url, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status != http.HTTPStatus.FORBIDDEN
