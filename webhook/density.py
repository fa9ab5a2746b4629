"""How many values a body of JSON may hold: counted before it is read. Pure.

Three MiB have room for a million lists, which take the JSON's reader two thirds of a second; as text of a pod that
people run, they take it five thousandths. So the work is bounded by the number of values, before any is made.
"""

import re

# Of all kinds; a pod of 4,000 variables has some 44,000, most of them in its managedFields
MAX_VALUES = 50_000

# Each value but the first follows one of these; more of them stand in texts, and count as well
_OPENING = b"{[,"
_REQUEST_UID = re.compile(rb'"request"\s*:\s*\{\s*"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_HEAD = 512  # bytes, in which the API server writes the uid


def too_many_values(body: bytes) -> str:
    """What is wrong, in words; empty for a body that may be read."""
    if len(body) <= MAX_VALUES:
        return ""
    count = len(body) - len(body.translate(None, _OPENING))
    if count <= MAX_VALUES:
        return ""
    return (
        f"got {count} objects, lists and values, expected at most {MAX_VALUES} (each brace, bracket and comma counts, also in texts); "
        "make it several smaller ones, or put long texts into a ConfigMap"
    )


def request_uid(body: bytes) -> str:
    """The review's uid without reading the rest, where the API server writes it; else empty."""
    match = _REQUEST_UID.search(body, 0, _HEAD)
    return match[1].decode() if match else ""
