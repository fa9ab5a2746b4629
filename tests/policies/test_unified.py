"""A diff that no text makes expensive."""

import difflib

import pytest

from policies.unified import MAX_LINES, unified

NAMES = ("old", "new")


def test_a_short_text_is_compared_as_difflib_does() -> None:
    old, new = ["a\n", "b\n", "c\n"], ["a\n", "x\n", "c\n"]
    assert unified(old, new, NAMES) == list(difflib.unified_diff(old, new, *NAMES))


@pytest.mark.parametrize("lines", [["a", "b"] * 20_000, [str(at) for at in range(40_000)]])
def test_a_long_text_is_one_change_and_difflib_never_sees_it(
    monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    """Its time grows with the square: lines in the other order took minutes."""
    monkeypatch.setattr(difflib, "unified_diff", None)
    diff = unified(["first", *lines, "last"], ["first", *lines[::-1], "last"], NAMES, end="")
    assert diff[:3] == ["--- old", "+++ new", f"@@ -2,{len(lines)} +2,{len(lines)} @@"]
    assert diff[3:] == [*(f"-{line}" for line in lines), *(f"+{line}" for line in lines[::-1])]


def test_what_is_added_to_a_long_text_is_all_that_shows() -> None:
    lines = [str(at) for at in range(MAX_LINES)]
    assert unified(lines, [*lines[:7], "new", *lines[7:]], NAMES, end="") == [
        "--- old",
        "+++ new",
        "@@ -7,0 +8,1 @@",
        "+new",
    ]
    assert unified(lines, lines, NAMES) == []
