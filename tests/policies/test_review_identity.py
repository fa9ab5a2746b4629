"""What entities and token roles give besides a login: what we say, against tokens of a real server."""

import json
import shutil
import urllib.error
from pathlib import Path

import click.testing
import pytest

import podkeys
from tests.policies.identity_bench import Bench, agree


def test_a_policy_of_its_entity_is_a_service_accounts(bench: Bench) -> None:
    own, more, other = bench.give(), bench.give(), bench.give()
    role = bench.role(own)
    login = bench.login(role)
    bench.server.call("POST", f"identity/entity/id/{login['entity_id']}", {"policies": [more]})
    token = bench.login(role)["client_token"]
    assert agree(bench, f"{role}/{role}", token, own, more, other) == ["yes", "yes", "no"]


def test_nobody_logs_in_as_a_disabled_entity(bench: Bench) -> None:
    more = bench.give()
    role = bench.role(bench.give())
    entity = bench.login(role)["entity_id"]
    bench.server.call("POST", f"identity/entity/id/{entity}", {"policies": [more], "disabled": True})
    assert bench.can(role, more) == "no"


def test_a_person_with_an_entity_is_shown_as_that(bench: Bench) -> None:
    """Of a method whose users are read, and of one whose users aren't."""
    more = bench.give()
    bench.server.call("POST", "sys/auth/userpass", {"type": "userpass"})
    bench.server.call(
        "POST", "auth/userpass/users/alice", {"password": "x", "token_policies": [bench.give()]}
    )
    login = bench.server.call("POST", "auth/userpass/login/alice", {"password": "x"})["auth"]
    bench.server.call(
        "POST", f"identity/entity/id/{login['entity_id']}", {"policies": [more], "name": "alice-smith"}
    )
    token = bench.server.call("POST", "auth/userpass/login/alice", {"password": "x"})["auth"]["client_token"]
    assert agree(bench, "userpass/alice", token, more) == ["yes"]
    assert bench.can("alice-smith", more) == "yes"
    [found] = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)
    assert (found["subject"], found["by"][0]["from"]) == ("userpass/alice", "entity alice-smith")

    bench.server.call("DELETE", "auth/userpass/users/alice")
    [found] = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)
    assert (found["subject"], found["who"]) == ("identity/entity/alice-smith", "alice at userpass")


def test_a_token_role_gives_what_whoever_uses_it_has_not(bench: Bench) -> None:
    """One that only forbids some policies gives all others; one that says nothing gives a part of what its user has."""
    one, two, three = bench.give(), bench.give(), bench.give()
    roles: dict[str, dict[str, object]] = {
        "listed": {"allowed_policies": [one]},
        "globbed": {"allowed_policies_glob": [f"{one}*", f"*{two}"], "disallowed_policies": [two]},
        "all-but-one": {"disallowed_policies": [two]},
        "parents-own": {},
    }
    for name, fields in roles.items():
        bench.server.call("POST", f"auth/token/roles/{name}", fields)
    using = bench.give('path "auth/token/create/*" { capabilities = ["update"] }')
    user = bench.server.call("POST", "auth/token/create", {"policies": [using]})["auth"]["client_token"]

    def makes(role: str, policy: str) -> str:
        try:
            bench.server.call("POST", f"auth/token/create/{role}", {"policies": [policy]}, token=user)
        except urllib.error.HTTPError:
            return "no"
        return "yes"

    asked = [(role, policy) for role in roles for policy in (one, two, three)]
    told = [bench.can(f"token/{role}", policy) or "no" for role, policy in asked]
    assert told == [makes(*each) for each in asked]
    shown = bench.ask("who-can", "read", f"kv/data/{one}").stdout
    assert "token/listed\n    whoever may update auth/token/create/listed\n" in shown


def test_a_token_role_for_an_entity_gives_what_the_entity_has(bench: Bench) -> None:
    more = bench.give()
    fields = {"allowed_policies": [bench.give()], "allowed_entity_aliases": ["build-*"]}
    bench.server.call("POST", "auth/token/roles/builds", fields)
    entity = bench.server.call("POST", "identity/entity", {"name": "builder", "policies": [more]})["data"][
        "id"
    ]
    accessor = bench.server.call("GET", "sys/auth")["data"]["token/"]["accessor"]
    alias = {"name": "build-1", "mount_accessor": accessor, "canonical_id": entity}
    bench.server.call("POST", "identity/entity-alias", alias)
    made = bench.server.call("POST", "auth/token/create/builds", {"entity_alias": "build-1"})["auth"]
    assert agree(bench, "token/builds", made["client_token"], more) == ["yes"]


def test_a_folder_of_what_the_server_answers_says_the_same(bench: Bench, tmp_path: Path) -> None:
    own, more = bench.give(), bench.give()
    role = bench.role(own)
    entity = bench.login(role)["entity_id"]
    group, group_id = bench.group(more, member_entity_ids=[entity])
    bench.server.call("POST", "auth/token/roles/exported", {"allowed_policies": [more]})
    for path in (
        f"auth/{bench.names.jwt}/role/{role}",
        f"identity/entity/id/{entity}",
        f"identity/group/id/{group_id}",
        "auth/token/roles/exported",
        f"sys/policies/acl/{own}",
        f"sys/policies/acl/{more}",
    ):
        file = tmp_path / f"{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bench.server.call("GET", path)))
    words = ["policies", "who-can", "read", f"kv/data/{more}", "--policies", str(tmp_path), "--json"]
    found = json.loads(click.testing.CliRunner().invoke(podkeys.cli, words).stdout)
    assert [(one["subject"], one["by"][0]["from"]) for one in found] == [
        (f"{bench.names.jwt}/{role}", f"group {group} (internal)"),
        ("token/exported", ""),
    ]


def test_what_would_allow_it_is_no_change_of_anothers_role_file(tmp_path: Path) -> None:
    generated = Path(__file__).parents[2] / "deploy" / "example" / "generated"
    shutil.copytree(generated, tmp_path / "generated")
    alias = {
        "mount_path": "auth/jwt-eu-nl-prod-a/",
        "mount_type": "jwt",
        "name": "system:serviceaccount:payments:payments-api",
    }
    entity = {"name": "e", "policies": ["podkeys.eu-nl-prod-a.web.storefront"], "aliases": [alias]}
    file = tmp_path / "generated" / "identity" / "entity" / "id" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"data": entity}))

    def advice(path: str) -> str:
        where = ("--policies", str(tmp_path / "generated"))
        words = ["policies", "explain", "payments/payments-api", "read", path, *where]
        return click.testing.CliRunner().invoke(podkeys.cli, words).stdout

    assert "in roles/payments.yaml, under spec.secrets: - {name: x, path: kv/x}" in advice("kv/data/x")
    assert "in roles/payments.yaml" in advice("pki-eu-nl-prod-a/sign/podkeys.web.storefront.serving")


@pytest.mark.openbao_only("HashiCorp Vault has no setting of a policy for what its templates may hold")
def test_lint_sees_templates_that_may_hold_slashes(bench: Bench) -> None:
    """PK216, which the text of a policy doesn't tell."""
    text = 'path "kv/data/{{identity.entity.metadata.team}}" { capabilities = ["read"] }'
    body = {"policy": text, "allow_slashes_in_identity_templates": True}
    bench.server.call("PUT", "sys/policies/acl/loose", body)
    found = json.loads(bench.ask("lint", "--json").stdout)["findings"]
    bench.server.call("DELETE", "sys/policies/acl/loose")
    assert "sys/policies/acl/loose" in {one["file"] for one in found if one["id"] == "PK216"}
