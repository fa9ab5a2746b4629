"""Questions to policies and lint, as the number of roles grows; `diff` of a change of one role."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.generate import SIZES, timed, write_roles
from bench.table import header, row
from demo.programs import PODKEYS

NAMES = ("who-can", "diff", "lint")
CHANGED = 'path "kv/data/team-0/service-0"'
DIFFERENT = 2  # how `diff` ends where there is a change


def run() -> None:
    """The growth is what each role more than the fewest takes: the same in each row where it is linear."""
    header("roles", *(word for name in NAMES for word in (f"{name} s", "ms a role more")), "lint peak MB")
    fewest: dict[str, float] = {}
    for count in SIZES:
        with tempfile.TemporaryDirectory(prefix="podkeys-bench-") as name:
            found = {
                what: min(timed(words, code=DIFFERENT * (what == "diff")) for _ in range(5))
                for what, words in commands(Path(name), count).items()
            }
        seconds = {what: took for what, (took, _) in found.items()}
        fewest = fewest or seconds
        more = count - SIZES[0]
        growth = {
            what: f"{(seconds[what] - fewest[what]) / more * 1000:.2f}" if more else "" for what in NAMES
        }
        row(
            count,
            *(cell for what in NAMES for cell in (f"{seconds[what]:.2f}", growth[what])),
            f"{found['lint'][1]:.0f}",
        )


def commands(folder: Path, count: int) -> dict[str, list[str]]:
    """On a generated tree of `count` roles, and for `diff` the same with one path made wider."""
    if subprocess.run(write_roles(folder, count), stdout=subprocess.DEVNULL, check=False).returncode != 0:
        sys.exit("podkeys policies generate failed, as told above")
    old, new = folder / "out", folder / "new"
    shutil.copytree(old, new)
    policy = new / "bench" / "team-0" / "service-0" / "policy.hcl"
    policy.write_text(policy.read_text().replace(CHANGED, CHANGED.replace("service-0", "*")))
    questions = [PODKEYS, "policies"]
    tree = ["--policies", str(old)]
    return {
        "who-can": [*questions, "who-can", "read", "kv/data/team-0/service-0", *tree],
        "diff": [*questions, "diff", str(old), str(new)],
        "lint": [*questions, "lint", *tree, "--boundaries", str(folder / "boundaries")],
    }
