"""Entities, groups and token roles of a live server. Reading only; what the token may not read is told as unknown."""

from collections.abc import Mapping, Sequence

from policies.apply.at_once import read_all
from policies.apply.errors import ForbiddenError
from policies.apply.state import Store
from policies.apply.tokens import Track
from policies.review.identity import Entity, Group, Identity, entity, group, token_role
from policies.roles.texts import few

_ENTITIES = "identity/entity/id"
_GROUPS = "identity/group/id"
_ROLES = "auth/token/roles"
_Fields = Mapping[str, object]


def read(server: Store, track: Track) -> Identity:
    """Raises ApplyError."""
    unknown: list[str] = []
    entities, groups, roles = (
        _below(server, listing, track, unknown) for listing in (_ENTITIES, _GROUPS, _ROLES)
    )
    found = Identity(
        tuple(entity(fields, f"{_ENTITIES}/{name}") for name, fields in entities),
        {name: group(fields, f"{_GROUPS}/{name}") for name, fields in groups},
        tuple(token_role(name, fields, f"{_ROLES}/{name}") for name, fields in roles),
    )
    unknown += _strangers(found.entities, found.groups)
    return Identity(found.entities, found.groups, found.token_roles, tuple(unknown))


def _below(server: Store, listing: str, track: Track, unknown: list[str]) -> list[tuple[str, _Fields]]:
    """Each name with its fields. A listing doesn't tell the policies, so that all are read."""
    try:
        paths = [f"{listing}/{name}" for name in server.names(listing)]
        return [
            (path.removeprefix(f"{listing}/"), stored.fields)
            for path, stored in read_all(server, paths, track)
            if stored
        ]
    except ForbiddenError as error:
        unknown.append(f"what is below {listing} gives: {error}")
        return []


def _strangers(entities: Sequence[Entity], groups: Mapping[str, Group]) -> list[str]:
    """HashiCorp Vault lets a group of another namespace have members of this one."""
    there = dict.fromkeys(name for one in entities for name in one.groups if name not in groups)
    return (
        [f"what groups give that were not read, though entities here are in them: {few(there)}"]
        if there
        else []
    )
