"""`{{identity.entity.name}}` and the like in paths (OpenBao's sdk/helper/identitytpl, mode ACL)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from policies.acl.times import seconds

Lookup: TypeAlias = Callable[[str], str | None]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENTITY = re.compile(
    r"identity\.entity\.(aliases\.[^.]+\.(custom_metadata\.|metadata\.|name$|id$)|metadata\.|name$|id$)"
)
_GROUP = re.compile(r"identity\.groups\.(?P<by>ids|names)\.(?P<of>[^.]+)\.(?P<what>id$|name$|metadata\.)")
_NOW = re.compile(r"time\.now(\.(plus|minus)\.(?P<life>.+))?")


@dataclass(frozen=True, slots=True)
class Alias:
    """How an auth mount knows an entity; `mount` is the mount's accessor."""

    mount: str
    id: str = ""
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    custom_metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """The entity of a token."""

    id: str
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    aliases: Sequence[Alias] = ()
    groups: Sequence[Group] = ()


class ForbiddenValueError(Exception):
    """The server then refuses whatever the token asks."""


def pieces(path: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first template; then the selector of each, and what stands behind it."""
    first, *rest = path.split("{{")
    parts = (piece.partition("}}") for piece in rest)
    return first, [(selector.strip(), tail) for selector, _, tail in parts]


def filled(path: str, value_of: Lookup, blocked: Sequence[str]) -> str | None:
    """The path; None where something has no value, so that its stanza is dropped.

    Raises ForbiddenValueError for a value that may not stand in a path.
    """
    first, rest = pieces(path)
    found = [first]
    for selector, tail in rest:
        value = value_of(selector)
        if value is None:
            return None
        if any(text in value for text in blocked):
            raise ForbiddenValueError(path)
        found += [value, tail]
    return "".join(found)


def may_be(selector: str, value: str) -> bool:
    """Whether some token has this value for it; some selectors have none for any token."""
    if (entity := _ENTITY.match(selector)) is not None:
        return _fits(selector.rpartition(".")[2] if entity[0] == selector else "", value)
    if (group := _GROUP.match(selector)) is not None:
        named = {"ids": "id", "names": "name"}[group["by"]] == group["what"]
        return value == group["of"] if named else _fits(group["what"], value)
    if (now := _NOW.fullmatch(selector)) is None:
        return False
    return value.isdecimal() and (not now["life"] or seconds(now["life"]) is not None)


def meaning(selector: str) -> str:
    """What the server fills in, in words; empty where it never fills in anything, so that the stanza counts for nobody."""
    if _NOW.fullmatch(selector):
        return "the time of the request, in seconds since 1970"
    if _ENTITY.match(selector):
        what, _, rest = selector.removeprefix("identity.entity.").partition(".")
        if what != "aliases":
            return f"the entity's {_called(what, rest)}"
        mount, _, field = rest.partition(".")
        return f"the {_called(*_halves(field))} of the entity's alias at the mount with the accessor {mount}"
    group = _GROUP.match(selector)
    field = selector[group.start("what") :] if group else ""
    return f"the {_called(*_halves(field))} of the group {group['of']}, for its members" if group else ""


def unguarded(selector: str, blocked: Sequence[str]) -> str:
    """What its value may hold that leads out of its place in a path, in words; empty where the server refuses it, or it never does."""
    kinds = {"slashes": "x/x", "wildcards": "+"}
    free = [
        kind for kind, value in kinds.items() if value.strip("x") not in blocked and may_be(selector, value)
    ]
    return f", with {' and '.join(free)} in it, too" if free else ""


def _halves(field: str) -> tuple[str, str]:
    what, _, rest = field.partition(".")
    return what, rest


def _called(what: str, key: str) -> str:
    return f"{what.replace('_', ' ')} {key}" if key else what


def only(selector: str) -> str | None:
    """The only value that it can have; None where there are others, or none."""
    group = _GROUP.fullmatch(selector)
    own = group["of"] if group else ""
    return own if group and may_be(selector, own) and not may_be(selector, f"{own}x") else None


def _fits(field: str, value: str) -> bool:
    if field == "id":
        return bool(_ID.fullmatch(value))
    return bool(value) or field != "name"


def value_of(selector: str, identity: Identity | None, now: datetime | None) -> str | None:
    """What the server fills in for a token of this entity."""
    if selector.startswith("time."):
        return _time(selector.removeprefix("time."), now)
    if identity is None:
        return None
    if selector.startswith("identity.entity."):
        return _entity(selector.removeprefix("identity.entity."), identity) or None
    if selector.startswith("identity.groups."):
        return _group(selector.removeprefix("identity.groups."), identity.groups)
    return None


def _entity(selector: str, entity: Identity) -> str | None:
    if selector.startswith("aliases."):
        mount, dot, rest = selector.removeprefix("aliases.").partition(".")
        alias = next((one for one in entity.aliases if one.mount == mount), None)
        return _field(rest, alias) if alias and dot else None
    return _field(selector, entity)


def _field(selector: str, owner: Identity | Alias) -> str | None:
    """A missing key of metadata has no value; one that is empty has an empty one."""
    if selector in ("id", "name"):
        return str(getattr(owner, selector)) or None
    name, dot, key = selector.partition(".")
    if dot and name == "metadata":
        return owner.metadata.get(key)
    if dot and name == "custom_metadata" and isinstance(owner, Alias):
        return owner.custom_metadata.get(key)
    return None


def _group(selector: str, groups: Sequence[Group]) -> str | None:
    by, _, rest = selector.partition(".")
    wanted, _, what = rest.partition(".")
    if by not in ("ids", "names"):
        return None
    found = next((group for group in groups if (group.id if by == "ids" else group.name) == wanted), None)
    if found is None:
        return None
    if what in ("id", "name"):
        return (found.id if what == "id" else found.name) or None
    return found.metadata.get(what.removeprefix("metadata.")) if what.startswith("metadata.") else None


def _time(selector: str, now: datetime | None) -> str | None:
    word, *rest = selector.split(".", 2)
    if word != "now" or now is None or len(rest) == 1:
        return None
    moment = now
    if rest:
        life = seconds(rest[1])
        if life is None or rest[0] not in ("plus", "minus"):
            return None
        moment += timedelta(seconds=life if rest[0] == "plus" else -life)
    return str(int(moment.timestamp()))
