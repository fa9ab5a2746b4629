"""Nothing in a folder of policies or role files is left out unseen."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from demo import mounts as demo_mounts
from demo import openbao
from policies.errors import ProblemsError
from policies.review import folder
from policies.review.errors import ReviewError
from policies.roles import folder as roles
from tests import permissions

GRANT = 'path "kv/data/shop" { capabilities = ["read"] }\n'
LOGIN = {"bound_subject": "system:serviceaccount:shop:shop", "token_policies": ["admin"]}


def test_names_in_capital_letters_are_read_as_any_others(tmp_path: Path) -> None:
    """Some systems write them so, and a server takes such a file as any other."""
    (tmp_path / "Admin.HCL").write_text(GRANT)
    (tmp_path / "Other.Json").write_text('{"path": {"kv/data/mail": {"capabilities": ["read"]}}}')
    exported = tmp_path / "auth" / "jwt" / "role" / "shop.JSON"
    exported.parent.mkdir(parents=True)
    exported.write_text(json.dumps({"data": LOGIN}))
    found = folder.read(tmp_path)
    assert list(found.policies) == ["admin", "other"]
    assert [(role.mount, role.name) for role in found.roles] == [("jwt", "shop")]


def test_what_policy_read_prints_as_json_is_the_policy(
    tmp_path: Path, bao: openbao.Server, mounts: demo_mounts.Mounts
) -> None:
    """By the real command: it prints the policy without its name."""
    name = f"printed-{mounts.kv}"
    bao.call("PUT", f"sys/policies/acl/{name}", {"policy": GRANT})
    product = "VAULT" if os.environ.get(openbao.VARIABLE) else "BAO"
    printed = subprocess.run(
        [openbao.binary(), "policy", "read", "-format=json", name],
        env={f"{product}_ADDR": bao.address, f"{product}_TOKEN": bao.root_token, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    bao.call("DELETE", f"sys/policies/acl/{name}")
    (tmp_path / "shop.json").write_bytes(printed.stdout)
    found = folder.read(tmp_path).policies
    assert [(policy.name, policy.text) for policy in found.values()] == [("shop", GRANT.encode())]


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("a.json", {"a": 1}, "JSON with a"),
        ("a.json", {}, "JSON with nothing"),
        ("a.json", ["shop"], "a JSON list"),
        ("role.json", {"data": LOGIN}, "token_policies at a place that isn't theirs"),
        ("prod/auth/jwt/role/shop.json", {"data": LOGIN}, "token_policies at"),
        ("team.json", {"data": {"policies": ["admin"]}}, "policies at"),
        ("old.json", {"data": {"name": "shop", "rules": GRANT}}, "rules at"),
    ],
)
def test_json_that_is_nothing_known_is_refused(tmp_path: Path, name: str, content: object, got: str) -> None:
    """Whatever it gives would be in no answer: an all-clear would be wrong."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ReviewError, match=f"{name}: got {got}.*; save it there, or move it out"):
        folder.read(tmp_path)


def test_what_podkeys_writes_and_what_gives_no_policies_may_stand_beside(tmp_path: Path) -> None:
    for name, content in (
        ("cluster", {"cluster": "eu", "version": 1}),
        ("bundle", {"apiVersion": "podkeys.dev/v1", "kind": "Bundle", "files": {}, "signature": ""}),
        ("pki", {"data": {"allow_any_name": False}}),
        ("auth/ldap/config", {"data": {"url": "ldaps://ldap.example.com", "token_policies": []}}),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert not folder.read(tmp_path).policies


@pytest.mark.parametrize("to", ["elsewhere", "."])
def test_a_link_to_a_folder_is_refused(tmp_path: Path, to: str) -> None:
    """What stands behind it may be on the server, and would be in no answer. One to above would never end."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "admin.hcl").write_text(GRANT)
    base = tmp_path / "policies"
    base.mkdir()
    (base / "shop.hcl").write_text(GRANT)
    (base / "more").symlink_to(tmp_path / to)
    with pytest.raises(
        ReviewError, match=r"policies/more: got a symbolic link to a folder, expected the folder"
    ):
        folder.read(base)


def test_the_folder_that_is_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "shop.hcl").write_text(GRANT)
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert list(folder.read(tmp_path / "here").policies) == ["shop"]


def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(GRANT)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with permissions.held(), pytest.raises(ReviewError, match=r"closed: can't be read: Permission denied"):
        folder.read(tmp_path)


def test_role_files_in_capital_letters_are_read_as_any_others(tmp_path: Path) -> None:
    for name in ("a.yaml", "B.YAML", "c.Yml", "notes.txt"):
        (tmp_path / name).write_text("")
    assert roles.sources(tmp_path) == ("B.YAML", "a.yaml", "c.Yml")
    (tmp_path / "d").symlink_to(tmp_path)
    with pytest.raises(ProblemsError, match="symbolic link"):
        roles.sources(tmp_path)
