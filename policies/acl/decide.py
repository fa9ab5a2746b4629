"""May a token with these policies do this? And which stanza says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from policies.acl.dialects import NEWEST, Dialect
from policies.acl.parameters import is_allowed, is_denied
from policies.acl.protected import needs_sudo
from policies.acl.rules import DENY, LISTING, Rule, Rules
from policies.acl.stanza import Constraints, Policy
from policies.acl.templates import Identity


class Operation(Enum):
    """WRITE is what POST and PUT ask for: create where nothing is there yet and the engine tells, else update.

    SUBSCRIBE is to the events of a path, which the server asks as it asks for capabilities; RECOVER is from a snapshot, into the path.
    """

    READ = "read"
    WRITE = "write"
    PATCH = "patch"
    DELETE = "delete"
    LIST = "list"
    SCAN = "scan"
    SUBSCRIBE = "subscribe"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Request:
    """`exists`: whether the object is there; None where the engine doesn't tell. `wrap_ttl` in seconds, None without.

    `parameters` as they stand in the request's body or query, names in any case.
    """

    operation: Operation
    path: str
    exists: bool | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    wrap_ttl: float | None = None
    pki_mounts: tuple[str, ...] = ()


class Reason(Enum):
    GRANTED = "granted"
    HELD = "held by a control group until it is authorised"
    NO_MATCH = "no stanza matches the path"
    TEMPLATE = "a template's value may not stand in a path, and the server refuses all that the token asks"
    DENIED = "denied"
    CAPABILITY = "the deciding stanza lacks the capability"
    SUDO = "the path is root-protected and the deciding stanza lacks sudo"
    WRAPPING = "response wrapping is not as the stanza demands"
    REQUIRED = "a required parameter is missing"
    DENIED_PARAMETER = "a parameter or its value is denied"
    NOT_ALLOWED = "a parameter or its value is not among the allowed ones"
    EVENTS = "granted for some types of events"
    PAGE = "the page asked for is larger than pagination_limit, or isn't asked for"


@dataclass(frozen=True, slots=True)
class Decision:
    """`deciding`: the rule that was asked; `lost`: the other rules that match, the nearest first.

    `about`: the parameter that decided, if one did.
    """

    allowed: bool
    reason: Reason
    capability: str
    deciding: Rule | None = None
    lost: tuple[Rule, ...] = ()
    about: str = ""


_SHOWN = ("sudo", "read", "list", "update", "delete", "create", "patch", "scan", "subscribe", "recover")


def capabilities(
    policies: Iterable[Policy],
    path: str,
    dialect: Dialect = NEWEST,
    *,
    identity: Identity | None = None,
    now: datetime | None = None,
) -> list[str]:
    """As `sys/capabilities` answers: what LIST would be decided by, sorted, `["deny"]` for nothing."""
    return shown(Rules(policies, dialect=dialect, identity=identity, now=now), path)


def shown(rules: Rules, path: str) -> list[str]:
    """The capabilities of rules that stand."""
    found = rules.decider(path, listing=True)
    granted = found.capabilities if found else frozenset()
    return sorted(capability for capability in granted if capability in _SHOWN) or ["deny"]


def decide(
    policies: Iterable[Policy],
    request: Request,
    dialect: Dialect = NEWEST,
    *,
    identity: Identity | None = None,
    now: datetime | None = None,
) -> Decision:
    return decided(Rules(policies, dialect=dialect, identity=identity, now=now), request)


def decided(rules: Rules, request: Request) -> Decision:
    """The decision of rules that stand."""
    capability = _capability(request)
    if rules.forbidden:
        return Decision(
            allowed=False, reason=Reason.TEMPLATE, capability=capability, about=rules.forbidden.path
        )
    found = rules.candidates(request.path, listing=capability in LISTING)
    if not found:
        return Decision(allowed=False, reason=Reason.NO_MATCH, capability=capability)
    rule, *lost = found
    reason, about = _judged(rule, request, capability, each_item=rules.dialect.each_item)
    allowed = reason is Reason.GRANTED
    return Decision(allowed, reason, capability, rule, tuple(lost), about)


def _capability(request: Request) -> str:
    if request.operation is Operation.WRITE:
        return "create" if request.exists is False else "update"
    return str(request.operation.value)


def _judged(rule: Rule, request: Request, capability: str, *, each_item: bool) -> tuple[Reason, str]:
    """In the server's order."""
    denied = bool(rule.capabilities & DENY)
    if denied or capability not in rule.capabilities:
        return (Reason.DENIED if denied else Reason.CAPABILITY), ""
    limits = rule.constraints
    if request.operation is Operation.SUBSCRIBE:
        return (Reason.EVENTS if limits.events else Reason.GRANTED), ""
    if not _wrapped(limits, request.wrap_ttl):
        return Reason.WRAPPING, ""
    refused = _parameters(limits, request, each_item=each_item)
    if refused:
        return refused
    if needs_sudo(request.path.lstrip("/"), request.pki_mounts) and "sudo" not in rule.capabilities:
        return Reason.SUDO, ""
    held = limits.control_group and any(
        not factor.operations or capability in factor.operations for factor in limits.control_group.factors
    )
    return (Reason.HELD if held else Reason.GRANTED), ""


def _wrapped(limits: Constraints, ttl: float | None) -> bool:
    if limits.max_wrapping > 0 and (ttl is None or ttl > limits.max_wrapping):
        return False
    if limits.min_wrapping > 0 and (ttl is None or ttl < limits.min_wrapping):
        return False
    return not 0 < limits.max_wrapping < limits.min_wrapping


def _parameters(limits: Constraints, request: Request, *, each_item: bool) -> tuple[Reason, str] | None:
    """Why its parameters aren't taken; None where they are. DELETE has none that are looked at."""
    if request.operation in (Operation.LIST, Operation.SCAN):
        return _page(limits, request)
    if request.operation is Operation.DELETE:
        return None
    given = request.parameters
    missing = [name for name in limits.required if name.lower() not in given]
    if missing:
        return Reason.REQUIRED, missing[0]
    return _denied(limits, given, each_item=each_item) or _not_allowed(limits, given, each_item=each_item)


def _denied(
    limits: Constraints, given: Mapping[str, object], *, each_item: bool
) -> tuple[Reason, str] | None:
    if not limits.denied or not given:
        return None
    if "*" in limits.denied:
        return Reason.DENIED_PARAMETER, "*"
    for name, value in given.items():
        values = limits.denied.get(name.lower())
        if values is not None and is_denied(value, values, each_item=each_item):
            return Reason.DENIED_PARAMETER, name
    return None


def _not_allowed(
    limits: Constraints, given: Mapping[str, object], *, each_item: bool
) -> tuple[Reason, str] | None:
    allowed = limits.allowed
    if not allowed or list(allowed) == ["*"]:
        return None
    for name, value in given.items():
        values = allowed.get(name.lower())
        if values is None and "*" not in allowed:
            return Reason.NOT_ALLOWED, name
        if values is not None and not is_allowed(value, values, each_item=each_item):
            return Reason.NOT_ALLOWED, name
    return None


def _page(limits: Constraints, request: Request) -> tuple[Reason, str] | None:
    """`limit` is 0 for all, which is cut to the limit; `max` too."""
    if not limits.page:
        return None
    if "limit" not in request.parameters:
        required = any(name.lower() == "limit" for name in limits.required)
        return (Reason.PAGE, "limit") if required else None
    value = request.parameters["limit"]
    if value == "max":
        return None
    try:
        asked = int(str(value))
    except ValueError:
        return Reason.PAGE, "limit"
    return None if 0 <= asked <= limits.page else (Reason.PAGE, "limit")
