"""Tokens that logins gave which are no longer in the tree.

Only service tokens have an accessor. The server keeps no list of them by role: each is looked up, and says its login's path and, as
both the jwt and the kubernetes method write it, its role. Their leases end with them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from policies.apply.errors import ApplyError, DroppedError, InvalidError, StoppedError
from policies.apply.state import Store

ACCESSORS = "auth/token/accessors"
LOOKUP = "auth/token/lookup-accessor"
REVOKE = "auth/token/revoke-accessor"

Track = Callable[[Sequence[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Revocation:
    """A step of a plan. `path` is that of the login, `roles` are names of its roles.

    `tokens`: accessor → role; in a plan those that were there when it was made, in a report those that were revoked.
    """

    path: str
    roles: frozenset[str]
    tokens: Mapping[str, str]
    action: Literal["revoke"] = "revoke"
    kind: Literal["tokens"] = "tokens"


def login_path(auth_mount: str) -> str:
    return f"auth/{auth_mount}/login"


def read(store: Store, login: str, track: Track = iter) -> dict[str, str]:
    """Accessor → role of all tokens that this login gave. `track` sees the accessors go by, for progress."""
    found = {}
    for accessor in track(store.names(ACCESSORS)):
        token = _look_up(store, accessor)
        if token is not None and token.get("path") == login:
            # The kubernetes method takes a role's name in any case, and its token keeps what was given.
            found[accessor] = str((token.get("meta") or {}).get("role", "")).lower()
    return found


def _look_up(store: Store, accessor: str) -> Mapping[str, Any] | None:
    """None for one that has ended since it was listed."""
    try:
        return store.ask(LOOKUP, {"accessor": accessor})
    except InvalidError:
        return None


def revoke(store: Store, step: Revocation) -> Revocation:
    """Look again, as a login may have given more until its role was deleted; end them, and see that they have ended."""
    tokens = {accessor: role for accessor, role in read(store, step.path).items() if role in step.roles}
    for ended, (accessor, role) in enumerate(tokens.items()):
        try:
            _end(store, accessor, role)
        except ApplyError as error:
            raise StoppedError(f"{ended} of {len(tokens)} tokens have ended: {error}", error) from error
    return replace(step, tokens=tokens)


def _end(store: Store, accessor: str, role: str) -> None:
    store.write(REVOKE, {"accessor": accessor})
    if _look_up(store, accessor) is not None:
        raise DroppedError(
            f"a token of {role}: the server took its revocation, and it is there still: run apply again"
        )
