"""What is due when: pure arithmetic on the state. Times: `now` by the server's clock, `mono` by the monotonic one."""

import zlib
from collections.abc import Iterable
from typing import NamedTuple

from agent.state import POLL, TOKEN, Failed, State, Term, Token
from certs import renewal

NEVER = float("inf")
GRACE_SECONDS = 30.0  # how long readers have to move to new credentials before the old token ends
GOOD_SHARE = 0.9  # a renewal that grants less of the first life than this has met the maximum


class Moment(NamedTuple):
    now: float
    mono: float


class Plan(NamedTuple):
    """`tasks` of these settings; `poll_seconds` between polls; `pod_uid` seeds the jitter."""

    tasks: tuple[str, ...]
    poll_seconds: float
    pod_uid: str


def due(plan: Plan, state: State, at: Moment) -> list[str]:
    """The tasks to do now: the token first, then certificates and leases, polling last."""
    tasks = [task for task in _considered(plan, state) if wait_for(task, plan, state, at) <= 0]
    return sorted(tasks, key=lambda task: (task != TOKEN, task == POLL, task))


def wait_seconds(plan: Plan, state: State, at: Moment) -> float:
    """Until the next task, or the next token to revoke, if both clocks run evenly."""
    waits = [wait_for(task, plan, state, at) for task in _considered(plan, state)]
    waits += [token.after - at.mono for token in state.retired]
    return max(0.0, min(waits, default=NEVER))


def wait_for(task: str, plan: Plan, state: State, at: Moment) -> float:
    failed = state.failed.get(task)
    back_off = failed.retry - at.mono if failed else -NEVER
    if task == POLL:
        share = 0.9 + 0.2 * _fraction(f"{plan.pod_uid}/{state.polled}")
        return max(state.polled + share * plan.poll_seconds - at.mono, back_off)
    term = state.terms.get(task)
    return max(_term_wait(term, plan, at) if term else 0.0, back_off)


def with_failure(state: State, task: str, plan: Plan, at: Moment) -> State:
    """The state after one more failure of `task` in a row: it waits longer each time."""
    before = state.failed.get(task)
    count = before.in_a_row + 1 if before else 1
    term = state.terms.get(task)
    seed = f"{plan.pod_uid}/{task}"
    wait = (
        renewal.backoff_seconds(count, seed, renewal.length(term.life))
        if term
        else renewal.backoff_seconds(count, seed)
    )
    return state._replace(failed={**state.failed, task: Failed(count, at.mono + wait)})


def with_success(state: State, task: str, life: renewal.Life, at: Moment) -> State:
    failed = {name: item for name, item in state.failed.items() if name != task}
    return state._replace(failed=failed, terms={**state.terms, task: Term(life, at.mono)})


def expiring(state: State, at: Moment) -> Iterable[tuple[str, float]]:
    """Tasks that failed and are in the last tenth of what they last got, with the seconds that are left."""
    for task in sorted(state.failed):
        term = state.terms.get(task)
        if term and renewal.is_expiring(term.life, at.now):
            yield task, term.life.not_after - at.now


def is_usable(token: Token, term: Term, at: Moment) -> bool:
    """Whether a token has life left, by either clock. A batch token costs nothing to replace: it serves for half."""
    age = max(at.now - term.life.issued, at.mono - term.success)
    return age < (term.life.not_after - term.life.issued) * (1.0 if token.service else 0.5)


def _considered(plan: Plan, state: State) -> tuple[str, ...]:
    # a batch token is replaced when something needs one
    return (TOKEN, *plan.tasks) if state.token and state.token.service else plan.tasks


def _term_wait(term: Term, plan: Plan, at: Moment) -> float:
    since = max(0.0, at.mono - term.success)
    moment = renewal.renew_at(term.life, plan.pod_uid)
    planned = min(moment - at.now, moment - renewal.starts(term.life) - since)
    if planned > 0:
        return planned
    if renewal.is_due(term.life, plan.pod_uid, now=at.now, since_success=since):
        return 0.0
    return max(0.001, renewal.wait_seconds(term.life, plan.pod_uid, now=at.now, since_success=since))


def _fraction(seed: str) -> float:
    return zlib.crc32(seed.encode()) / 2**32
