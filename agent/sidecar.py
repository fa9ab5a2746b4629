"""`sidecar`: sleeps as bare Python, for a life of days in as little memory as possible.

Nothing but `os`, `signal`, `sys` and `time` may be imported here. Work is done by short child processes:
`tick` prints the seconds until the next one, `stop` revokes the tokens.
"""

import os
import signal
import sys
import time

CHECK_SECONDS = 60.0  # both clocks are looked at this often
SHORTEST_SECONDS = 0.1
TICK_SECONDS = 180.0  # a child that hangs longer is ended
STOP_SECONDS = 1.7  # the kubelet leaves 2 s at least
CRASHED_SECONDS = (30.0, 300.0)  # a child that printed nothing

_STOPS = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_STOPS, signal.SIGCHLD)


def run() -> int:
    """Until SIGTERM; then 0."""
    # blocked, and with a handler: even as process 1 of a container nothing is lost between two waits
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    for number in _WATCHED:
        signal.signal(number, _noted)
    crashes = 0
    arguments: tuple[str, ...] = ("tick", "started")
    while True:
        wait = _tick(arguments)
        if wait is None:
            return _leave()
        crashes = crashes + 1 if wait < 0 else 0
        if crashes:
            wait = min(CRASHED_SECONDS[0] * 2 ** min(crashes - 1, 5), CRASHED_SECONDS[1])
        else:
            arguments = ("tick",)
        if _sleep(wait):
            return _leave()


def _sleep(seconds: float) -> bool:
    """Until `seconds` have passed by either clock. Whether it was told to stop.

    The wall clock goes on while a machine is suspended, the monotonic one while the wall clock is set back.
    """
    seconds = max(seconds, SHORTEST_SECONDS)
    wall, monotonic = time.time() + seconds, time.monotonic() + seconds
    while (left := min(wall - time.time(), monotonic - time.monotonic())) > 0:
        got = signal.sigtimedwait(_WATCHED, min(left, CHECK_SECONDS))
        if got and got.si_signo in _STOPS:
            return True
    return False


def _tick(arguments: tuple[str, ...]) -> float | None:
    """Seconds until the next one; negative: the child failed; None: told to stop meanwhile."""
    reader, writer = os.pipe()
    child = _spawn(arguments, writer)
    os.close(writer)
    told, _ = _wait(child, TICK_SECONDS)
    answer = os.read(reader, 64)
    os.close(reader)
    if told:
        return None
    try:
        return max(float(answer), 0.0)
    except ValueError:
        return -1.0


def _spawn(arguments: tuple[str, ...], output: int) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-m", "agent", *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)],
        setsigmask=(),
        setsigdef=_WATCHED,
    )


def _wait(child: int, seconds: float, *, stoppable: bool = True) -> tuple[bool, bool]:
    """Whether it was told to stop meanwhile, and whether the child ended by itself. It has ended in any case."""
    end = time.monotonic() + seconds
    while not os.waitpid(child, os.WNOHANG)[0]:
        left = end - time.monotonic()
        got = signal.sigtimedwait(_WATCHED, left) if left > 0 else None
        told = stoppable and got is not None and got.si_signo in _STOPS
        if told or left <= 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return told, False
    return False, True


def _leave() -> int:
    child = _spawn(("stop",), 2)
    _wait(child, STOP_SECONDS, stoppable=False)
    return 0


def _noted(number: int, frame: object) -> None:
    """Signals are taken by sigtimedwait; a handler keeps process 1 from ignoring them."""
