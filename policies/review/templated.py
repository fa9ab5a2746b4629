"""Stanzas whose templates, once filled in for somebody, could grant what is asked about. Pure.

For whom the server fills them in so is not known here: an answer without them would be an all-clear that nobody looked for.
"""

from collections.abc import Iterable, Iterator

from policies.acl.stanza import Stanza
from policies.acl.templates import meaning, only, pieces
from policies.review.globs import fits
from policies.review.inventory import Inventory
from policies.review.show import place
from policies.review.subjects import Policies, Subject


def could(
    inventory: Inventory, parsed: Policies, names: Iterable[str], question: tuple[str, str]
) -> Iterator[str]:
    """In words, of the policies of these names. `question`: operation and path. Raises ReviewError for a policy that can't be parsed."""
    operation, path = question
    for name in names:
        if b"{{" not in inventory.policies[name].text:
            continue
        for stanza, blocked in parsed.rules(Subject(name, (name,))).templates:
            if operation in stanza.capabilities and _fits(stanza, path, slashes="/" not in blocked):
                filled = " and ".join(dict.fromkeys(meaning(one) for one, _ in pieces(stanza.path)[1]))
                yield f"whoever has {stanza.path} at {place(stanza)}, which may be this path: filled in is {filled}"


def _fits(stanza: Stanza, path: str, *, slashes: bool) -> bool:
    """Whether some value of each template makes it this path; rather too often, where several stand in one segment."""
    first, rest = pieces(stanza.path)
    if not rest or not all(meaning(selector) for selector, _ in rest):
        return False
    pattern = first + "".join((only(selector) or "*") + tail for selector, tail in rest)
    wanted, asked = pattern.removeprefix("/").split("/"), path.removeprefix("/").split("/")
    if slashes:
        return fits("/".join("*" if one == "+" else one for one in wanted), "/".join(asked))
    if rest[-1][1].endswith("*"):
        asked[len(wanted) - 1 :] = ["/".join(asked[len(wanted) - 1 :])]
    return len(wanted) == len(asked) and all(
        one == "+" or fits(one, other) for one, other in zip(wanted, asked, strict=True)
    )
