"""What entities, groups and token roles give besides a login: what we say, against tokens of a real server."""

import json
import re
import shutil
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import click.testing
import pytest

import podkeys
from demo import mounts, openbao
from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.apply.server import Server as BaoSession
from policies.apply.server import anywhere, connect
from policies.apply.state import Stored
from policies.review import live
from policies.review.find import named
from policies.review.questions import ask
from policies.review.subjects import Policies, Reading

AUDIT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
READER = re.findall(r"```hcl\n(.*?)```", AUDIT, re.DOTALL)[0]
SELF = 'path "sys/capabilities-self" { capabilities = ["update"] }\n'
_numbers = count()


@dataclass(frozen=True)
class Bench:
    """A server on which `give` makes a policy that reads one path of its own name."""

    server: Server
    names: mounts.Mounts
    reader: str

    @property
    def accessor(self) -> str:
        found: dict[str, dict[str, str]] = self.server.call("GET", "sys/auth")["data"]
        return found[f"{self.names.jwt}/"]["accessor"]

    def give(self, text: str = "") -> str:
        name = f"p{next(_numbers)}"
        text = text or f'path "kv/data/{name}" {{ capabilities = ["read"] }}'
        self.server.call("PUT", f"sys/policies/acl/{name}", {"policy": SELF + text})
        return name

    def role(self, *policies: str, **fields: object) -> str:
        """A jwt role for the service account of its own name in the namespace of that name, unless told otherwise."""
        name = f"r{next(_numbers)}"
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["vault"],
            "bound_subject": f"system:serviceaccount:{name}:{name}",
            "token_policies": policies,
            "token_no_default_policy": True,
        }
        self.server.call("POST", f"auth/{self.names.jwt}/role/{name}", role | fields)
        return name

    def login(self, role: str, account: str = "") -> dict[str, Any]:
        space, _, name = (account or f"{role}/{role}").partition("/")
        body = {"role": role, "jwt": self.names.issuer.token(space, name)}
        found: dict[str, Any] = self.server.call("POST", f"auth/{self.names.jwt}/login", body)["auth"]
        return found

    def group(self, *policies: str, **fields: object) -> tuple[str, str]:
        """Its name and id."""
        name = f"g{next(_numbers)}"
        body = {"name": name, "policies": policies, **fields}
        return name, self.server.call("POST", "identity/group", body)["data"]["id"]

    def external(self, alias: str, *policies: str) -> tuple[str, str]:
        found = self.group(*policies, type="external")
        body = {"name": alias, "mount_accessor": self.accessor, "canonical_id": found[1]}
        self.server.call("POST", "identity/group-alias", body)
        return found

    def ask(self, *arguments: str, token: str = "") -> click.testing.Result:
        words = ["policies", *arguments, "--address", self.server.address]
        given = {"BAO_TOKEN": token or self.reader}
        return click.testing.CliRunner().invoke(podkeys.cli, words, env=given, standalone_mode=False)

    def can(self, subject: str, policy: str) -> str:
        return self.ask("can", subject, "read", f"kv/data/{policy}").stdout.strip()

    def really(self, token: str, *policies: str) -> list[str]:
        """What the server says of the same."""
        paths = [f"kv/data/{policy}" for policy in policies]
        found = self.server.call("POST", "sys/capabilities-self", {"paths": paths}, token=token)["data"]
        return ["yes" if "read" in found[path] else "no" for path in paths]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Entities and groups of all tests of a server are read, so others' would be seen."""
    with openbao.running() as server:
        names = mounts.Mounts("kv", "kv1", "pki", "spiffe", "jwt-east", Issuer())
        mounts.create(server, names)
        server.call("PUT", "sys/policies/acl/reader", {"policy": READER})
        body = {"policies": ["reader"], "no_default_policy": True, "type": "batch"}
        reader = server.call("POST", "auth/token/create", body)["auth"]["client_token"]
        yield Bench(server, names, reader)


def agree(bench: Bench, subject: str, token: str, *policies: str) -> list[str]:
    """Both answers, which are one."""
    server = anywhere(bench.server.address, "", "")
    with connect(server, bench.reader) as session:
        inventory = live.read(session, iter)
    read, meant = Policies(inventory, Reading()), named(inventory, subject)
    may = [any(ask(read, one, "read", f"kv/data/{policy}").may for one in meant) for policy in policies]
    ours = ["yes" if each else "no" for each in may]
    assert ours == bench.really(token, *policies)
    return ours


def test_a_policy_of_its_entity_is_a_service_accounts(bench: Bench) -> None:
    own, more, other = bench.give(), bench.give(), bench.give()
    role = bench.role(own)
    login = bench.login(role)
    bench.server.call("POST", f"identity/entity/id/{login['entity_id']}", {"policies": [more]})
    token = bench.login(role)["client_token"]
    assert agree(bench, f"{role}/{role}", token, own, more, other) == ["yes", "yes", "no"]


def test_policies_of_groups_and_of_groups_around_them_are_their_members(bench: Bench) -> None:
    inner, outer, other = bench.give(), bench.give(), bench.give()
    role = bench.role(bench.give())
    entity = bench.login(role)["entity_id"]
    group, group_id = bench.group(inner, member_entity_ids=[entity])
    around, _ = bench.group(outer, member_group_ids=[group_id])
    bench.group(other)
    token = bench.login(role)["client_token"]
    assert agree(bench, f"{role}/{role}", token, inner, outer, other) == ["yes", "yes", "no"]
    assert f"from group {group} (internal)" in bench.ask("who-can", "read", f"kv/data/{inner}").stdout
    explained = bench.ask("explain", f"{role}/{role}", "read", f"kv/data/{outer}").stdout
    assert f"from group {around} (internal, around another)" in explained
    assert f"kv/data/{inner} [read], from group {group}" in bench.ask("reach", role).stdout


def test_a_claim_puts_service_accounts_into_an_external_group(bench: Bench) -> None:
    """Also before anybody has logged in; not by a role that asks for no claim."""
    more, own = bench.give(), bench.give()
    claim = {"groups_claim": "/kubernetes.io/namespace", "bound_subject": ""}
    spaces = {"bound_claims": {"/kubernetes.io/namespace": ["shop", "web"]}}
    many, plain = (
        bench.role(own, **claim, **spaces),
        bench.role(own, bound_subject="system:serviceaccount:shop:till"),
    )
    group, _ = bench.external("shop", more)
    assert bench.can("shop/anybody", more) == "yes"
    assert bench.can("web/anybody", more) == "no"
    assert bench.can("shop/till", more) == "yes", "by one of its two roles"
    assert bench.can(plain, more) == "no"
    assert bench.really(bench.login(many, "shop/anybody")["client_token"], own, more) == ["yes", "yes"]
    assert bench.really(bench.login(many, "web/anybody")["client_token"], own, more) == ["yes", "no"]
    assert bench.really(bench.login(plain, "shop/till")["client_token"], own, more) == ["yes", "no"]
    [who] = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)[:1]
    assert who["by"][0]["from"] == f"group {group} (external)"


def test_groups_around_an_external_group_give_to_its_members(bench: Bench) -> None:
    """Of whichever mount its alias is, and of no other."""
    own, inner, outer, outermost = (bench.give() for _ in range(4))
    role = bench.role(own, groups_claim="aud")
    _, group = bench.external("vault", inner)
    _, around = bench.group(outer, member_group_ids=[group])
    bench.group(outermost, member_group_ids=[around])
    assert [bench.can(role, policy) for policy in (inner, outer, outermost)] == ["yes"] * 3, (
        "not logged in yet"
    )
    token = bench.login(role)["client_token"]
    assert agree(bench, role, token, inner, outer, outermost) == ["yes"] * 3

    bench.server.call("POST", "sys/auth/jwt-west", {"type": "jwt"})
    fields = {"role_type": "jwt", "user_claim": "sub", "groups_claim": "aud", "bound_audiences": ["vault"]}
    bench.server.call("POST", "auth/jwt-west/role/other", fields | {"token_policies": [own]})
    assert bench.can("jwt-west/other", inner) == "no"


def test_a_claim_that_fits_all_of_a_roles_accounts_is_no_matter_of_some(bench: Bench) -> None:
    more, own = bench.give(), bench.give()
    role = bench.role(own, groups_claim="sub")
    bench.external(f"system:serviceaccount:{role}:{role}", more)
    found = json.loads(bench.ask("who-can", "read", f"kv/data/{more}", "--json").stdout)
    ours = f"{bench.names.jwt}/{role}"
    assert [one["subject"] for one in found if one["subject"].startswith(ours)] == [ours]
    assert agree(bench, role, bench.login(role)["client_token"], own, more) == ["yes", "yes"]


def test_what_a_group_denies_is_denied(bench: Bench) -> None:
    own = bench.give()
    denial = bench.give(f'path "kv/data/{own}" {{ capabilities = ["deny"] }}')
    role = bench.role(own)
    bench.group(denial, member_entity_ids=[bench.login(role)["entity_id"]])
    assert agree(bench, f"{role}/{role}", bench.login(role)["client_token"], own) == ["no"]


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


def test_what_the_token_may_not_read_is_unknown(bench: Bench) -> None:
    """Neither no nor nobody, in any form of an answer; what is allowed stays allowed."""
    own, more = bench.give(), bench.give()
    role = bench.role(own)
    bench.server.call("PUT", "sys/policies/acl/half", {"policy": READER.replace('"identity/group', '"no')})
    body = {"policies": ["half"], "no_default_policy": True}
    token = bench.server.call("POST", "auth/token/create", body)["auth"]["client_token"]
    path = f"kv/data/{more}"
    refused = bench.ask("can", role, "read", path, token=token)
    assert (refused.return_value, refused.stdout) == (1, "unknown\n")
    assert 'its policy lacks: list on "identity/group/id"' in refused.stderr
    assert bench.ask("can", role, "read", f"kv/data/{own}", token=token).stdout == "yes\n"
    nobody = bench.ask("who-can", "delete", "nothing/of/it", token=token)
    assert (nobody.return_value, nobody.stdout.splitlines()[-1]) == (
        0,
        "Nobody can delete nothing/of/it, as far as is known.",
    )
    for words in (("who-can", "delete", "nothing/of/it"), ("can", role, "read", path), ("reach", role)):
        assert "identity/group/id" in bench.ask(*words, "--json", token=token).stdout


@dataclass(frozen=True)
class WithDirectory:
    """A session with the server, as if it had a method that OpenBao's own binary doesn't have."""

    inner: BaoSession

    def read(self, path: str) -> Stored | None:
        found = self.inner.read(path)
        return (
            Stored({**found.fields, "directory/": {"type": "ldap"}})
            if found and path == "sys/auth"
            else found
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        return getattr(self.inner, name)


def test_an_auth_mount_that_is_not_read_is_unknown_where_it_is_asked_who(bench: Bench) -> None:
    with connect(anywhere(bench.server.address, "", ""), bench.reader) as session:
        inventory = live.read(WithDirectory(session), iter)
    assert inventory.unknown == ("who logs in at directory, of the method ldap: not read",)
    assert inventory.identity.unknown == (), "it is nobody's who logs in elsewhere"


def test_policy_tests_fail_where_the_answer_is_not_known(bench: Bench, tmp_path: Path) -> None:
    role = bench.role(bench.give())
    file = tmp_path / "test.yaml"
    denied = f"{{subject: {role}, operation: read, path: kv/data/other, expected: denied}}"
    file.write_text(f"apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n- {denied}\n")
    assert bench.ask("test", str(file)).return_value == 0
    bench.server.call("PUT", "sys/policies/acl/blind", {"policy": READER.replace('"identity/', '"no')})
    body = {"policies": ["blind"], "no_default_policy": True}
    token = bench.server.call("POST", "auth/token/create", body)["auth"]["client_token"]
    asked = bench.ask("test", str(file), token=token)
    assert asked.return_value == 1
    assert "not known, expected denied" in asked.stdout


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


def test_lint_sees_templates_that_may_hold_slashes(bench: Bench) -> None:
    """PK216, which the text of a policy doesn't tell."""
    text = 'path "kv/data/{{identity.entity.metadata.team}}" { capabilities = ["read"] }'
    body = {"policy": text, "allow_slashes_in_identity_templates": True}
    bench.server.call("PUT", "sys/policies/acl/loose", body)
    found = json.loads(bench.ask("lint", "--json").stdout)["findings"]
    bench.server.call("DELETE", "sys/policies/acl/loose")
    assert "sys/policies/acl/loose" in {one["file"] for one in found if one["id"] == "PK216"}


@pytest.mark.parametrize("seed", range(3))
def test_what_logins_get_is_what_we_say(bench: Bench, seed: int) -> None:
    """Of a random nest of groups."""
    random = Random(seed)  # noqa: S311 - a shape of groups, no key
    roles = [bench.role(bench.give()) for _ in range(4)]
    entities = [bench.login(role)["entity_id"] for role in roles]
    policies: list[str] = []
    groups: list[str] = []
    for _ in range(8):
        policies.append(bench.give())
        members = random.sample(entities, random.choice((0, 1, 2)))
        inner = random.sample(groups, min(len(groups), random.choice((0, 1, 2))))
        groups.append(bench.group(policies[-1], member_entity_ids=members, member_group_ids=inner)[1])
    answers = [agree(bench, f"{role}/{role}", bench.login(role)["client_token"], *policies) for role in roles]
    assert {"yes", "no"} == {one for answer in answers for one in answer}
