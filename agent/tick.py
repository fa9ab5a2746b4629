"""`tick`: the sidecar's short process. It does what is due, writes what changed, and says when to come back."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial

from agent import files, login, report, state, wire
from agent.clock import Clock
from agent.config import OnChange
from agent.errors import AgentError
from agent.init import LEAVE_SECONDS, say_skew
from agent.layout import leased
from agent.pod import Pod, pod_from
from agent.reads import renew_lease
from agent.schedule import GOOD_SHARE, GRACE_SECONDS, due, expiring, is_usable, wait_seconds, with_failure
from agent.state import POLL, TOKEN, Retired, State, certificate_task, lease_task, restored
from agent.vault import Vault
from agent.work import Work

TASK_SECONDS = 10.0  # the deadline of one task's calls: one broken path must not hold up the rest
ALL_SECONDS = 120.0  # of all tasks' calls: the sleeping parent ends a child that takes much longer
NOTIFY_SECONDS = 2.0


def run(environment: Mapping[str, str], clock: Clock, *, started: bool) -> None:
    """Prints the seconds until the next tick. `started`: the sidecar's first, which looks at its token."""
    pod = pod_from(environment)
    wait = Tick(pod, clock).run(started=started)
    sys.stdout.write(f"{wait:.3f}\n")
    sys.stdout.flush()


class Tick:
    def __init__(self, pod: Pod, clock: Clock) -> None:
        found = state.load(pod.config.folders.state)
        before = found or State()
        vault = Vault(pod.config.vault, clock, deadline=0.0, offset=before.offset)
        self._pod, self._clock, self._vault = pod, clock, vault
        self._known = found is not None
        self._before = before
        self._work = Work(pod, vault, clock, before)
        self._work.current = files.read_set(pod.config.folders.files)
        self._done: set[str] = set()
        self._back: State | None = None  # after a move to a new token: the state under the old one
        self._end = clock.monotonic() + ALL_SECONDS

    def run(self, *, started: bool) -> float:
        self._forget_unwritten()
        self._work.save()  # a folder that takes no state is found before a token is got that nobody could revoke
        if started:
            self._attempt(TOKEN, self._look_at_token)
        while tasks := [task for task in self._due() if task not in self._done]:
            self._done.add(tasks[0])  # one at a time: a new token makes other tasks due
            self._attempt(tasks[0], partial(self._do, tasks[0]))
        changed = self._write()
        self._work.save()  # what follows can take seconds, and readers have the new files
        if changed and self._pod.config.on_change:
            notify(self._pod.config.on_change, self._clock)
        self._revoke_retired()  # at the end: after a crash what replaces a token's leases is written first
        self._be_loud()
        say_skew(self._vault)
        self._work.save()
        self._vault.close()
        return wait_seconds(self._pod.plan, self._work.state, self._work.moment())

    def _due(self) -> list[str]:
        return due(self._pod.plan, self._work.state, self._work.moment())

    def _forget_unwritten(self) -> None:
        """Files that are not there are due, whatever the state says: a swap may have been cut short."""
        missing = set(self._work.missing())
        lost = frozenset(task for task, paths in self._pod.outputs.items() if missing & set(paths))
        kept = self._work.state.without(lost)
        polled = kept.polled if self._known and POLL not in lost else -float(10**9)
        self._work.state = self._before = kept._replace(polled=polled)

    def _attempt(self, task: str, act: Callable[[], None]) -> None:
        task_seconds = min(TASK_SECONDS, self._pod.config.deadline_seconds)
        self._vault.deadline = min(self._clock.monotonic() + task_seconds, self._end)
        try:
            act()
        except AgentError as error:
            self._work.state = with_failure(self._work.state, task, self._pod.plan, self._work.moment())
            retry = self._work.state.failed[task].retry - self._clock.monotonic()
            report.log("error", "failed", task=task, problem=error.line, retry_in=f"{retry:.1f}s")
        else:
            self._done.add(task)

    def _do(self, task: str) -> None:
        if task == TOKEN:
            self._renew_token()
            return
        self._ensure_token()
        try:
            self._act(task)
        except AgentError as error:
            if error.name != "refused" or self._work.fresh or not self._token_is_dead():
                raise
            self._log_in()
            self._act(task)

    def _act(self, task: str) -> None:
        config = self._pod.config
        if task == POLL:
            self._work.poll()
        for name in config.reads:
            if task == lease_task(name):
                self._keep_lease(name)
        for item in config.certificates:
            if task == certificate_task(item.folder):
                self._work.sign(item)
        if task != POLL:
            report.log("info", "renewed", task=task)

    def _keep_lease(self, name: str) -> None:
        lease = self._work.state.leases.get(name)
        seconds = renew_lease(self._vault, lease) if lease else None
        if lease and seconds is not None and seconds >= GOOD_SHARE * lease.seconds:
            self._work.succeeded(lease_task(name), seconds)
        else:
            self._work.read(name)

    def _look_at_token(self) -> None:
        """After a restart of the sidecar alone: its last life revoked the token, or an administrator did."""
        token = self._work.state.token
        if token is None:
            self._lose_token()
        elif token.service:
            self._renew_token()

    def _renew_token(self) -> None:
        token = self._work.state.token
        seconds = login.renew(self._vault, token) if token else None
        if token and seconds is not None and seconds >= GOOD_SHARE * token.seconds:
            self._work.succeeded(TOKEN, seconds)
            report.log("info", "renewed", task=TOKEN)
        else:
            self._move(alive=seconds is not None or bool(token and not token.renewable))

    def _move(self, *, alive: bool) -> None:
        """To a new token, before the old one's last moment: first everything leased anew, then the old one retires.

        Until that is written, the new one is on record as one to give back: whoever stops or kills the sidecar
        meanwhile, and whatever fails, the old token and its leases are still those of the files.
        """
        work, old = self._work, self._work.state
        if not alive or not old.token:
            self._lose_token()
            self._log_in()
            return  # what was leased is forgotten, so it is due, each by itself
        new = work.log_in()
        report.log("info", "logged-in", accessor=new.accessor or None)
        back = old._replace(retired=(*old.retired, Retired(new.value, self._clock.monotonic())))
        moved, work.state = work.state, back
        work.save()
        work.state = moved
        try:
            work.leased_again()
        except AgentError:
            work.forget(leased(self._pod.config))
            work.state, self._vault.token = back, old.token.value
            raise
        retired = Retired(old.token.value, self._clock.monotonic() + GRACE_SECONDS)
        work.state = work.state._replace(retired=(*work.state.retired, retired))
        self._done |= leased(self._pod.config)
        self._back = back

    def _ensure_token(self) -> None:
        token, term = self._work.state.token, self._work.state.terms.get(TOKEN)
        if token and term and is_usable(token, term, self._work.moment()):
            return
        if token and token.service:
            self._lose_token()
        self._log_in()

    def _log_in(self) -> None:
        token = self._work.log_in()
        report.log("info", "logged-in", accessor=token.accessor or None)
        self._work.save()  # on record before it is used: whoever stops the sidecar now can revoke it

    def _lose_token(self) -> None:
        """It is dead and what it leased with it: there is no way back to that either."""
        self._work.lost_token()
        self._before, self._back = self._before.without(leased(self._pod.config)), None

    def _token_is_dead(self) -> bool:
        token = self._work.state.token
        if token and token.service and login.renew(self._vault, token) is not None:
            return False
        self._lose_token()
        return True

    def _revoke_retired(self) -> None:
        for item in self._work.state.retired:
            if item.after > self._clock.monotonic():
                continue
            self._vault.deadline = self._clock.monotonic() + LEAVE_SECONDS
            try:
                login.revoke(self._vault, item.value)
            except AgentError as error:
                report.log("warning", "token-not-revoked", problem=error.what)
                later = item._replace(after=self._clock.monotonic() + GRACE_SECONDS)
                self._replace_retired(item, (later,))
            else:
                self._replace_retired(item, ())

    def _replace_retired(self, old: Retired, new: tuple[Retired, ...]) -> None:
        rest = tuple(item for item in self._work.state.retired if item is not old)
        self._work.state = self._work.state._replace(retired=(*rest, *new))

    def _write(self) -> bool:
        """Whether files changed. The set is whole or stays; what could not be written is due after a back-off."""
        missing = self._work.missing()
        if missing:
            report.log("error", "incomplete", missing=",".join(missing))
            self._undo()
            return False
        try:
            changed = self._work.write()
        except AgentError as error:
            report.log("error", "failed", task="write", problem=error.line)
            self._undo()
            return False
        if changed:
            report.log("info", "files-changed")
        return changed

    def _undo(self) -> None:
        """What was done and not written counts as failed; readers still have what they had, and its token lives."""
        before, state, back = self._before, self._work.state, self._back
        undone = frozenset(self._done - state.failed.keys() - (set() if back else {TOKEN}))
        state = restored(state, before, undone)._replace(polled=before.polled)
        self._work.state = state._replace(token=back.token, retired=back.retired) if back else state
        for task in sorted(undone):
            self._work.state = with_failure(self._work.state, task, self._pod.plan, self._work.moment())

    def _be_loud(self) -> None:
        for task, left in expiring(self._work.state, self._work.moment()):
            kind, _, name = task.partition(":")
            what = f"{kind} {name}".strip()
            when = f"ends in {left:.0f} s" if left > 0 else f"ended {-left:.0f} s ago"
            report.last_word(
                AgentError(
                    "expiring",
                    f"{what} {when} and its renewal fails",
                    "see the lines before this one for why",
                ),
                self._pod.config.folders.termination_log,
            )


def stop(environment: Mapping[str, str], clock: Clock) -> None:
    """The sidecar's last act: its tokens are revoked, and with them leases and certificates that follow them."""
    pod = pod_from(environment)
    before = state.load(pod.config.folders.state)
    if before is None:
        return
    vault = Vault(pod.config.vault, clock, deadline=clock.monotonic() + LEAVE_SECONDS * 0.7)
    held = [before.token.value] if before.token and before.token.service else []
    for value in [*held, *(item.value for item in before.retired)]:
        login.revoke(vault, value)
    vault.close()
    if held:
        kept = before.without(leased(pod.config) | {TOKEN})
        state.save(pod.config.folders.state, kept._replace(token=None, retired=()))
    report.log("info", "revoked", tokens=len(held) + len(before.retired))


def notify(target: OnChange, clock: Clock) -> None:
    """One POST to the app; its failure is said and changes nothing."""
    import http.client  # noqa: PLC0415 - rarely needed

    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    until = clock.monotonic() + NOTIFY_SECONDS
    try:
        connection.sock = wire.connected("127.0.0.1", target.port, clock=clock, until=until, context=None)
        wire.bound(connection.sock, clock, until)
        connection.request("POST", f"/{target.path.lstrip('/')}", b"", {"Content-Length": "0"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        reason = (
            os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        )
        report.log("warning", "on-change", port=target.port, problem=reason)
    else:
        level = "info" if status < 400 else "warning"  # noqa: PLR2004 - HTTP's own classes
        report.log(level, "on-change", port=target.port, status=status)
    finally:
        connection.close()
