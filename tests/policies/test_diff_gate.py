"""Whoever writes the change tries to get more than the gate sees; each of these gives somebody more, and is stopped."""

import json
from pathlib import Path

import click.testing
import pytest

import podkeys

ONE = 'path "kv/a" { capabilities = ["read"] }\n'
ALL = 'path "kv/*" { capabilities = ["read"] }\n'
CLOSED = 'path "kv/b" { capabilities = ["deny"] }\n'
OWN = 'path "kv/{{identity.entity.name}}" { capabilities = ["read"] }\n'
ALICE, EVE = ({"name": name, "mount_path": "auth/userpass/"} for name in ("alice", "eve"))
ENTITY, GROUP, TOKENS = "identity/entity/id/1", "identity/group/id/1", "auth/token/roles/t"


def at(path: str, **data: object) -> dict[str, str]:
    return {"written.json": json.dumps({"path": path, "data": data})}


def jwt(*policies: str, **fields: object) -> dict[str, str]:
    bound = {"bound_subject": "system:serviceaccount:a:b", "token_policies": policies or ["p"]}
    return at(
        "auth/jwt/role/ci", role_type="jwt", user_claim="sub", token_no_default_policy=True, **bound | fields
    )


def kept(text: str, name: str = "p", **settings: object) -> dict[str, str]:
    """As the server shows a policy."""
    return {f"{name}.json": json.dumps({"data": {"name": name, "policy": text, **settings}})}


def controlled(name: str) -> dict[str, str]:
    group = (
        '{ factor "f" { controlled_capabilities = ["read"] identity { group_names = ["g"] approvals = 1 } } }'
    )
    return {f"{name}.hcl": f'path "kv/a" {{ capabilities = ["read"] control_group = {group} }}'}


Files = dict[str, str]
TRIES: dict[str, tuple[Files, Files, str]] = {
    "another client": (jwt(bound_subject="repo:shop"), jwt(bound_subject="repo:evil"), "~ jwt/ci: asks something else"),
    "no secret of a role any more": (
        at("auth/approle/role/x", token_policies=["p"]),
        at("auth/approle/role/x", token_policies=["p"], bind_secret_id=False),
        "~ approle/x: asks something else",
    ),
    "tokens that may be carried away": (jwt(token_strictly_bind_ip=True), jwt(), "~ jwt/ci: asks something else"),
    "a number for a policy": (
        {"5.hcl": ALL} | jwt(), {"5.hcl": ALL} | jwt(token_policies=5), "+ jwt/ci: kv/: gains read",
    ),
    "a login without policies": ({}, jwt(token_policies=[]), "+ jwt/ci: b in a may log in"),
    "a slash before the path": ({}, at("/auth/jwt/role/evil", token_policies=["p"]), "+ jwt/evil: kv/a: gains read"),
    "wider certificates": (
        at("pki/roles/x", allow_any_name=False), at("pki/roles/x", allow_any_name=True), "~ pki/roles/x: is other than before",
    ),
    "wider certificates that look like a catalog": (
        at("pki/roles/x", note=[{"engine": "kv1", "env": False, "path": "kv/x"}]),
        at("pki/roles/x", note=[{"engine": "kv1", "env": False, "path": "kv/x"}], allow_any_name=True),
        "~ pki/roles/x: is other than before",
    ),
    "a login of a method that isn't read": ({}, at("auth/github/map/teams/x", value="p"), "~ auth/github/map/teams/x: is new"),
    "another issuer": (
        at("auth/jwt/config", bound_issuer="a"), at("auth/jwt/config", bound_issuer="b"), "~ auth/jwt/config: is other",
    ),
    "no second factor any more": (at("identity/mfa/login-enforcement/x", name="x"), {}, "~ identity/mfa/login-enforcement/x: is gone"),
    "another person for an entity": (
        at(ENTITY, name="e", aliases=[ALICE]), at(ENTITY, name="e", aliases=[ALICE, EVE]), "+ identity/entity/e: eve at userpass may",
    ),
    "an entity that is called otherwise": (
        at(ENTITY, name="e", metadata={"team": "a"}), at(ENTITY, name="e", metadata={"team": "b"}), "~ identity/entity/e: has other metadata",
    ),
    "an entity that isn't disabled any more": (
        at(ENTITY, name="e", aliases=[ALICE], disabled=True), at(ENTITY, name="e", aliases=[ALICE]), "+ identity/entity/e: alice at userpass may",
    ),
    "another group outside": (
        at(GROUP, name="g", alias=ALICE), at(GROUP, name="g", alias=EVE), "+ identity/group/g: eve at userpass may",
    ),
    "another member": (
        at(GROUP, name="g"), at(GROUP, name="g", member_entity_ids=["1"]), "+ identity/group/g: the entity or group 1 may",
    ),
    "tokens for any entity": (
        at(TOKENS, allowed_policies=["p"]), at(TOKENS, allowed_policies=["p"], allowed_entity_aliases=["*"]), "+ token/t: * may",
    ),
    "tokens for any address": (
        at(TOKENS, allowed_policies=["p"], token_bound_cidrs=["10.0.0.0/8"]), at(TOKENS, allowed_policies=["p"]), "~ token/t: asks",
    ),
    "names that weren't listed": (
        {"l.hcl": 'path "kv/" { capabilities = ["list"] list_scan_response_keys_filter_path = "{{ .key }}" }'},
        {"l.hcl": 'path "kv/" { capabilities = ["list"] }'},
        "~ l: kv/: other limits",
    ),
    "sudo for a listing": (
        {"l.hcl": 'path "x" { capabilities = ["list", "sudo"] }\npath "x/" { capabilities = ["list"] }'},
        {"l.hcl": 'path "x" { capabilities = ["list", "sudo"] }'},
        "+ l: x/: gains sudo",
    ),
    "a policy that stays": (
        kept(ALL, "q", expiration="2099-01-01T00:00:00Z"), kept(ALL, "q"), "+ q: kv/, from 2099-01-01T00:00:00+00:00 on: gains read",
    ),
    "denials that end": (
        kept(ALL, "q") | kept(CLOSED, "r") | jwt("q", "r"),
        kept(ALL, "q") | kept(CLOSED, "r", expiration="2099-01-01T00:00:00Z") | jwt("q", "r"),
        "+ jwt/ci: kv/b, from 2099-01-01T00:00:00+00:00 on: gains read",
    ),
    "templates that may hold slashes": (
        kept(OWN, "q"), kept(OWN, "q", allow_slashes_in_identity_templates=True),
        "+ q: kv/x/x, where identity.entity.name is x/x: gains read",
    ),
    "a template behind a denial": ({"q.hcl": OWN + CLOSED}, {"q.hcl": OWN}, "+ q: kv/b, where identity.entity.name is b: gains read"),
    "no approval, as names are put in order": (
        {"b.hcl": ONE} | controlled("a") | jwt("b", "a"), {"b.hcl": ONE} | controlled("c") | jwt("b", "c"), "~ jwt/ci: kv/a: other limits",
    ),
    "a name that isn't the path's": (
        at("sys/policies/acl/q", name="r", policy=ONE) | {"j.json": jwt("q")["written.json"]},
        at("sys/policies/acl/q", name="r", policy=ALL) | {"j.json": jwt("q")["written.json"]},
        "+ jwt/ci: kv/: gains read",
    ),
    "two that are told apart by their files, and one called so": (
        {"w.json": jwt()["written.json"], "v.json": jwt()["written.json"]},
        {"w.json": jwt()["written.json"], "v.json": jwt("p", "q")["written.json"], "q.hcl": ALL},
        "+ jwt/ci in v.json: kv/: gains read",
    ),
}  # fmt: skip


def gate(top: Path, before: Files, after: Files) -> click.testing.Result:
    for side, files in (("old", before), ("new", after)):
        for name, text in ({"p.hcl": ONE} | files).items():
            (top / side).mkdir(exist_ok=True)
            (top / side / name).write_text(text)
    words = ["policies", "diff", str(top / "old"), str(top / "new"), "--no-new-access"]
    return click.testing.CliRunner().invoke(podkeys.cli, words, standalone_mode=False)


@pytest.mark.parametrize("name", TRIES)
def test_what_somebody_gets_is_told(name: str, tmp_path: Path) -> None:
    before, after, said = TRIES[name]
    result = gate(tmp_path, before, after)
    assert any(line.startswith(said) for line in result.output.splitlines()), result.output
    assert result.return_value == 1


@pytest.mark.parametrize("name", TRIES)
def test_what_stays_gives_nothing(name: str, tmp_path: Path) -> None:
    """A gate that is always red is none."""
    _, after, _ = TRIES[name]
    result = gate(tmp_path, after, after)
    assert (result.output, result.return_value) == ("No change in what anybody can do.\n", 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"m.json": '{"cluster": "east"}'}, at("pki/roles/new", allow_any_name=True)),
        (at("pki/roles/old", allow_any_name=True), {}),
        (jwt(), jwt(token_ttl=60, bound_audiences=[])),
        (kept(ALL, "q"), kept(ALL, "q", expiration="2099-01-01T00:00:00Z")),
        (kept(OWN, "q", allow_slashes_in_identity_templates=True), kept(OWN, "q")),
    ],
)
def test_what_nobody_gets_more_by_is_let_through(before: Files, after: Files, tmp_path: Path) -> None:
    assert gate(tmp_path, before, after).return_value == 0


def test_a_life_that_only_the_day_of_writing_tells_is_refused(tmp_path: Path) -> None:
    result = gate(tmp_path, {}, kept(ALL, "q", ttl="1h"))
    assert isinstance(result.exception, click.ClickException)
    assert "got ttl or another form of expiration" in result.exception.message
