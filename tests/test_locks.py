"""Invariant: what is locked is what is installed, whatever has been released since, by a pip of any year."""

import hashlib
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-image.lock")
PIPS = ("pip==22.3", "pip")  # what Python 3.11.0 brings, and the newest
NEWER = "9999.1"
_PINNED = re.compile(r"^([A-Za-z0-9][^\s=]*==\S+(?: ; [^\\]+)?) \\$", re.MULTILINE)


def pinned(lock: str) -> dict[str, Requirement]:
    """By name, of what is for this machine."""
    lines = map(Requirement, _PINNED.findall((TOP / lock).read_text()))
    return {
        canonicalize_name(line.name): line for line in lines if line.marker is None or line.marker.evaluate()
    }


def version(line: Requirement) -> str:
    return next(iter(line.specifier)).version


def wheel(folder: Path, name: str, number: str, requires: list[str]) -> str:
    """A wheel with nothing in it but what it requires; returns its hash."""
    stem = f"{name.replace('-', '_')}-{number}"
    info = f"{stem}.dist-info"
    path = folder / f"{stem}-py3-none-any.whl"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {number}",
        *(f"Requires-Dist: {one}" for one in requires),
    ]
    extras = {extra for one in requires for extra in re.findall(r"extra == ['\"]([^'\"]+)['\"]", one)}
    metadata += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Pip:
    """One pip, for another environment than its own."""

    program: Path

    def command(self, environment: Path) -> str:
        return shlex.join([str(self.program), "-m", "pip", "--python", str(environment / "bin" / "python")])


@pytest.fixture(scope="module", params=PIPS)
def pip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pip:
    home = tmp_path_factory.mktemp("pip")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    install = [home / "bin" / "python", "-m", "pip", "--quiet", "install", "--upgrade", request.param]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"{request.param} can't be had here: {done.stderr[-300:]}"
        pytest.fail(reason) if os.environ.get("PODKEYS_TESTS") == "all" else pytest.skip(reason)
    return Pip(home / "bin" / "python")


@dataclass(frozen=True)
class Index:
    """A folder with each locked release and a newer one of it, and the locks with the hashes that the former have here."""

    folder: Path
    locks: Path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder, locks = tmp_path_factory.mktemp("index"), tmp_path_factory.mktemp("locks")
    hashes = {}
    for name, line in {**pinned("requirements.lock"), **pinned("requirements-dev.lock")}.items():
        requires = importlib.metadata.distribution(name).requires or []
        wheel(folder, name, NEWER, requires)
        hashes[name] = wheel(folder, name, version(line), requires)
    for lock in LOCKS:
        lines = [f"{line} --hash=sha256:{hashes[name]}" for name, line in pinned(lock).items()]
        (locks / lock).write_text("\n".join(lines) + "\n")
    return Index(folder, locks)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    return tmp_path / "env"


def of_makefile(pip_command: str) -> str:
    """The line by which `make` installs the lock."""
    dry = [
        "make",
        "--dry-run",
        "--always-make",
        ".venv/.ready",
        f"PIP={pip_command}",
        f"PYTHON={sys.executable}",
    ]
    lines = subprocess.run(dry, cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines()
    (line,) = [line for line in lines if "requirements-dev.lock" in line]
    return line


def of_containerfile(pip_command: str) -> str:
    """The line by which the image is given its libraries, without the places that only the image has."""
    text = (TOP / "deploy" / "Containerfile").read_text()
    (flags,) = re.findall(r"&& \$install (.*requirements-image\.lock)", text)
    return f"{pip_command} install --no-compile {flags.replace('/src/', '')}"


def run(command: str, index: Index) -> subprocess.CompletedProcess[str]:
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.folder), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        shlex.split(command),
        cwd=index.locks,
        env={"PATH": os.environ["PATH"], "HOME": str(index.locks), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("lock", "line"),
    [("requirements-dev.lock", of_makefile), ("requirements-image.lock", of_containerfile)],
)
def test_what_is_locked_is_installed_though_all_of_it_has_newer_releases(
    pip: Pip, index: Index, environment: Path, lock: str, line: Callable[[str], str]
) -> None:
    done = run(line(pip.command(environment)), index)
    assert done.returncode == 0, done.stderr
    listed = json.loads(run(f"{pip.command(environment)} list --format=json", index).stdout)
    expected = {name: version(one) for name, one in pinned(lock).items()}
    assert {canonicalize_name(one["name"]): one["version"] for one in listed} == expected
    checked = run(f"{pip.command(environment)} check", index)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("pip", PIPS[:1], indirect=True)
def test_a_resolver_is_led_astray_by_the_newer_releases(pip: Pip, index: Index, environment: Path) -> None:
    """So the test above can fail: without its extra a pinned name is asked for again, and the newest is taken."""
    without = index.locks / "without-extras.lock"
    lock = (index.locks / "requirements-dev.lock").read_text()
    without.write_text(lock.replace("coverage[toml]==", "coverage=="))
    done = run(f"{pip.command(environment)} install --dry-run --require-hashes -r {without}", index)
    assert "must have their versions pinned" in done.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_all_that_is_required_and_with_its_extras(lock: str) -> None:
    lines = pinned(lock)
    for name, line in lines.items():
        for text in importlib.metadata.distribution(name).requires or []:
            needed = Requirement(text)
            asked = line.extras or {""}
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in asked):
                continue
            there = lines.get(canonicalize_name(needed.name))
            assert there is not None, f"{lock}: {name} requires {text}, and it is not locked"
            assert needed.extras <= there.extras, f"{lock}: {name} requires {text}; got {there}"
            assert needed.specifier.contains(version(there), prereleases=True), f"{lock}: {name}: {text}"
