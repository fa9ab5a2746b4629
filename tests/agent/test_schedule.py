"""What is due when, as arithmetic."""

from agent.schedule import Moment, Plan, due, expiring, wait_for, wait_seconds, with_failure, with_success
from agent.state import POLL, TOKEN, Retired, State, Token
from certs.renewal import Life

PLAN = Plan(("certificate:a", "lease:b", POLL), 300, "uid")
START = Moment(1_000_000.0, 50.0)
SERVICE = Token("t", "a", service=True, renewable=True, seconds=600)


def fresh(token: Token | None = SERVICE) -> State:
    state = State(token=token, polled=START.mono)
    for task in ("certificate:a", "lease:b", TOKEN):
        state = with_success(state, task, Life(START.now, START.now + 3600, START.now), START)
    return state


def later(seconds: float, *, wall: float | None = None) -> Moment:
    return Moment(START.now + (seconds if wall is None else wall), START.mono + seconds)


def test_nothing_is_due_at_first_and_all_is_after_half_of_the_life() -> None:
    assert due(PLAN, fresh(), later(200)) == []
    assert due(PLAN, fresh(), later(2000)) == [TOKEN, "certificate:a", "lease:b", POLL]


def test_without_state_everything_is_due() -> None:
    assert set(due(PLAN, State(polled=-1e9), START)) == {"certificate:a", "lease:b", POLL}


def test_the_wait_ends_when_the_first_task_is_due() -> None:
    state = fresh()
    wait = wait_seconds(PLAN, state, START)
    assert 270 <= wait <= 330
    assert due(PLAN, state, later(wait - 1)) == []
    assert due(PLAN, state, later(wait + 0.001)) == [POLL]


def test_a_clock_that_jumps_ahead_renews_nothing_within_a_quarter_of_a_life() -> None:
    state = fresh()
    assert "certificate:a" not in due(PLAN, state, later(800, wall=10**6))
    assert "certificate:a" in due(PLAN, state, later(901, wall=10**6))
    assert 0 < wait_for("certificate:a", PLAN, state, later(890, wall=10**6)) <= 60


def test_a_clock_set_back_does_not_put_a_renewal_off() -> None:
    assert "certificate:a" in due(PLAN, fresh(), later(2000, wall=-86_400))


def test_a_machine_that_was_suspended_renews_by_the_wall_clock() -> None:
    assert "certificate:a" in due(PLAN, fresh(), later(1000, wall=3000))


def test_failures_in_a_row_wait_longer_and_do_not_hold_up_others() -> None:
    state, at, waits = fresh(), later(2000), []
    for _ in range(6):
        state = with_failure(state, "certificate:a", PLAN, at)
        waits.append(wait_for("certificate:a", PLAN, state, at))
    assert waits[0] >= 30
    assert max(waits) <= 300
    assert sorted(waits[:3]) == waits[:3]
    assert due(PLAN, state, at) == [TOKEN, "lease:b", POLL]


def test_a_success_ends_the_back_off() -> None:
    state = with_failure(fresh(), "certificate:a", PLAN, START)
    state = with_success(state, "certificate:a", Life(START.now, START.now + 10, START.now), START)
    assert state.failed == {}


def test_only_what_fails_in_its_last_tenth_is_loud() -> None:
    state = fresh()
    assert list(expiring(state, later(3500))) == []
    state = with_failure(state, "certificate:a", PLAN, later(3300))
    assert list(expiring(state, later(3200))) == []
    assert list(expiring(state, later(3400))) == [("certificate:a", 200.0)]


def test_a_batch_token_is_not_renewed_by_itself() -> None:
    batch = Token("t", "", service=False, renewable=False, seconds=600)
    assert TOKEN not in due(PLAN, fresh(batch), later(3500))


def test_a_retired_token_wakes_the_sidecar_when_its_grace_is_over() -> None:
    state = State(retired=(Retired("old", START.mono + 30),))
    assert wait_seconds(Plan((), 300, "uid"), state, START) == 30
