"""When to renew: arithmetic on seconds. No cryptography here, so that the sidecar can ask at the price of two imports.

Times are seconds since 1970 by the wall clock corrected by the server's `Date`; `since_success` is by the
monotonic clock. Jitter is seeded: a fleet spreads, one pod repeats itself.
"""

import math
import zlib
from dataclasses import dataclass

MAX_BACKDATING = 60.0  # our PKI roles' not_before_duration; the most by which a server backdates notBefore
CHECK_SECONDS = 60.0  # a step of the clock or a suspended machine is noticed within this

_RENEW_AT = 0.5  # of what remained when it was issued
_JITTER = 0.1  # of that half
_QUIET = 0.25  # no renewal sooner after the last one
_LOUD = 0.1  # the last part of a life
_BACKOFF = (30.0, 300.0)
_BACKOFF_SHARES = (1 / 40, 1 / 10)  # of a life: at least four attempts between half-life and the end


@dataclass(frozen=True, slots=True)
class Life:
    """A certificate's times: `not_before` and `not_after` are its own, `issued` is when it was received."""

    not_before: float
    not_after: float
    issued: float


def starts(life: Life) -> float:
    """The moment from which a life counts: the later of notBefore and the time of issue.

    notBefore alone would do for no short life: backdated by a minute, one of 30 seconds is past its half at once.
    The time of issue alone would do for no clock that runs ahead: it would shorten the life to nothing and
    renew in a loop. It counts for as much as servers backdate.
    """
    return min(max(life.not_before, life.issued), life.not_before + MAX_BACKDATING)


def length(life: Life) -> float:
    return max(0.0, life.not_after - starts(life))


def renew_at(life: Life, pod_uid: str) -> float:
    """Half of the life, ± 10 %: between 45 % and 55 % of it, always the same for one pod."""
    return starts(life) + _share(pod_uid) * length(life)


def is_due(life: Life, pod_uid: str, *, now: float, since_success: float | None) -> bool:
    """Whether to renew now. `since_success`: seconds since the last success, None if this process saw none.

    Never sooner than a quarter of a life after the last success, whatever the wall clock says: one that runs
    ahead would turn a fleet into a storm. And at the planned share of a life by either clock: the wall clock
    goes on while a machine is suspended, the monotonic one while the wall clock is set back.
    """
    if since_success is None:
        return now >= renew_at(life, pod_uid)
    if since_success < _QUIET * length(life):
        return False
    return now >= renew_at(life, pod_uid) or since_success >= _share(pod_uid) * length(life)


def wait_seconds(life: Life, pod_uid: str, *, now: float, since_success: float | None) -> float:
    """How long to sleep before asking `is_due` again: until then if both clocks run evenly, at most a minute."""
    wall = renew_at(life, pod_uid) - now
    if since_success is None:
        return _clamp(wall, 0.0, CHECK_SECONDS)
    planned = min(wall, _share(pod_uid) * length(life) - since_success)
    quiet = _QUIET * length(life) - since_success
    return _clamp(max(planned, quiet), 0.0, CHECK_SECONDS)


def is_expiring(life: Life, now: float) -> bool:
    """Whether the last tenth of the life has begun: a renewal that still fails is loud from here on."""
    return now >= life.not_after - _LOUD * length(life)


def backoff_seconds(failures: int, seed: str, life_seconds: float = math.inf) -> float:
    """How long to wait after the `failures`th failure in a row (from 1): 30 s to 5 minutes, doubling, jittered.

    `life_seconds`: the `length` of what is being renewed. For lives under 50 minutes the bounds shrink with it,
    to a 40th and a tenth of it: a life of 10 seconds is tried again after a quarter of a second up to one second.
    """
    low, high = (
        min(bound, share * life_seconds) for bound, share in zip(_BACKOFF, _BACKOFF_SHARES, strict=True)
    )
    upper = min(high, low * 2.0 ** min(max(failures, 1), 10))  # 2 ** 10 is past every bound
    return max(low, upper * (0.5 + 0.5 * _fraction(f"{seed}/{failures}")))


def _share(pod_uid: str) -> float:
    return _RENEW_AT * (1 + _JITTER * (2 * _fraction(pod_uid) - 1))


def _fraction(seed: str) -> float:
    """0 ≤ x < 1, the same on every machine. A checksum spreads well enough; hashlib would load OpenSSL for it."""
    return zlib.crc32(seed.encode()) / 2**32


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
