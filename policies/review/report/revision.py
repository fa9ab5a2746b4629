"""Which commit a folder is at, and how it was at another. Reads a git repository; changes nothing in it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from policies.review.errors import ReviewError

_FILE_MODES = (b"100644", b"100755")
_ENDINGS = (b".hcl", b".json")


def current(folder: Path) -> tuple[str, bool]:
    """The commit, and whether the folder has what is in no commit; empty outside a repository or before its first commit."""
    found = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if found is None:
        return "", False
    status = _git(
        folder,
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--untracked-files=all",
        "--ignored",
        "--",
        ".",
    )
    return found.decode().strip(), bool(status)


def commit_of(folder: Path, ref: str) -> str:
    """Raises ReviewError where it is no commit, or the folder is in no repository."""
    found = _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if found is None and not shutil.which("git"):
        raise ReviewError("--since: got no git on PATH, expected it to read the commit; install git")
    if found is None:
        raise ReviewError(
            f"--since: got {ref!r}, expected a commit, tag or branch of the git repository that {folder} is in"
        )
    return found.decode().strip()


def extract(folder: Path, commit: str, to: Path) -> None:
    """Write the policies and roles of the folder, as they were, to another one. Links are left out, as they aren't followed.

    The bytes are those of the commit: attributes that hide or change files for `git archive` don't count.
    Raises ReviewError where the commit doesn't have the folder.
    """
    listing = _git(folder, "ls-tree", "-r", "-z", commit, "--", ".")
    if not listing:
        raise ReviewError(
            f"--since: {commit} has nothing in {folder}; expected a commit that has its policies"
        )
    wanted = [
        (digest, name)
        for mode, digest, name in _entries(listing)
        if mode in _FILE_MODES and name.lower().endswith(_ENDINGS)
    ]
    asked = b"".join(digest + b"\n" for digest, _ in wanted)
    contents = list(_contents(_git(folder, "cat-file", "--batch", asked=asked) or b""))
    if len(contents) != len(wanted):
        raise ReviewError(
            f"--since: git has {len(contents)} of the {len(wanted)} files of {commit}, expected a complete clone"
        )
    for (_, name), content in zip(wanted, contents, strict=True):
        path = _inside(to, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _entries(listing: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Mode, digest and name, relative to the folder."""
    for entry in listing.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        if name:
            mode, _, digest = about.split(b" ")
            yield mode, digest, name


def _contents(batch: bytes) -> Iterator[bytes]:
    """Each after a line `DIGEST blob SIZE`, and before a line break (git-cat-file, batch output). Nothing of one that is missing."""
    at = 0
    while at < len(batch):
        start = batch.index(b"\n", at) + 1
        about = batch[at:start].split()
        at = start
        if about[1] == b"blob":
            at += int(about[2]) + 1
            yield batch[start : at - 1]


def _inside(folder: Path, name: bytes) -> Path:
    """Git itself checks out no such name, but a repository may hold it."""
    path = PurePosixPath(name.decode("utf-8", "surrogateescape"))
    if path.is_absolute() or ".." in path.parts:
        raise ReviewError(
            f"--since: got the file {str(path)!r} in the commit, expected one inside the folder"
        )
    return folder / path


def _git(folder: Path, *words: str, asked: bytes = b"") -> bytes | None:
    """What it says; None where it says no, or isn't installed."""
    try:
        done = subprocess.run(["git", "-C", folder, *words], input=asked, capture_output=True, check=False)  # noqa: S603, S607 - no shell; git is whichever the person uses
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
