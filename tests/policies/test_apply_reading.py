"""What stands on a server is read several at a time, in the order in which it was asked for."""

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from policies.apply.at_once import READS, read_all
from policies.apply.errors import UnreachableError
from policies.apply.state import Stored

PATHS = [str(number) for number in range(3 * READS)]


class Shelf:
    """A store that counts who is at work. `meeting`: so many must be there before one is answered."""

    def __init__(self, meeting: int = 1, missing: str = "") -> None:
        self._meeting = threading.Barrier(meeting)
        self._lock = threading.Lock()
        self._missing = missing
        self._working = 0
        self.most = 0
        self.read_paths: list[str] = []

    def read(self, path: str) -> Stored | None:
        with self._lock:
            self.read_paths.append(path)
            self._working += 1
            self.most = max(self.most, self._working)
        self._meeting.wait(10)
        with self._lock:
            self._working -= 1
        if path == self._missing:
            raise UnreachableError(f"{path}: no answer")
        return None if path == "1" else Stored({"name": path})

    def names(self, listing: str) -> Sequence[str]:
        raise AssertionError(listing)

    def write(self, path: str, fields: Mapping[str, object]) -> None:
        raise AssertionError(path, fields)

    def ask(self, path: str, fields: Mapping[str, object]) -> Mapping[str, object]:
        raise AssertionError(path, fields)

    def delete(self, path: str) -> None:
        raise AssertionError(path)


def test_no_more_than_so_many_reads_are_under_way_and_their_answers_keep_the_order() -> None:
    """Eight meet, so that many are under way at once; a ninth never comes to them."""
    shelf = Shelf(meeting=READS)
    found = list(read_all(shelf, PATHS))
    assert [path for path, _ in found] == PATHS
    assert [path for path, stored in found if stored is None] == ["1"]
    assert all(stored.fields["name"] == path for path, stored in found if stored)
    assert shelf.most == READS


def test_the_first_that_fails_is_raised_and_no_others_begin() -> None:
    shelf = Shelf(missing="0")
    many = [str(number) for number in range(5000)]
    with pytest.raises(UnreachableError, match="0: no answer"):
        list(read_all(shelf, many))
    assert len(shelf.read_paths) < len(many)


def test_progress_is_told_of_each_as_its_answer_is_there() -> None:
    shelf, seen = Shelf(), []

    def track(paths: Sequence[str]) -> Iterator[str]:
        for path in paths:
            seen.append(path)
            yield path

    reading = read_all(shelf, PATHS, track)
    next(reading)
    assert seen == PATHS[:1]
    assert [path for path, _ in reading] == PATHS[1:]
    assert seen == PATHS
