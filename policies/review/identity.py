"""What a server gives tokens besides what their login gives: by entity, by group, and by token role. Pure.

A token may do what its own policies grant and those of its entity, of the groups that the entity is in, and of the groups around those,
with `token_no_default_policy` too. Whoever may use a token role gets tokens with policies that they needn't have themselves.
Fields: the identity and token parts of the servers' API documentation, and what OpenBao 2.7 answers.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from policies.review.globs import fits

_SUBJECT = "system:serviceaccount:"
_FACTS = ("metadata", "custom_metadata")


@dataclass(frozen=True, slots=True)
class Alias:
    """By which a login at `mount`, below `auth/`, finds its entity, or a group its members. `kind`: the mount's type.

    `account`: namespace and name, where the alias is known to be of a service account. `role`: the only one that leads to it, or empty.
    """

    mount: str
    kind: str
    name: str
    account: tuple[str, str] | None = None
    role: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {self.mount}"


@dataclass(frozen=True, slots=True)
class Entity:
    """`groups`: ids of all that it is in, `direct` those of them that it is a member of itself.

    `facts`: its metadata and its aliases', as JSON; templates may be filled with them.
    """

    name: str
    file: str
    policies: tuple[str, ...]
    aliases: tuple[Alias, ...]
    groups: tuple[str, ...]
    direct: frozenset[str]
    disabled: bool
    facts: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """`alias`: of an external one. `parents`: ids of the groups that it is in. `members`: ids of entities and groups. `facts`: as an entity's."""

    id: str
    name: str
    kind: str
    file: str
    policies: tuple[str, ...]
    alias: Alias | None
    parents: tuple[str, ...]
    members: tuple[str, ...] = ()
    facts: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """From what a policy comes, if not from the login itself."""

    kind: Literal["entity", "group"]
    name: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}{f' ({self.how})' if self.how else ''}"


@dataclass(frozen=True, slots=True)
class TokenRole:
    """`aliases`: of entities that its tokens may be for, with `*`. `bound`: addresses from which alone its tokens may be used."""

    name: str
    file: str
    allowed: tuple[str, ...]
    allowed_globs: tuple[str, ...]
    disallowed: tuple[str, ...]
    disallowed_globs: tuple[str, ...]
    default_policy: bool
    aliases: tuple[str, ...]
    bound: tuple[str, ...] = ()

    def policies(self, known: Iterable[str]) -> tuple[str, ...]:
        """What its tokens may have though the one who makes them hasn't; none where they get a part of what that one has.

        A role that only forbids some policies gives all others.
        """
        limited = self.allowed or self.allowed_globs
        if not (limited or self.disallowed or self.disallowed_globs):
            return ()
        globs = self.allowed_globs if limited else ("*",)
        globbed = (name for name in known if any(fits(glob, name) for glob in globs))
        extra = ("default",) if self.default_policy else ()
        found = dict.fromkeys((*self.allowed, *globbed, *extra))
        return tuple(name for name in found if name != "root" and not self._forbids(name))

    def _forbids(self, name: str) -> bool:
        return name in self.disallowed or any(fits(glob, name) for glob in self.disallowed_globs)


@dataclass(frozen=True, slots=True)
class Identity:
    """Groups by id. `unknown`: what of it could not be read, and why, in words."""

    entities: tuple[Entity, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    token_roles: tuple[TokenRole, ...] = ()
    unknown: tuple[str, ...] = ()

    def given(self, entity: Entity) -> dict[str, Way]:
        """Policies by name; nobody logs in as a disabled entity."""
        if entity.disabled:
            return {}
        found = dict.fromkeys(entity.policies, Way("entity", entity.name))
        for group in (self.groups[one] for one in entity.groups if one in self.groups):
            how = group.kind if group.id in entity.direct else f"{group.kind}, around another"
            found = dict.fromkeys(group.policies, Way("group", group.name, how)) | found
        return found

    def given_members(self, group: Group) -> dict[str, Way]:
        """Policies by name, those of the groups around it too."""
        found = dict.fromkeys(group.policies, Way("group", group.name, group.kind))
        seen, left = {group.id}, list(group.parents)
        while left:
            parent = self.groups.get(left.pop())
            if parent and parent.id not in seen:
                seen.add(parent.id)
                left += parent.parents
                way = Way("group", parent.name, f"{parent.kind}, around another")
                found = dict.fromkeys(parent.policies, way) | found
        return found


def entity(fields: Mapping[str, object], file: str) -> Entity:
    """From what the server answers to a read of `identity/entity/id/ID`."""
    aliases = fields.get("aliases")
    return Entity(
        str(fields.get("name") or fields.get("id") or file),
        file,
        _policies(fields.get("policies")),
        tuple(_alias(one) for one in aliases if isinstance(one, Mapping))
        if isinstance(aliases, list)
        else (),
        _texts(fields.get("group_ids")),
        frozenset(_texts(fields.get("direct_group_ids"))),
        fields.get("disabled") is True,
        _facts(fields, *(aliases if isinstance(aliases, list) else ())),
    )


def group(fields: Mapping[str, object], file: str) -> Group:
    """From what the server answers to a read of `identity/group/id/ID`."""
    alias = fields.get("alias")
    return Group(
        str(fields.get("id") or file),
        str(fields.get("name") or fields.get("id") or file),
        str(fields.get("type") or "internal"),
        file,
        _policies(fields.get("policies")),
        _alias(alias) if isinstance(alias, Mapping) and alias else None,
        _texts(fields.get("parent_group_ids")),
        (*_texts(fields.get("member_entity_ids")), *_texts(fields.get("member_group_ids"))),
        _facts(fields),
    )


def token_role(name: str, fields: Mapping[str, object], file: str) -> TokenRole:
    """From what the server answers to a read of `auth/token/roles/NAME`."""
    return TokenRole(
        name,
        file,
        _policies(fields.get("allowed_policies")),
        _policies(fields.get("allowed_policies_glob")),
        _policies(fields.get("disallowed_policies")),
        _policies(fields.get("disallowed_policies_glob")),
        fields.get("token_no_default_policy") is not True,
        _texts(fields.get("allowed_entity_aliases")),
        _texts(fields.get("token_bound_cidrs")),
    )


def _alias(fields: Mapping[str, object]) -> Alias:
    told = fields.get("metadata")
    metadata = told if isinstance(told, Mapping) else {}
    kind, name = str(fields.get("mount_type") or ""), str(fields.get("name") or "")
    return Alias(
        str(fields.get("mount_path") or "").strip("/").removeprefix("auth/"),
        kind,
        name,
        _account(name, metadata if kind == "kubernetes" else {}),
        str(metadata.get("role_name") or "") if kind == "approle" else "",
    )


def _facts(*owners: object) -> str:
    told = (owner.get(name) for owner in owners if isinstance(owner, Mapping) for name in _FACTS)
    return json.dumps([one or {} for one in told], sort_keys=True)


def _account(name: str, metadata: Mapping[object, object]) -> tuple[str, str] | None:
    """By what the kubernetes method tells of an alias, else by a token's subject."""
    space, account = metadata.get("service_account_namespace"), metadata.get("service_account_name")
    if space and account:
        return str(space), str(account)
    if not name.startswith(_SUBJECT):
        return None
    space, _, account = name.removeprefix(_SUBJECT).partition(":")
    return space, account


def _policies(value: object) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in _texts(value))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
