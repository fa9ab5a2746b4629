"""`init`: everything once, inside one deadline; then the app may start."""

from collections.abc import Mapping

from agent import files, login, report, state
from agent.clock import Clock
from agent.errors import AgentError
from agent.login import SAID_SKEW_SECONDS
from agent.pod import Pod, pod_from
from agent.schedule import GRACE_SECONDS
from agent.state import Retired
from agent.vault import Vault
from agent.work import Work

LEAVE_SECONDS = 2.0


def run(environment: Mapping[str, str], clock: Clock) -> None:
    """Raises AgentError; what was in place before stays as it was."""
    do(pod_from(environment), clock)


def do(pod: Pod, clock: Clock) -> None:
    config = pod.config
    vault = Vault(config.vault, clock, deadline=clock.monotonic() + config.deadline_seconds)
    work = Work(pod, vault, clock, state.State())
    work.current = files.read_set(config.folders.files)
    try:
        _gather_and_write(work, clock)
    except BaseException:
        leave(work, clock)
        raise
    else:
        if not config.sidecar and not work.holds_leases():
            leave(work, clock)
    finally:
        vault.close()
    report.log("info", "ready", files=len(work.current), certificates=len(config.certificates))


def _gather_and_write(work: Work, clock: Clock) -> None:
    config = work.pod.config
    before = state.load(config.folders.state) if config.sidecar else None
    work.everything()
    say_skew(work.vault)
    check_clock(work, clock)
    work.write()
    if config.sidecar:
        work.state = work.state._replace(retired=_retired(before, clock))
        work.save()


def leave(work: Work, clock: Clock) -> None:
    """Revoke the token, best effort: a failed or finished start leaves nothing behind on the server."""
    token = work.state.token
    if not token or not token.service:
        return
    work.vault.deadline = clock.monotonic() + LEAVE_SECONDS
    try:
        login.revoke(work.vault, token.value)
    except AgentError as error:
        report.log("warning", "token-not-revoked", problem=error.what, ends_in=f"{token.seconds}s")


def say_skew(vault: Vault) -> None:
    if abs(vault.offset) > SAID_SKEW_SECONDS:
        report.log("warning", "clock", server_ahead=f"{vault.offset:.0f}s", expected="at most 60s either way")


def check_clock(work: Work, clock: Clock) -> None:
    """A certificate that this node's own clock holds for not yet valid, or for ended before it is renewed.

    Raises AgentError `clock`: the app would start with a certificate that it can't use.
    """
    here, offset = clock.wall(), work.vault.offset
    if abs(offset) <= SAID_SKEW_SECONDS:
        return
    for task, term in sorted(work.state.terms.items()):
        middle = (term.life.not_before + term.life.not_after) / 2
        if task.startswith("certificate:") and not term.life.not_before <= here <= middle:
            direction = "behind" if offset > 0 else "ahead of"
            raise AgentError(
                "clock",
                f"this node's clock is {abs(offset):.0f} s {direction} the server's, so {task.partition(':')[2]} is not valid here",
                "set the node's clock (NTP); off by at most 60 s is fine",
            )


def _retired(before: state.State | None, clock: Clock) -> tuple[Retired, ...]:
    """The tokens of an init that ran earlier in this pod: its leases are replaced."""
    if not before:
        return ()
    now = clock.monotonic()
    old = (Retired(before.token.value, now + GRACE_SECONDS),) if before.token and before.token.service else ()
    return (*before.retired, *old)
