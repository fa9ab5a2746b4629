"""Stanzas whose templates, once filled in for somebody, could grant what is asked about. Pure.

For whom the server fills them in so is not known here: an answer without them would be an all-clear that nobody looked for.
"""

import re
from collections.abc import Iterable, Iterator

from policies.acl.stanza import Stanza
from policies.acl.templates import meaning, only, pieces, unguarded
from policies.review.globs import fits
from policies.review.inventory import Inventory
from policies.review.show import place
from policies.review.subjects import Policies, Subject

_VALUE = "\0"  # stands for what is filled in, which may be empty or, where slashes may be in it, end in one
_PLUS = re.compile(
    rf"(?<![^/{_VALUE}])\+(?![^/{_VALUE}])"
)  # may come to be a segment of its own, which is any


def could(
    inventory: Inventory, parsed: Policies, names: Iterable[str], question: tuple[str, str]
) -> Iterator[str]:
    """In words, of the policies of these names. `question`: operation and path. Raises ReviewError for a policy that can't be parsed."""
    operation, path = question
    for name in names:
        if b"{{" not in inventory.policies[name].text:
            continue
        for stanza, blocked in parsed.rules(Subject(name, (name,))).templates:
            if operation in stanza.capabilities and _fits(stanza, path, blocked):
                filled = " and ".join(
                    dict.fromkeys(
                        f"{meaning(one)}{unguarded(one, blocked)}" for one, _ in pieces(stanza.path)[1]
                    )
                )
                yield f"whoever has {stanza.path} at {place(stanza)}, which may be this path: filled in is {filled}"


def _fits(stanza: Stanza, path: str, blocked: tuple[str, ...]) -> bool:
    """Whether some value of each template makes it this path; rather too often, where several stand in one segment."""
    first, rest = pieces(stanza.path)
    if not rest or not all(meaning(selector) for selector, _ in rest):
        return False
    pattern = first + "".join((only(selector) or _VALUE) + tail for selector, tail in rest)
    pattern, request = pattern.removeprefix("/"), path.removeprefix("/")
    if "/" not in blocked:
        return fits(_PLUS.sub("*", pattern).replace(_VALUE, "*"), request)
    wanted, segments = pattern.split("/"), request.split("/")
    if pattern.endswith("*") or ("*" not in blocked and pattern.endswith(_VALUE)):
        segments[len(wanted) - 1 :] = ["/".join(segments[len(wanted) - 1 :])]
    return len(wanted) == len(segments) and all(
        one.replace(_VALUE, "") == "+" or fits(one.replace(_VALUE, "*"), other)
        for one, other in zip(wanted, segments, strict=True)
    )
