"""A `*` that stands for any text, as auth roles and token roles have it."""


def fits(pattern: str, text: str) -> bool:
    """In time that grows with the text alone, however many `*` there are: patterns come from files that anybody wrote."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(rest[-1]) and at <= len(text) - len(rest[-1])
