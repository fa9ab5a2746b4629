"""Policies from text: what the server accepts is accepted, what it refuses is refused with its place.

The rules are those of OpenBao's internal/vault/policy/policy.go.
"""

import re
from bisect import bisect_right
from datetime import datetime
from typing import NamedTuple

from policies.acl import decode, hcl, json_form
from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PlaceError, PolicyError
from policies.acl.paths import pattern
from policies.acl.stanza import FREE, Constraints, ControlGroup, Factor, Parameters, Policy, Stanza, Value
from policies.acl.times import moment, seconds
from policies.acl.tree import Item, Node, Object

_LEGACY = {
    "deny": ("deny",),
    "read": ("read", "list"),
    "write": ("create", "read", "update", "delete", "list"),
    "sudo": ("create", "read", "update", "delete", "list", "sudo"),
}
_OPERATIONS = frozenset({
    "create", "read", "update", "patch", "delete", "list", "scan", "help", "header", "alias-lookahead", "resolve-role", "revoke", "renew",
    "rollback",
})  # fmt: skip
_CONSTRAINING = frozenset({
    "allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "mfa_methods",
    "pagination_limit", "control_group", "list_scan_response_keys_filter_path",
    "subscribe_event_types",
})  # fmt: skip


def parse_policy(
    text: str | bytes, name: str, *, dialect: Dialect = NEWEST, now: datetime | None = None
) -> Policy:
    """HCL, or JSON where the text begins with a brace.

    A stanza that has expired at `now` is kept and not checked further, as the server does it; without `now`, each is checked.
    The template of `list_scan_response_keys_filter_path` is not checked.

    Raises PolicyError.
    """
    decoded = _decoded(text, name)
    try:
        tree = _tree(decoded, dialect)
        items = decode.attributes(tree, ("name", "path"))
        decode.text(items, "name")
        read = _Reader(decoded, name, dialect, now)
        return Policy(name, tuple(read.stanza(item) for item in items if item.keys[0].text == "path"))
    except PlaceError as problem:
        raise _at(decoded, problem.offset, name, problem.message) from None


def _decoded(text: str | bytes, name: str) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        raise _at(
            before, len(before), name, f"got the byte {text[error.start]:#04x}, expected UTF-8"
        ) from None


def _at(text: str, offset: int, name: str, message: str) -> PolicyError:
    line = text.count("\n", 0, offset) + 1
    return PolicyError(name, line, offset - text.rfind("\n", 0, offset), message)


def _tree(text: str, dialect: Dialect) -> Object:
    return json_form.parse(text) if _is_json(text) else hcl.parse(text, duplicates=dialect.duplicates)


def _is_json(text: str) -> bool:
    return text.strip().startswith("{")


class _Reader:
    """From items to stanzas; it knows where lines begin.

    A stanza's place is that of its word `path`; in JSON, where all of them may share one, that of its own key.
    """

    def __init__(self, text: str, name: str, dialect: Dialect, now: datetime | None) -> None:
        self._name = name
        self._dialect = dialect
        self._now = now
        self._is_json = _is_json(text)
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def stanza(self, item: Item) -> Stanza:
        key = item.keys[min(1, len(item.keys) - 1)]  # without a label, the server takes the word path for it
        path = decode.label(key)
        _check_template(path, key.offset)
        items = decode.attributes(item.value, self._dialect.attributes)
        line, column = self._place((key if self._is_json else item.keys[0]).offset)
        written = _written(items, self._dialect)
        if written.expiration and self._now and self._now > written.expiration:
            return Stanza(
                self._name, path, frozenset(), line, column, FREE, written.expiration, written.legacy
            )
        if pattern(path) is None:
            raise PlaceError(key.offset, f'got "{path}", expected no +* in it')
        granted = self._capabilities(written, key.offset)
        constraints = FREE
        if written.constraining and "deny" not in granted:
            constraints = _constraints(written, granted, key.offset)
            self._check_control_group(written, granted, key.offset)
        return Stanza(
            self._name, path, granted, line, column, constraints, written.expiration, written.legacy
        )

    def _check_control_group(self, written: "_Written", granted: frozenset[str], offset: int) -> None:
        if written.control_group is None or not self._dialect.controls_granted:
            return
        for factor in written.control_group.factors:
            wrong = [operation for operation in factor.operations if operation not in granted]
            if wrong:
                raise PlaceError(
                    offset,
                    f"got {wrong[0]} in controlled_capabilities, expected capabilities of the stanza: "
                    f"{', '.join(sorted(granted)) or 'it has none'}",
                )

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def _capabilities(self, written: "_Written", offset: int) -> frozenset[str]:
        """With `deny` among them, what stands behind it isn't looked at."""
        legacy = written.legacy
        if legacy and legacy not in _LEGACY:
            raise PlaceError(offset, f"got policy = {legacy}, expected {', '.join(_LEGACY)}")
        listed = ("deny",) if legacy == "deny" else (*written.capabilities, *_LEGACY.get(legacy, ()))
        for capability in listed:
            if capability == "deny":
                return frozenset({"deny"})
            if capability not in self._dialect.capabilities:
                expected = ", ".join(sorted({*self._dialect.capabilities, "deny"}))
                raise PlaceError(offset, f"got the capability {capability}, expected one of {expected}")
        return frozenset(listed)


def _check_template(path: str, offset: int) -> None:
    first, *rest = path.split("{{")
    if "}}" in first or any(piece.count("}}") != 1 for piece in rest):
        raise PlaceError(offset, f'got "{path}", expected a }}}} for each {{{{')


class _Written(NamedTuple):
    """A stanza as it is decoded, whether or not it is looked at then: a denial ignores its constraints."""

    legacy: str
    capabilities: tuple[str, ...]
    expiration: datetime | None
    control_group: ControlGroup | None
    constraining: bool
    allowed: Parameters | None = None
    denied: Parameters | None = None
    required: tuple[str, ...] = ()
    min_wrapping: Value | None = None
    max_wrapping: Value | None = None
    mfa: tuple[str, ...] = ()
    page: int = 0
    filtered: str = ""
    events: tuple[str, ...] = ()


def _written(items: list[Item], dialect: Dialect) -> _Written:
    given = {item.keys[0].text for item in items}
    plain = (
        decode.text(items, "policy"),
        decode.texts(items, "capabilities"),
        _expiration(items) if "expiration" in given else None,
        _control_group(items, dialect) if "control_group" in given else None,
    )
    if not given & _CONSTRAINING:
        return _Written(*plain, constraining=False)
    return _Written(
        *plain,
        constraining=True,
        allowed=decode.lists(items, "allowed_parameters"),
        denied=decode.lists(items, "denied_parameters"),
        required=decode.texts(items, "required_parameters"),
        min_wrapping=decode.anything(items, "min_wrapping_ttl"),
        max_wrapping=decode.anything(items, "max_wrapping_ttl"),
        mfa=decode.texts(items, "mfa_methods"),
        page=decode.number(items, "pagination_limit"),
        filtered=decode.text(items, "list_scan_response_keys_filter_path"),
        events=decode.texts(items, "subscribe_event_types"),
    )


def _expiration(items: list[Item]) -> datetime | None:
    written = decode.text(items, "expiration")
    if not written:
        return None
    found = moment(written)
    if found is None:
        offset = next(item.keys[0].offset for item in items if item.keys[0].text == "expiration")
        raise PlaceError(offset, f"got expiration = {written}, expected a time such as 2030-01-31T00:00:00Z")
    return found


def _constraints(written: _Written, granted: frozenset[str], offset: int) -> Constraints:
    minimum = _life("min_wrapping_ttl", written.min_wrapping, offset)
    maximum = _life("max_wrapping_ttl", written.max_wrapping, offset)
    if minimum and maximum and maximum < minimum:
        raise PlaceError(offset, "got a max_wrapping_ttl below min_wrapping_ttl, expected it above")
    if written.filtered and "list" not in granted:
        raise PlaceError(
            offset, "got list_scan_response_keys_filter_path without list, expected the capability list"
        )
    return Constraints(
        written.allowed,
        written.denied,
        written.required,
        minimum,
        maximum,
        written.page,
        written.mfa,
        written.control_group,
        (written.filtered,) if written.filtered else (),
        written.events,
    )


def _life(name: str, value: Value | None, offset: int) -> float:
    found = 0.0 if value is None else seconds(value)
    if found is None:
        raise PlaceError(offset, f"got {name} = {value}, expected a duration such as 5m")
    return found


def _control_group(items: list[Item], dialect: Dialect) -> ControlGroup | None:
    """The last, where there are several; each must be right."""
    values, blocks = decode.named(items, "control_group")
    found = None
    for value in (*values, *(block.value for block in blocks)):
        inner = decode.attributes(value, ("ttl", "self_auth_allowed", "factor"))
        factors = tuple(_factor(item, dialect) for item in inner if item.keys[0].text == "factor")
        if not factors:
            raise PlaceError(value.offset, 'got a control_group without a factor, expected factor "name" { }')
        life = _life("ttl", decode.anything(inner, "ttl"), value.offset)
        found = ControlGroup(life, decode.flag(inner, "self_auth_allowed"), factors)
    return found


def _factor(item: Item, dialect: Dialect) -> Factor:
    inner = decode.attributes(item.value, ("controlled_capabilities", "identity"))
    offset = item.keys[0].offset
    if len(item.keys) == 1:
        raise PlaceError(offset, 'got a factor without a name, expected factor "name" { }')
    operations = decode.texts(inner, "controlled_capabilities")
    for operation in operations:
        if operation not in _OPERATIONS and not dialect.controls_granted:
            raise PlaceError(
                offset, f"got {operation} in controlled_capabilities, expected an operation such as read"
            )
    identities = [_identity(value, dialect) for value in decode.named(inner, "identity")[0]]
    groups = tuple(name for names, _ in identities for name in names)
    approvals = identities[-1][1] if identities else 0
    holds = bool(operations) or dialect.controls_granted  # without any, there it holds all
    if not holds or not groups or approvals < 1:
        expected = "controlled_capabilities, and an identity with group_names and approvals of at least 1"
        raise PlaceError(offset, f"got a factor that lacks something, expected {expected}")
    return Factor(decode.label(item.keys[1]), operations, groups, approvals)


def _identity(value: Node, dialect: Dialect) -> tuple[tuple[str, ...], int]:
    if not isinstance(value, Object):
        raise PlaceError(value.offset, "got no block for identity, expected { }")
    ids = decode.texts(value.items, "group_ids") if dialect.controls_granted else ()
    return (*decode.texts(value.items, "group_names"), *ids), decode.number(value.items, "approvals")
