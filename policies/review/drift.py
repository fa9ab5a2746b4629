"""What a server has against what the files say, both ways, and what nobody owns. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from policies.acl.changes import compared
from policies.review.diff import Side
from policies.review.identity import Way
from policies.review.inventory import AuthRole, Inventory
from policies.review.subjects import Subject, subjects
from policies.roles.texts import few

Kind = Literal["policy", "auth role", "entity", "group", "token role", "unknown"]
_BUILT_IN = frozenset({"default", "response-wrapping", "control-group", "root"})


@dataclass(frozen=True, slots=True)
class Drift:
    """`what`: in words, what differs, or can't be known. `access`: whether somebody can, or may, do something else than the files say."""

    kind: Kind
    name: str
    what: str
    access: bool


def drift(server: Side, files: Side) -> Iterator[Drift]:
    """Raises ReviewError for a policy that can't be parsed, TooManyError for too many patterns."""
    yield from _policies(server, files)
    yield from _roles(server.inventory, files.inventory)
    yield from _given(server.inventory, files.inventory)
    yield from _token_roles(server.inventory, files.inventory)
    yield from _unknown(server.inventory)
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
    first = found[0].where
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


def _given(server: Inventory, files: Inventory) -> Iterator[Drift]:
    """What entities and groups give besides the logins, by whom it comes from."""
    there, written = _ways(server), _ways(files)
    for way, policy in sorted(there.keys() | written.keys(), key=str):
        got, expected = (side.get((way, policy), set()) for side in (there, written))
        if got - expected:
            what = f"gives {policy} to {few(sorted(got - expected))}; no file says so"
            yield Drift(way.kind, way.name, what, access=True)
        if expected - got:
            what = f"does not give {policy} to {few(sorted(expected - got))}, as the files say"
            yield Drift(way.kind, way.name, what, access=True)


def _ways(inventory: Inventory) -> Mapping[tuple[Way, str], set[str]]:
    """Names of subjects by what they get, and from what."""
    found: dict[tuple[Way, str], set[str]] = defaultdict(set)
    for subject in subjects(inventory):
        for policy, _, way in subject.ways:
            found[way, policy].add(subject.name)
    return found


def _token_roles(server: Inventory, files: Inventory) -> Iterator[Drift]:
    there, written = (
        {role.name: frozenset(role.policies(side.policies)) for role in side.identity.token_roles}
        for side in (server, files)
    )
    for name in sorted(there.keys() | written.keys()):
        got, expected = there.get(name, frozenset()), written.get(name, frozenset())
        if got != expected:
            gives = f"gives {few(sorted(got)) or 'nothing of its own'} to whoever may update auth/token/create/{name}"
            yield Drift(
                "token role",
                name,
                f"{gives}; the files say {few(sorted(expected)) or 'nothing'}",
                access=True,
            )


def _unknown(server: Inventory) -> Iterator[Drift]:
    for what in server.unknown:
        yield Drift("unknown", "", what, access=what in server.identity.unknown)


def _nobodys(server: Inventory) -> Iterator[Drift]:
    naming = list(_naming(server))
    named = {policy for _, _, policies in naming for policy in policies}
    for name in server.policies:
        if name not in named and name not in _BUILT_IN:
            what = "is named by no auth role, entity, group or token role; a token that somebody made may have it"
            yield Drift("policy", name, what, access=False)
    for kind, name, policies in naming:
        for policy in policies:
            if policy not in server.policies and policy not in _BUILT_IN:
                what = f"names the policy {policy}, which isn't there: whoever may write it decides what it gives"
                yield Drift(kind, name, what, access=False)


def _naming(server: Inventory) -> Iterator[tuple[Kind, str, tuple[str, ...]]]:
    for role in server.roles:
        yield "auth role", f"{role.mount}/{role.name}", role.policies
    for entity in server.identity.entities:
        yield "entity", entity.name, entity.policies
    for group in server.identity.groups.values():
        yield "group", group.name, group.policies
    for maker in server.identity.token_roles:
        yield "token role", maker.name, maker.allowed
