"""Renewal arithmetic, by simulated fleets and clocks: nothing here sleeps."""

import datetime as dt
import itertools
import math
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import pem, renewal
from certs.renewal import Life
from tests.certs import authority
from tests.certs.authority import NOW, ca_asked

BACKDATED = 60.0
LIVES = st.floats(5, 90 * 86400)
UIDS = st.uuids(version=4).map(str)


def issued(now: float, seconds: float, *, local: float | None = None) -> Life:
    """What a server gives out at `now`; `local` is the time by the clock of whoever receives it."""
    return Life(not_before=now - BACKDATED, not_after=now + seconds, issued=now if local is None else local)


@given(seconds=LIVES, uid=UIDS)
def test_renewal_is_between_45_and_55_percent_of_what_remained_at_issue(seconds: float, uid: str) -> None:
    share = (renewal.renew_at(issued(1e9, seconds), uid) - 1e9) / seconds
    assert 0.4499 < share < 0.5501


def test_one_pod_repeats_itself_on_every_machine() -> None:
    """A restart of the sidecar plans the same moment."""
    uid = "6b7d6c1e-6d5c-4b64-9f0e-1f9c9f4d3b1a"
    program = f"from certs.renewal import *; print(repr(renew_at(Life(0, 3600, 0), {uid!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) == renewal.renew_at(Life(0, 3600, 0), uid)


def test_a_fleet_that_starts_together_is_spread_over_the_tenth() -> None:
    """No tenth of the window gets more than twice its share of 10,000 pods."""
    buckets = [0] * 10
    for number in range(10_000):
        moment = renewal.renew_at(issued(1e9, 3600), f"00000000-0000-4000-8000-{number:012x}") - 1e9
        buckets[int((moment - 0.45 * 3600) / (0.1 * 3600) * 10)] += 1
    assert max(buckets) < 2000
    assert min(buckets) > 500


def simulate(
    seconds: float,
    *,
    wall: Callable[[float], float],
    lives: float,
    uid: str = "pod",
) -> list[float]:
    """The true times at which a sidecar renews. `wall` is its clock; the monotonic clock is the true one."""
    renewals = [0.0]
    true, life = 0.0, issued(0.0, seconds, local=wall(0.0))
    while true < lives * seconds and len(renewals) < 10_000:
        since = true - renewals[-1]
        if renewal.is_due(life, uid, now=wall(true), since_success=since):
            life = issued(true, seconds, local=wall(true))
            renewals.append(true)
            since = 0.0
        wait = renewal.wait_seconds(life, uid, now=wall(true), since_success=since)
        true += max(wait, 1e-3)
    return renewals


def gaps(renewals: list[float]) -> list[float]:
    return [later - sooner for sooner, later in itertools.pairwise(renewals)]


@given(seconds=st.floats(5, 7200), uid=UIDS)
def test_with_a_right_clock_it_renews_near_half_life_and_never_loops(seconds: float, uid: str) -> None:
    """Servers backdate notBefore by a minute: half-life from notBefore alone would loop on lives under two."""
    found = gaps(simulate(seconds, wall=lambda true: true, lives=3, uid=uid))
    assert found
    assert all(0.44 * seconds < gap < 0.56 * seconds + 1e-2 for gap in found)


@given(seconds=st.floats(120, 7200), skew=st.floats(-7 * 86400, 7 * 86400), at=st.floats(0, 2))
def test_a_clock_that_is_wrong_or_steps_neither_storms_nor_lets_a_certificate_end(
    seconds: float, skew: float, at: float
) -> None:
    """At least a quarter of a life between renewals, and each before the end, though nothing corrects the clock.

    From two minutes, the shortest life that a cluster allows unless it says otherwise.
    """

    def wall(true: float) -> float:
        return true + (skew if true >= at * seconds else 0)

    found = gaps(simulate(seconds, wall=wall, lives=4))
    assert len(found) >= 3
    assert all(0.2499 * seconds < gap < 0.9 * seconds for gap in found)


def test_a_suspended_machine_does_not_miss_a_renewal() -> None:
    """The monotonic clock stands still while a machine sleeps; the wall clock doesn't."""
    life = issued(0, 3600)
    assert not renewal.is_due(life, "pod", now=1000, since_success=1000)
    assert not renewal.is_due(life, "pod", now=5000, since_success=800)  # could as well be a clock set ahead
    assert renewal.is_due(life, "pod", now=5000, since_success=900)


def test_a_wall_clock_set_back_does_not_miss_a_renewal() -> None:
    life = issued(100_000, 3600)
    assert renewal.is_due(life, "pod", now=10, since_success=2000)


def test_a_process_that_saw_no_success_goes_by_the_wall_clock() -> None:
    life = issued(0, 3600)
    assert not renewal.is_due(life, "pod", now=1500, since_success=None)
    assert renewal.is_due(life, "pod", now=2000, since_success=None)
    assert renewal.is_due(life, "pod", now=1e6, since_success=None)


@given(
    life=st.builds(Life, st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 2e9)),
    now=st.floats(0, 2e9),
    since=st.none() | st.floats(0, 1e9),
    uid=UIDS,
)
def test_it_sleeps_at_most_a_minute_and_only_until_it_is_due(
    life: Life, now: float, since: float | None, uid: str
) -> None:
    wait = renewal.wait_seconds(life, uid, now=now, since_success=since)
    assert 0 <= wait <= 60
    if renewal.is_due(life, uid, now=now, since_success=since):
        assert wait == 0
    elif wait < 60:
        later = wait + 1e-5
        after = None if since is None else since + later
        assert renewal.is_due(life, uid, now=now + later, since_success=after)


def test_a_life_is_made_from_a_certificate_and_the_time_of_its_issue() -> None:
    """The seconds of `pem.validity` and of `Life` are the same ones."""
    root = authority.root(asked=ca_asked("root", start=NOW, end=NOW + dt.timedelta(seconds=100)))
    life = Life(*pem.validity(root.certificate), issued=NOW.timestamp())
    assert renewal.length(life) == 100
    assert renewal.starts(life) == NOW.timestamp()


def test_the_last_tenth_of_a_life_is_loud() -> None:
    life = issued(0, 1000)
    assert not renewal.is_expiring(life, 899)
    assert renewal.is_expiring(life, 901)
    assert renewal.is_expiring(life, 5000)


@given(failures=st.integers(1, 10_000), seed=UIDS)
def test_backoff_grows_from_30_seconds_to_5_minutes(failures: int, seed: str) -> None:
    wait = renewal.backoff_seconds(failures, seed)
    assert 30 <= wait <= 300
    assert wait == renewal.backoff_seconds(failures, seed)
    if failures == 1:
        assert wait <= 60
    if failures > 4:
        assert wait >= 150


def test_backoff_differs_from_pod_to_pod_and_from_failure_to_failure() -> None:
    waits = {renewal.backoff_seconds(failures, f"pod-{pod}") for pod in range(100) for failures in (4, 5, 6)}
    assert len(waits) == 300


@given(seconds=LIVES, seed=UIDS)
def test_at_least_four_attempts_fit_between_the_planned_moment_and_the_end(seconds: float, seed: str) -> None:
    """A short life is tried again sooner: its pair is good for less long."""
    spent = sum(renewal.backoff_seconds(failures, seed, seconds) for failures in range(1, 5))
    assert spent <= 0.45 * seconds
    assert renewal.backoff_seconds(1, seed, seconds) >= min(30, seconds / 40)


def test_the_arithmetic_costs_neither_cryptography_nor_openssl() -> None:
    """The sidecar asks when something is due; that must not load a megabyte of libraries."""
    program = "import sys, certs.renewal; print([m for m in ('cryptography', 'ssl', '_hashlib', 'random') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-Sc", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("life", [Life(0, 0, 0), Life(100, 0, 50), Life(0, 10, math.inf)])
def test_a_life_that_is_none_is_due_and_expiring(life: Life) -> None:
    assert renewal.is_due(life, "pod", now=200, since_success=None)
    assert renewal.is_expiring(life, 200)
