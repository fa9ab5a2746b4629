"""`*` in what auth roles and token roles bind."""

import re

from hypothesis import given
from hypothesis import strategies as st

from policies.review.globs import fits

TEXTS = st.text("ab*\n", max_size=8)


@given(TEXTS, TEXTS)
def test_a_star_is_any_text(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
    assert fits(pattern, text) == bool(expected)


def test_many_stars_take_no_longer() -> None:
    """A pattern comes from a file that anybody wrote: one of this kind would stop a regular expression for ever."""
    assert not fits("*a" * 5000 + "*b", "a" * 20_000)
