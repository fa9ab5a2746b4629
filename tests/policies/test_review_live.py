"""The same questions to a live server, with a token that may read policies and auth roles and nothing else."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest

import podkeys
from demo.mounts import Mounts
from demo.openbao import Server

AUDIT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
READER = re.findall(r"```hcl\n(.*?)```", AUDIT, re.DOTALL)[0]


@pytest.fixture
def reader(bao: Server) -> Iterator[str]:
    """A token of the documented policy."""
    name = f"reader-{uuid.uuid4().hex[:8]}"
    bao.call("PUT", f"sys/policies/acl/{name}", {"policy": READER})
    body = {"policies": [name], "no_default_policy": True, "type": "batch"}
    yield bao.call("POST", "auth/token/create", body)["auth"]["client_token"]
    bao.call("DELETE", f"sys/policies/acl/{name}")


def call(bao: Server, token: str, *arguments: str) -> click.testing.Result:
    words = ["policies", *arguments, "--address", bao.address]
    return click.testing.CliRunner().invoke(podkeys.cli, words, env={"BAO_TOKEN": token})


def test_who_can_asks_the_servers_own_policies_and_roles(bao: Server, mounts: Mounts, reader: str) -> None:
    path = f"{mounts.kv}/data/shop/card"
    bao.call("PUT", "sys/policies/acl/shop-live", {"policy": f'path "{path}" {{ capabilities = ["read"] }}'})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "bound_subject": "system:serviceaccount:shop:shop",
        "token_policies": ["shop-live"],
    }
    bao.call("POST", f"auth/{mounts.jwt}/role/shop", role)
    result = call(bao, reader, "who-can", "read", path, "--json")
    found = {one["subject"]: one for one in json.loads(result.stdout)}  # other tests' policies are there too
    answer = found[f"{mounts.jwt}/shop"]
    assert answer["serviceAccounts"] == [{"namespace": "shop", "name": "shop", "selector": ""}]
    assert answer["by"][0]["file"] == "sys/policies/acl/shop-live"
    assert call(bao, reader, "can", "shop/shop", "read", path).stdout == "yes\n"
    assert call(bao, reader, "can", "shop/shop", "read", "auth/token/lookup-self").stdout == "yes\n", (
        "by default"
    )
    bao.call("DELETE", "sys/policies/acl/shop-live")


def test_a_token_that_may_not_read_is_told_what_it_lacks(bao: Server) -> None:
    body = {"policies": [], "no_default_policy": True, "type": "batch"}
    token = bao.call("POST", "auth/token/create", body | {"policies": ["nothing"]})["auth"]["client_token"]
    result = call(bao, token, "who-can", "read", "a")
    assert result.exit_code == 64
    assert 'path "sys/policies/acl"' in result.stderr


def test_a_server_that_is_not_there_has_its_own_exit_code(bao: Server) -> None:
    words = ["policies", "who-can", "read", "a", "--address", "http://127.0.0.1:1"]
    result = click.testing.CliRunner().invoke(podkeys.cli, words, env={"BAO_TOKEN": bao.root_token})
    assert result.exit_code == 69
