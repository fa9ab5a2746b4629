"""A `*` that stands for any text, as auth roles and token roles have it."""

import re


def fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
