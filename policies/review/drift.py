"""What a server has against what the files say, both ways, and what nobody owns. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from policies.acl.changes import compared
from policies.review.diff import Side
from policies.review.inventory import AuthRole, Inventory
from policies.review.subjects import Subject

Kind = Literal["policy", "auth role"]
_BUILT_IN = frozenset({"default", "response-wrapping", "control-group", "root"})


@dataclass(frozen=True, slots=True)
class Drift:
    """`what`: in words, what differs. `access`: whether somebody can do something else than the files say."""

    kind: Kind
    name: str
    what: str
    access: bool


def drift(server: Side, files: Side) -> Iterator[Drift]:
    """Raises ReviewError for a policy that can't be parsed, TooManyError for too many patterns."""
    yield from _policies(server, files)
    yield from _roles(server.inventory, files.inventory)
    yield from _nobodys(server.inventory)


def _policies(server: Side, files: Side) -> Iterator[Drift]:
    there, written = server.inventory.policies, files.inventory.policies
    for name in sorted(there.keys() | written.keys()):
        if name not in written:
            if name not in _BUILT_IN:
                yield Drift("policy", name, "is on the server and in no file", access=True)
        elif name not in there:
            yield Drift("policy", name, f"is not on the server; {written[name].file} says it", access=True)
        elif there[name].text.rstrip() != written[name].text.rstrip():  # `bao policy read` adds a line's end
            yield _changed(name, server, files)


def _changed(name: str, server: Side, files: Side) -> Drift:
    subject = Subject(name, (name,))
    found = list(compared(name, files.policies.rules(subject), server.policies.rules(subject)))
    if not found:
        return Drift("policy", name, "has another text on the server, of the same meaning", access=False)
    gained = sum(bool(change.gained or change.limits) for change in found)
    lost = sum(bool(change.lost) for change in found)
    first = found[0].witness
    return Drift(
        "policy",
        name,
        f"differs: {gained} gains, {lost} losses on the server, such as at {first}",
        access=True,
    )


def _roles(server: Inventory, files: Inventory) -> Iterator[Drift]:
    there = {(role.mount, role.name): role for role in server.roles}
    written = {(role.mount, role.name): role for role in files.roles}
    for key in sorted(there.keys() | written.keys()):
        name = "/".join(key)
        if key not in written:
            yield Drift("auth role", name, "is on the server and in no file", access=True)
        elif key not in there:
            yield Drift("auth role", name, f"is not on the server; {written[key].file} says it", access=True)
        else:
            yield from _role(name, there[key], written[key])


def _role(name: str, there: AuthRole, written: AuthRole) -> Iterator[Drift]:
    """Only what says who gets which policies; `plan` compares all fields."""
    if set(there.policies) != set(written.policies):
        got, expected = ", ".join(there.policies), ", ".join(written.policies)
        yield Drift(
            "auth role", name, f"gives {got or 'nothing'}, the files say {expected or 'nothing'}", access=True
        )
    if set(there.accounts) != set(written.accounts):
        got, expected = (", ".join(map(str, role.accounts)) or "nobody" for role in (there, written))
        yield Drift("auth role", name, f"is for {got}, the files say {expected}", access=True)


def _nobodys(server: Inventory) -> Iterator[Drift]:
    named = {policy for role in server.roles for policy in role.policies}
    for name in server.policies:
        if name not in named and name not in _BUILT_IN:
            yield Drift(
                "policy",
                name,
                "is named by no auth role; an entity, a group or a token may have it",
                access=False,
            )
    for role in server.roles:
        for policy in role.policies:
            if policy not in server.policies and policy not in _BUILT_IN:
                what = f"names the policy {policy}, which isn't there: whoever may write it decides what it gives"
                yield Drift("auth role", f"{role.mount}/{role.name}", what, access=False)
