"""What is wrong with files that people wrote, and where. Every message says what was got and what was expected."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `file` is the path as the user can open it; line and column count from 1, 0 for the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class ProblemsError(Exception):
    """All mistakes of a run at once, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))

    def as_json(self) -> dict[str, Any]:
        return {"problems": [asdict(problem) for problem in self.problems]}


class TreeError(Exception):
    """The folder of generated files can't be read or written safely. The message says which path and what to do."""
