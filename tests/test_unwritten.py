"""What can't be written ends with an exit code that is no answer: said for a full disk, quietly where nobody reads on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "deploy" / "example"
FULL = Path("/dev/full")  # takes nothing: each write says that no space is left (full(4))

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def podkeys(*words: str, output: Path) -> subprocess.CompletedProcess[str]:
    with output.open("w") as file:
        command = [sys.executable, "-m", "podkeys", "policies", *words]
        return subprocess.run(
            command, cwd=EXAMPLE, stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )


@pytest.mark.parametrize(
    "words",
    [
        ("lint",),
        ("lint", "--format", "sarif"),
        ("who-can", "read", "kv/data/payments/stripe", "--json"),
        ("audit", "--help"),
    ],
)
def test_an_answer_for_which_there_is_no_room_is_none(words: tuple[str, ...]) -> None:
    done = podkeys(*words, output=FULL)
    assert done.returncode == 74
    assert done.stderr == (
        "Error: the output: can't be written: No space left on device; write it where there is room\n"
    )


def test_the_file_of_a_report_that_has_no_room_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit.md").symlink_to(FULL)
    done = podkeys("audit", "--out", str(tmp_path), output=tmp_path / "said")
    assert done.returncode == 1
    assert f"{tmp_path}/audit.md: can't be written: No space left on device" in done.stderr


@pytest.mark.parametrize("words", [("lint",), ("reach", "payments/payments-api", "--json")])
def test_where_nobody_reads_on_it_ends_quietly_as_by_the_signal(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "podkeys", "policies", *words]
    done = subprocess.run(command, cwd=EXAMPLE, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_role_file_that_has_no_room_is_not_said_to_be_there_already(tmp_path: Path) -> None:
    """A file size limit of nothing stands for a disk without room."""
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    script = f"{limited}; import podkeys; podkeys.main()"
    words = ["policies", "new", "shop", "-o", str(tmp_path / "shop.yaml")]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stderr.splitlines()[0]  # what measures coverage has no room either, and says so
    assert said == f"Error: {tmp_path}/shop.yaml: can't be written: File too large"
