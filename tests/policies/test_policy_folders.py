"""Nothing in a folder of policies or role files is left out unseen."""

import json
import os
from pathlib import Path

import pytest

from policies.errors import ProblemsError
from policies.review import inventory
from policies.review.errors import ReviewError
from policies.roles import folder as roles

GRANT = 'path "kv/data/shop" { capabilities = ["read"] }\n'
LOGIN = {"bound_subject": "system:serviceaccount:shop:shop", "token_policies": ["admin"]}


def test_names_in_capital_letters_are_read_as_any_others(tmp_path: Path) -> None:
    """Some systems write them so, and a server takes such a file as any other."""
    (tmp_path / "Admin.HCL").write_text(GRANT)
    (tmp_path / "Other.Json").write_text('{"path": {"kv/data/mail": {"capabilities": ["read"]}}}')
    exported = tmp_path / "auth" / "jwt" / "role" / "shop.JSON"
    exported.parent.mkdir(parents=True)
    exported.write_text(json.dumps({"data": LOGIN}))
    found = inventory.read(tmp_path)
    assert list(found.policies) == ["admin", "other"]
    assert [(role.mount, role.name) for role in found.roles] == [("jwt", "shop")]


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
        inventory.read(base)


def test_the_folder_that_is_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "shop.hcl").write_text(GRANT)
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert list(inventory.read(tmp_path / "here").policies) == ["shop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into every folder")
def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(GRANT)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(ReviewError, match=r"closed: can't be read: Permission denied"):
        inventory.read(tmp_path)


def test_role_files_in_capital_letters_are_read_as_any_others(tmp_path: Path) -> None:
    for name in ("a.yaml", "B.YAML", "c.Yml", "notes.txt"):
        (tmp_path / name).write_text("")
    assert roles.sources(tmp_path) == ("B.YAML", "a.yaml", "c.Yml")
    (tmp_path / "d").symlink_to(tmp_path)
    with pytest.raises(ProblemsError, match="symbolic link"):
        roles.sources(tmp_path)
