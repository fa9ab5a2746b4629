"""The pages of docs/lint: what they say of a rule, and the files of their two examples."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from policies.acl.dialects import DIALECTS, NEWEST, Dialect
from policies.review.folder import read
from policies.review.lint.tree import Reading, Tree, tree
from policies.roles.folder import Clusters, boundaries_for

PAGES = Path(__file__).parents[2] / "docs" / "lint"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
_BLOCK = re.compile(r"```(?:hcl|json|yaml) (\S+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """Texts by the names of their files."""

    files: dict[str, str]

    def written(self, folder: Path) -> Path:
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder


def examples(rule: str) -> tuple[Example, Example]:
    """The bad one and the good one."""
    text = (PAGES / f"{rule}.md").read_text()
    bad, good = text.partition("## Bad\n")[2].split("## Good\n")
    return Example(dict(_BLOCK.findall(bad))), Example(dict(_BLOCK.findall(good)))


def dialect(rule: str) -> Dialect:
    """The one that the page says it is asked with."""
    named = re.search(r"^Asked with `--dialect (\S+)`", (PAGES / f"{rule}.md").read_text(), re.MULTILINE)
    return DIALECTS[named[1]] if named else NEWEST


def looked_at(folder: Path, now: datetime = NOW, dialect: Dialect = NEWEST) -> Tree:
    where = folder / "boundaries"
    boundaries, problems = boundaries_for(where if where.exists() else None, Clusters({}, complete=False))
    assert problems == []
    return tree(read(folder), Reading(dialect, now), boundaries)
