"""Hints: what they find, and that no names make one expensive."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import nearest
from policies.nearest import MAX_COMPARED, MAX_LENGTH, distance
from policies.nearest import nearest as hint

WORDS = st.text("abé", max_size=9)


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("secert", ["secrets", "env", "certificates"], ["secrets"]),
        ("SECRETS", ["secrets"], ["secrets"]),
        ("eats", ["west", "east"], ["east"]),
        ("ap", ["api", "app", "web"], ["api"]),
        ("jsn", ["json", "raw"], ["json"]),
        ("certificates", ["secrets", "identity"], []),
        ("", ["a"], []),
        ("a", [], []),
    ],
)
def test_a_slip_is_near_and_another_word_is_not(name: str, known: list[str], meant: list[str]) -> None:
    assert hint(name, known) == meant


def test_the_nearest_come_first_and_equals_in_the_order_of_the_known_names() -> None:
    known = ["paymentz", "payments", "shipments", "payment"]
    assert hint("payment", known, 3) == ["payment", "paymentz", "payments"]
    assert hint("payment", known) == ["payment"]


@given(WORDS.filter(bool), WORDS)
def test_the_distance_is_that_of_the_whole_table(one: str, other: str) -> None:
    assert distance(one, other) == _by_table(one, other)


def _by_table(one: str, other: str) -> int:
    table: dict[tuple[int, int], int] = {}
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not (i and j):
                table[i, j] = i + j
                continue
            replaced = table[i - 1, j - 1] + (one[i - 1] != other[j - 1])
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, replaced)
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 1] + other[j - 2]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(one), len(other)]


@pytest.mark.parametrize("length", [3, 13, MAX_LENGTH, 100_000])
@pytest.mark.parametrize("count", [10, 1_000, 100_000])
def test_a_hint_compares_so_many_characters_and_no_more(
    monkeypatch: pytest.MonkeyPatch, length: int, count: int
) -> None:
    """The names, their number and their length may all be an attacker's."""
    compared: list[int] = []

    def counted(pattern: str, text: str) -> int:
        assert len(pattern) <= MAX_LENGTH
        compared.append(len(text))
        return distance(pattern, text)

    monkeypatch.setattr(nearest, "distance", counted)
    read = 0

    def known() -> Iterator[str]:
        nonlocal read
        for at in range(count):
            read += 1
            yield ("ab" * length)[: length - 1] + "abc"[at % 3]

    hint(("ab" * length)[:length], known())
    assert sum(compared) <= MAX_COMPARED
    assert read <= MAX_COMPARED // 2 + 1
