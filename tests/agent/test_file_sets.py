"""Files that readers find whole, whatever stands in the folder and however full it is."""

import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.files import Entry, path_problem, read_set, write_file, write_set

Maker = Callable[[], object]

ONE = {"secrets/a": Entry(b"1", 0o440), "certs/s/tls.crt": Entry(b"c", 0o400)}
TWO = {"secrets/a": Entry(b"2", 0o440), "certs/s/tls.crt": Entry(b"d", 0o400)}


def sets(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("..[0-9]*"))


def test_readers_find_files_under_top_level_links_with_their_modes(tmp_path: Path) -> None:
    assert write_set(str(tmp_path), ONE, 10**18)
    assert (tmp_path / "secrets").readlink() == Path("..data/secrets")
    assert (tmp_path / "secrets/a").read_bytes() == b"1"
    assert stat.S_IMODE((tmp_path / "certs/s/tls.crt").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "..data/certs").stat().st_mode) == 0o755
    assert read_set(str(tmp_path)) == ONE


def test_the_links_stand_in_a_folder_where_linux_lets_every_user_follow_them(tmp_path: Path) -> None:
    """With fs.protected_symlinks, the usual setting, nobody may in one that is sticky and open to all."""
    tmp_path.chmod(0o1777)
    write_set(str(tmp_path / "files"), ONE, 10**18)
    folder = (tmp_path / "files").stat()
    assert folder.st_uid == (tmp_path / "files/..data").lstat().st_uid
    assert stat.S_IMODE(folder.st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_unchanged_bytes_are_not_swapped(tmp_path: Path) -> None:
    write_set(str(tmp_path), ONE, 10**18)
    before = (tmp_path / "..data").readlink()
    assert not write_set(str(tmp_path), ONE, 10**18 + 1)
    assert (tmp_path / "..data").readlink() == before


def test_one_previous_set_is_kept(tmp_path: Path) -> None:
    for number in range(4):
        write_set(str(tmp_path), {"secrets/a": Entry(str(number).encode(), 0o440)}, 10**18 + number)
    kept = sets(tmp_path)
    assert [(tmp_path / name / "secrets/a").read_text() for name in kept] == ["2", "3"]


def test_a_name_that_the_set_has_no_more_is_taken_away(tmp_path: Path) -> None:
    write_set(str(tmp_path), ONE, 10**18)
    write_set(str(tmp_path), {"secrets/a": Entry(b"3", 0o440)}, 10**18 + 1)
    assert not os.path.lexists(tmp_path / "certs")


@pytest.mark.parametrize("name", ["..data", "secrets"])
@pytest.mark.parametrize("kind", ["folder", "file", "fifo", "link"])
def test_what_someone_else_made_is_refused_and_never_written_through(
    tmp_path: Path, name: str, kind: str
) -> None:
    folder, outside = tmp_path / "files", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    made: dict[str, Maker] = {
        "folder": (folder / name).mkdir,
        "file": lambda: (folder / name).write_text("x"),
        "fifo": lambda: os.mkfifo(folder / name),
        "link": lambda: (folder / name).symlink_to(outside),
    }
    made[kind]()
    with pytest.raises(AgentError) as caught:
        write_set(str(folder), ONE, 10**18)
    assert caught.value.name == "volume"
    assert "which Podkeys did not make" in caught.value.line
    assert list(outside.iterdir()) == []


def test_a_set_with_a_hard_link_in_it_is_not_taken_for_ours(tmp_path: Path) -> None:
    write_set(str(tmp_path), ONE, 10**18)
    os.link(tmp_path / "secrets/a", tmp_path / "elsewhere")
    assert read_set(str(tmp_path)) == {}


def test_a_link_within_a_set_is_not_followed(tmp_path: Path) -> None:
    write_set(str(tmp_path), ONE, 10**18)
    (tmp_path / "..data/secrets/a").unlink()
    (tmp_path / "..data/secrets/a").symlink_to("/etc/hostname")
    assert read_set(str(tmp_path)) == {}


def test_leftovers_of_a_killed_writer_are_cleared(tmp_path: Path) -> None:
    write_set(str(tmp_path), ONE, 10**18)
    half = tmp_path / "..1000000001.000000000/secrets"
    half.mkdir(parents=True)
    (half / "a").write_text("half")
    (tmp_path / "..data_tmp").symlink_to("..1000000001.000000000")
    write_set(str(tmp_path), TWO, 10**18 + 7)
    assert len(sets(tmp_path)) == 2
    assert read_set(str(tmp_path)) == TWO


def test_one_file_is_replaced_by_rename_and_left_when_equal(tmp_path: Path) -> None:
    assert write_file(str(tmp_path), "variables", b"A='1'\n", 0o400)
    first = (tmp_path / "variables").stat()
    assert not write_file(str(tmp_path), "variables", b"A='1'\n", 0o400)
    assert (tmp_path / "variables").stat().st_ino == first.st_ino
    assert write_file(str(tmp_path), "variables", b"A='2'\n", 0o400)
    assert stat.S_IMODE((tmp_path / "variables").stat().st_mode) == 0o400
    assert list(tmp_path.iterdir()) == [tmp_path / "variables"]


def test_a_link_in_place_of_the_environment_file_is_replaced_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    (tmp_path / "env").mkdir()
    (tmp_path / "env/variables").symlink_to(target)
    write_file(str(tmp_path / "env"), "variables", b"A='1'\n", 0o400)
    assert target.read_text() == "theirs"
    assert not (tmp_path / "env/variables").is_symlink()


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "..data/x", "..", ".", "a\nb", "a\0b", "x" * 256],
)
def test_a_path_outside_the_folder_is_refused(path: str) -> None:
    assert path_problem(path)


@pytest.mark.parametrize("path", ["a", "secrets/db.json", "certs/serving/tls.crt", ".env", "a..b", "é"])
def test_plain_relative_paths_are_accepted(path: str) -> None:
    assert path_problem(path) == ""


MOUNTED = """
import os, subprocess, sys
from agent.errors import AgentError
from agent.files import Entry, read_set, write_file, write_set
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=1777", "none", folder], check=True)
old = {"secrets/a": Entry(b"old", 0o440)}
assert write_set(folder, old, 10**18)
write_file(folder, "variables", b"A='1'", 0o400)
"""


def mounted(folder: Path, script: str) -> str:
    """Run within a mount namespace of its own, where `folder` is a small memory volume as in a pod."""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", MOUNTED + textwrap.dedent(script), folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip(
            "THIS MACHINE ALLOWS NO MOUNT NAMESPACE: the full and the read-only volume are NOT tested"
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_volume_is_said_and_the_old_set_stays_whole(tmp_path: Path) -> None:
    """Nothing half-written is left, and room that the attempt took is given back."""
    output = mounted(
        tmp_path,
        """
        big = {"secrets/a": Entry(b"x" * 1000, 0o440), "secrets/b": Entry(b"y" * 400_000, 0o440)}
        for attempt in (lambda: write_set(folder, big, 10**18 + 1), lambda: write_file(folder, "variables", b"y" * 400_000, 0o400)):
            try:
                attempt()
            except AgentError as error:
                print(error.line)
        assert read_set(folder) == old
        assert sorted(os.listdir(folder)) == ["..1000000000.000000000", "..data", "secrets", "variables"], os.listdir(folder)
        assert open(folder + "/variables").read() == "A='1'"
        assert write_set(folder, {"secrets/a": Entry(b"new", 0o440)}, 10**18 + 2)
        """,
    )
    assert output.count("volume: can't write") == 2
    assert "the memory volume is full" in output


def test_a_read_only_volume_is_said_and_the_old_set_stays(tmp_path: Path) -> None:
    output = mounted(
        tmp_path,
        """
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        for attempt in (lambda: write_set(folder, {"secrets/a": Entry(b"2", 0o440)}, 10**18 + 1), lambda: write_file(folder, "variables", b"", 0o400)):
            try:
                attempt()
            except AgentError as error:
                print(error.line)
        assert read_set(folder) == old
        """,
    )
    assert output.count("mounted read-write") == 2


def test_a_missing_volume_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as caught:
        write_set(str(tmp_path / "nowhere" / "files"), ONE, 10**18)
    assert "the pod needs the volume that the webhook adds" in caught.value.line
