"""Rows and columns that people can look at, of a table that is nearly empty. Pure.

Of 200 services and their secrets nearly all pairs say nothing. Columns are only what several rows have; what one row alone has
stands in that row as a list.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_COLUMNS = 24  # more are a list too: nobody follows them to their heading


@dataclass(frozen=True, slots=True)
class Row:
    """`detail`: what `name` is called elsewhere. `marks` by what is marked. `taken_in`: of these, what no list needs to name."""

    name: str
    detail: str
    marks: Mapping[str, str]
    taken_in: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """`elsewhere`: how many rows of other matrices have it too."""

    name: str
    mark: str
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Line:
    """`cells` in the order of the columns, empty for nothing; `listed`: what no column shows, and `more` besides."""

    name: str
    detail: str
    cells: tuple[str, ...]
    listed: tuple[Entry, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """`columns`: their marks are empty."""

    columns: tuple[Entry, ...]
    lines: tuple[Line, ...]


def matrix(rows: Iterable[Row], elsewhere: Mapping[str, int]) -> Matrix:
    """`elsewhere`: how many rows of other matrices have it. What most rows have comes first."""
    own = list(rows)
    here = Counter(name for row in own for name in row.marks)
    shared = sorted((name for name in here if here[name] > 1), key=lambda name: (-here[name], name))
    columns = tuple(shared[:MOST_COLUMNS])
    in_columns = frozenset(columns)

    def entry(name: str, mark: str) -> Entry:
        return Entry(name, mark, elsewhere.get(name, 0))

    def line(row: Row) -> Line:
        rest = [one for one in sorted(row.marks.items()) if one[0] not in in_columns]
        listed = tuple(entry(*one) for one in rest if one[0] not in row.taken_in)
        cells = tuple(row.marks.get(name, "") for name in columns)
        return Line(row.name, row.detail, cells, listed, len(rest) - len(listed))

    return Matrix(tuple(entry(name, "") for name in columns), tuple(map(line, own)))
