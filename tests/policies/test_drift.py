"""`podkeys policies drift` against a server of its own, on which the example has been applied."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest

import podkeys
from demo import openbao
from demo.openbao import Server

GENERATED = Path(__file__).parents[2] / "deploy" / "example" / "generated"
CLUSTER = "eu-nl-prod-a"
POLICY = "podkeys.eu-nl-prod-a.payments.payments"
ROLE = "jwt-eu-nl-prod-a/podkeys.payments.payments.payments-api"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """All policies of the server are looked at, so other tests' would be seen."""
    with openbao.running() as found:
        found.call("POST", f"sys/auth/jwt-{CLUSTER}", {"type": "jwt"})
        for file in sorted((GENERATED / CLUSTER).rglob("*")):
            if file.suffix == ".hcl":
                name = next(line for line in file.read_text().splitlines() if line.startswith("# policy: "))[
                    10:
                ]
                found.call("PUT", f"sys/policies/acl/{name}", {"policy": file.read_text()})
            elif file.name.startswith("auth."):
                role = json.loads(file.read_text())
                found.call("POST", role["path"], role["data"])
        yield found


def drift(server: Server, folder: Path) -> tuple[int, list[dict[str, object]]]:
    words = ["policies", "drift", "--address", server.address, "--policies", str(folder), "--json"]
    result = click.testing.CliRunner().invoke(
        podkeys.cli, words, env={"BAO_TOKEN": server.root_token}, standalone_mode=False
    )
    return result.return_value, json.loads(result.stdout)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    shutil.copytree(GENERATED / CLUSTER, tmp_path / CLUSTER)
    return tmp_path / CLUSTER


def test_a_server_that_was_applied_to_has_not_drifted(server: Server, files: Path) -> None:
    assert drift(server, files) == (0, [])


def test_what_is_only_on_one_side_is_told(server: Server, files: Path) -> None:
    server.call("PUT", "sys/policies/acl/by-hand", {"policy": 'path "kv/*" { capabilities = ["read"] }'})
    (files / "payments" / "payments" / "auth.payments-api.json").unlink()
    (files / "new.hcl").write_text("")
    code, found = drift(server, files)
    server.call("DELETE", "sys/policies/acl/by-hand")
    assert code == 1
    assert [(one["kind"], one["name"], one["what"]) for one in found] == [
        ("policy", "by-hand", "is on the server and in no file"),
        ("policy", "new", "is not on the server; new.hcl says it"),
        ("auth role", ROLE, "is on the server and in no file"),
        (
            "policy",
            "by-hand",
            "is named by no auth role, entity, group or token role; a token that somebody made may have it",
        ),
    ]


def test_another_text_of_the_same_meaning_is_no_other_access(server: Server, files: Path) -> None:
    policy = files / "payments" / "payments" / "policy.hcl"
    policy.write_text(policy.read_text() + "\n# a comment\n")
    code, [found] = drift(server, files)
    assert (code, found["what"]) == (0, "has another text on the server, of the same meaning")


def test_a_policy_as_the_servers_own_command_exports_it_is_the_same(server: Server, files: Path) -> None:
    """`bao policy read` prints a line's end after the policy's own."""
    policy = files / "payments" / "payments" / "policy.hcl"
    policy.write_text(policy.read_text() + "\n")
    assert drift(server, files) == (0, [])


def test_a_policy_that_was_widened_by_hand_is_told_with_a_path(server: Server, files: Path) -> None:
    policy = files / "payments" / "payments" / "policy.hcl"
    policy.write_text(
        policy.read_text().replace('path "kv/data/payments/stripe" {\n  capabilities = ["read"]\n}\n', "")
    )
    code, [found] = drift(server, files)
    assert (code, found["name"]) == (1, POLICY)
    assert found["what"] == "differs: 1 gains, 0 losses on the server, such as at kv/data/payments/stripe"


def test_a_login_that_was_opened_by_hand_is_told(server: Server, files: Path) -> None:
    file = files / "payments" / "payments" / "auth.payments-api.json"
    role = json.loads(file.read_text())
    wider = role["data"] | {
        "bound_subject": "system:serviceaccount:web:storefront",
        "token_policies": [POLICY, "gone"],
    }
    server.call("POST", role["path"], wider)
    code, found = drift(server, files)
    server.call("POST", role["path"], role["data"])
    assert code == 1
    assert {one["name"] for one in found} == {ROLE, f"{POLICY}.payments-api"}
    told = " ".join(str(one["what"]) for one in found)
    assert f"gives {POLICY}, gone, the files say {POLICY}, {POLICY}.payments-api" in told
    assert "is for storefront in web, the files say payments-api in payments" in told
    assert "names the policy gone, which isn't there" in told


@pytest.fixture
def entity(server: Server) -> Iterator[str]:
    """Of payments-api in payments, as its first login makes it."""
    found = server.call("POST", "identity/entity", {"name": "payments-api"})["data"]["id"]
    accessor = server.call("GET", "sys/auth")["data"][f"jwt-{CLUSTER}/"]["accessor"]
    alias = {"name": "system:serviceaccount:payments:payments-api", "mount_accessor": accessor}
    server.call("POST", "identity/entity-alias", alias | {"canonical_id": found})
    yield found
    server.call("DELETE", f"identity/entity/id/{found}")


def test_what_entities_and_groups_give_to_accounts_of_the_tree_is_told(
    server: Server, files: Path, entity: str
) -> None:
    other = "podkeys.eu-nl-prod-a.web.storefront"
    assert drift(server, files) == (0, []), "an entity that gives nothing is none of its matter"
    server.call("POST", f"identity/entity/id/{entity}", {"policies": [other]})
    server.call(
        "POST", "identity/group", {"name": "all-shops", "policies": ["gone"], "member_entity_ids": [entity]}
    )
    code, found = drift(server, files)
    server.call("DELETE", "identity/group/name/all-shops")
    assert code == 1
    assert [(one["kind"], one["name"], one["what"], one["access"]) for one in found] == [
        ("entity", "payments-api", f"gives {other} to {ROLE}; no file says so", True),
        (
            "group",
            "all-shops",
            "names the policy gone, which isn't there: whoever may write it decides what it gives",
            False,
        ),
    ]


def test_a_group_in_a_file_is_no_drift_until_it_gives_to_others(
    server: Server, files: Path, entity: str
) -> None:
    body = {
        "name": "all-shops",
        "policies": ["podkeys.eu-nl-prod-a.web.storefront"],
        "member_entity_ids": [entity],
    }
    group = server.call("POST", "identity/group", body)["data"]["id"]
    for path in (f"identity/group/id/{group}", f"identity/entity/id/{entity}"):
        file = files / f"{path}.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(server.call("GET", path)))
    same = drift(server, files)
    server.call("DELETE", "identity/group/name/all-shops")
    assert same == (0, [])
    code, [found] = drift(server, files)
    assert (code, found["kind"]) == (1, "group")
    assert str(found["what"]).endswith(f"to {ROLE}, as the files say")


def test_a_token_role_that_gives_policies_of_the_tree_is_told(server: Server, files: Path) -> None:
    server.call(
        "POST", "auth/token/roles/helpers", {"allowed_policies": [POLICY], "token_no_default_policy": True}
    )
    code, [found] = drift(server, files)
    server.call("DELETE", "auth/token/roles/helpers")
    assert (code, found["kind"], found["name"]) == (1, "token role", "helpers")
    told = f"gives {POLICY} to whoever may update auth/token/create/helpers; the files say nothing"
    assert found["what"] == told


def test_what_may_not_be_read_is_drift_that_nobody_knows_of(server: Server, files: Path) -> None:
    text = "\n".join(
        f'path "{path}" {{ capabilities = ["read", "list"] }}'
        for path in ("sys/policies/acl", "sys/policies/acl/+", "sys/auth", "auth/+/role/", "auth/+/role/+")
    )
    server.call("PUT", "sys/policies/acl/reader", {"policy": text})
    made = server.call("POST", "auth/token/create", {"policies": ["reader"]})["auth"]["client_token"]
    words = ["policies", "drift", "--address", server.address, "--policies", str(files)]
    result = click.testing.CliRunner().invoke(
        podkeys.cli, words, env={"BAO_TOKEN": made}, standalone_mode=False
    )
    server.call("DELETE", "sys/policies/acl/reader")
    assert result.return_value == 1
    assert "! unknown what is below identity/entity/id gives: LIST" in result.stdout
