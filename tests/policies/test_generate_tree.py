"""The generated tree on disk: only what changed is written, only what is ours is removed, nothing is followed out."""

from pathlib import Path

import pytest

from policies.errors import TreeError
from policies.generate import run, tree
from tests import permissions
from tests.policies import role_texts
from tests.policies.role_texts import CLUSTER, ROLE


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def where(tmp_path: Path) -> run.Folders:
    found = role_texts.folders(tmp_path, {"payments.yaml": ROLE}, {"east.yaml": CLUSTER})
    role_texts.generate(found)
    return found


def test_a_second_run_writes_nothing(where: run.Folders) -> None:
    before = snapshot(where.out)
    result = role_texts.generate(where)
    assert (result.changed, result.removed, result.unchanged) == ({}, (), len(before))
    assert snapshot(where.out) == before


def test_the_same_files_give_the_same_bytes_whatever_order_they_are_written_in(tmp_path: Path) -> None:
    names = [f"svc-{number}" for number in range(12)]
    trees = []
    for order in (names, names[::-1]):
        roles = {f"{name}.yaml": ROLE.replace("name: payments,", f"name: {name},") for name in order}
        where = role_texts.folders(tmp_path / order[0], roles, {"east.yaml": CLUSTER})
        role_texts.generate(where)
        trees.append({path: content for path, (content, _) in snapshot(where.out).items()})
    assert trees[0] == trees[1]


def test_the_order_of_keys_and_a_comment_change_nothing(where: run.Folders) -> None:
    """The digest is of the parsed role."""
    swapped = ROLE.replace("{name: payments, owner: team-payments}", "{owner: team-payments, name: payments}")
    (where.roles / "payments.yaml").write_text(f"# a comment\n{swapped}\n# another\n")
    assert role_texts.generate(where).changed == {}


def test_another_clusters_lines_change_nothing_here(where: run.Folders) -> None:
    (where.clusters / "west.yaml").write_text(CLUSTER.replace("east", "west"))
    more = "  - {cluster: west, namespace: payments, serviceAccounts: [payments-api]}\n  secrets:"
    (where.roles / "payments.yaml").write_text(ROLE.replace("  secrets:", more))
    changed = role_texts.generate(where).changed
    assert changed
    assert all(path.startswith("west/") for path in changed)


def test_a_role_that_is_gone_takes_its_files_and_folders_with_it(where: run.Folders) -> None:
    (where.roles / "payments.yaml").write_text(ROLE.replace("payments", "refunds"))
    result = role_texts.generate(where)
    assert "east/payments/payments/policy.hcl" in result.removed
    assert "east/catalog/payments.json" in result.removed
    assert not (where.out / "east" / "payments").exists()


def test_files_of_others_stay(where: run.Folders) -> None:
    """By place and by content: a name of our shape alone is not enough to remove a file."""
    others = {
        "README.md": "ours to read",
        "east/payments/payments/notes.txt": "x",
        "east/payments/payments/policy.other.hcl": 'path "x" {}',
        "east/payments/payments/auth.other.json": "[]",
        "east/payments/payments/pki.other.json": "no JSON",
        "west/cluster.json": '{"cluster": "another"}',
        "east/.notes\n::warning::.podkeys-new": "x",
    }
    for path, text in others.items():
        (where.out / path).parent.mkdir(parents=True, exist_ok=True)
        (where.out / path).write_text(text)
    assert role_texts.generate(where).removed == ()
    assert {path: (where.out / path).read_text() for path in others} == others


def test_what_a_killed_run_left_behind_is_removed(where: run.Folders) -> None:
    left = "east/payments/payments/.policy.hcl.podkeys-new"
    (where.out / left).write_text("half")
    assert role_texts.generate(where).removed == (left,)


@pytest.mark.parametrize(
    "link", ["east", "east/payments", "east/payments/payments/policy.hcl", "else\n\x1b[2J"]
)
def test_a_symbolic_link_is_refused_and_never_followed(where: run.Folders, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "policy.hcl").write_text("precious")
    place = where.out / link
    if place.exists():
        place.rename(tmp_path / "moved")
    place.symlink_to(outside / "policy.hcl" if link.endswith(".hcl") else outside)
    with pytest.raises(
        TreeError, match=r"got a symbolic link, expected a plain file or folder; remove it"
    ) as caught:
        role_texts.generate(where)
    assert str(caught.value).isprintable()
    assert snapshot(outside).keys() == {"policy.hcl"}
    assert (outside / "policy.hcl").read_text() == "precious"


def test_a_link_in_the_temporary_files_place_is_not_written_through(
    where: run.Folders, tmp_path: Path
) -> None:
    """Even when it appears after the tree was read."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (where.out / "east" / ".cluster.json.podkeys-new").symlink_to(outside)
    with pytest.raises(TreeError, match="can't be written"):
        tree.write(where.out, {"east/cluster.json": b"{}"}, ())
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("place", ["", "east/cluster.json"])
def test_a_file_where_a_folder_should_be_or_the_other_way_is_said(where: run.Folders, place: str) -> None:
    if place:
        (where.out / place).unlink()
        (where.out / place).mkdir()
    else:
        where.out.rename(where.out.with_name("moved"))
        where.out.write_text("")
    with pytest.raises(TreeError, match=r"expected a folder|can't be written"):
        role_texts.generate(where)


def test_a_read_only_folder_is_said(where: run.Folders) -> None:
    (where.out / "east").chmod(0o500)
    with permissions.held(), pytest.raises(TreeError, match="can't be written: Permission denied"):
        tree.write(where.out, {"east/cluster.json": b"{}"}, ())
