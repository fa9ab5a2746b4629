"""What the changes of a plan mean: who gains what and who loses what. Pure.

Who is a service account together with the login role through which it gets its token: its policies are those of the token.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.acl.changes import Change, compared
from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PolicyError
from policies.acl.language import TooManyError
from policies.acl.logins import accounts, login
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.apply.plan import Plan
from policies.apply.state import POLICIES, Current, Stored, places, policy_path

State = Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Effect:
    """`untold`: why not all can be told, or empty."""

    who: str
    changes: tuple[Change, ...]
    untold: str = ""


def effects(plan: Plan, current: Current, dialect: Dialect = NEWEST) -> tuple[Effect, ...]:
    """By who, decided as a server of this dialect does. What was only reordered or reformatted has none."""
    after = dict(current)
    for change in plan.changes:
        if change.item is None:
            del after[change.path]
        else:
            after[change.path] = Stored(change.item.fields)
    was, becomes = _logins(plan, current), _logins(plan, after)
    given = {name for holders in (was, becomes) for names in holders.values() for name in names}
    was |= _loose(current, given)
    becomes |= _loose(after, given)
    found = (
        _effect(who, (was.get(who, ()), current), (becomes.get(who, ()), after), dialect)
        for who in sorted(was.keys() | becomes.keys())
    )
    return tuple(effect for effect in found if effect)


Holders = dict[str, tuple[str, ...]]


def _logins(plan: Plan, state: State) -> Holders:
    """Who → names of policies."""
    start = f"{places(plan.cluster)[-1].listing}/"
    found: Holders = {}
    for path, stored in state.items():
        if path.startswith(start):
            found |= dict(_login(path.removeprefix("auth/").replace("/role/", "/", 1), stored))
    return found


def _loose(state: State, given: set[str]) -> Holders:
    """Policies that no login gives, before or after, stand for themselves, by their paths."""
    names = {path: path.removeprefix(f"{POLICIES}/") for path in state}
    return {path: (name,) for path, name in names.items() if name != path and name not in given}


def _login(role: str, stored: Stored) -> Iterator[tuple[str, tuple[str, ...]]]:
    read = login(stored.fields)
    policies = (*read.policies, *(("default",) if read.default_policy else ()))
    for who in tuple(accounts(read)) or ("clients that are no service accounts",):
        yield f"{who}, by {role}", tuple(dict.fromkeys(policies))


Side = tuple[tuple[str, ...], State]


def _effect(who: str, old: Side, new: Side, dialect: Dialect) -> Effect | None:
    if _texts(old) == _texts(new):
        return None
    try:
        changes = tuple(compared(who, _rules(old, dialect), _rules(new, dialect)))
    except (PolicyError, TooManyError) as error:
        return Effect(who, (), str(error))
    untold = ", ".join(sorted(_unknown(old) ^ _unknown(new)))
    untold = f"what {untold} gives besides, which is no policy of ours" if untold else ""
    return Effect(who, changes, untold) if changes or untold else None


def _texts(side: Side) -> list[tuple[str, object]]:
    names, state = side
    return sorted((name, str(_text(name, state))) for name in names)


def _text(name: str, state: State) -> str | None:
    stored = state.get(policy_path(name))
    return None if stored is None else str(stored.fields.get("policy", ""))


def _rules(side: Side, dialect: Dialect) -> Rules:
    names, state = side
    ordered = sorted(names)  # as the server keeps those of a token: of two control groups the first wins
    texts = {name: text for name in ordered if (text := _text(name, state)) is not None}
    policies = (parse_policy(text, name, dialect=dialect) for name, text in texts.items())
    return Rules(policies, dialect=dialect)


def _unknown(side: Side) -> frozenset[str]:
    names, state = side
    return frozenset(name for name in names if _text(name, state) is None)
