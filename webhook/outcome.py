"""What the webhook decides about a pod: outcomes are values, each with a reason code that metrics can count."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Inject:
    """Allowed, with JSON Patch operations (RFC 6902, `add` only, in a fixed order)."""

    patch: tuple[dict[str, Any], ...]
    role: str
    warnings: tuple[str, ...] = ()
    reason: str = "injected"


@dataclass(frozen=True, slots=True)
class Skip:
    """Allowed, untouched: the pod did not ask. `reason` is not-annotated, opted-out or not-a-pod-creation."""

    reason: str


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused. `reason` is one of a closed set of codes; `message` says what to change."""

    reason: str
    message: str


Outcome = Inject | Skip | Deny
