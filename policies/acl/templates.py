"""`{{identity.entity.name}}` and the like in paths (OpenBao's sdk/helper/identitytpl, mode ACL)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.acl.times import seconds


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


def filled(path: str, identity: Identity | None, blocked: Sequence[str], now: datetime | None) -> str | None:
    """The path; None where something has no value, so that its stanza is dropped.

    Raises ForbiddenValueError for a value that may not stand in a path.
    """
    first, *rest = path.split("{{")
    pieces = [first]
    for piece in rest:
        selector, _, tail = piece.partition("}}")
        value = _value(selector.strip(), identity, now)
        if value is None:
            return None
        if any(text in value for text in blocked):
            raise ForbiddenValueError(path)
        pieces += [value, tail]
    return "".join(pieces)


def _value(selector: str, identity: Identity | None, now: datetime | None) -> str | None:
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
