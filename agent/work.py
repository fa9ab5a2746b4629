"""One connection's work: tokens, reads and certificates gathered first, then written together or not at all."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from agent import files, login, reads, render
from agent.clock import Clock
from agent.config import ENV_FILE, Certificate
from agent.errors import AgentError
from agent.files import Entry, parsed_mode
from agent.layout import ca_path, leased, read_task
from agent.pod import Pod
from agent.schedule import Moment, with_success
from agent.state import POLL, TOKEN, State, Token, certificate_task, lease_task, save
from agent.vault import Vault
from certs.renewal import Life

if TYPE_CHECKING:
    from agent.issue import Trust

ENV_MODE = 0o400  # the kubelet reads it as root


class Work:
    """What was got so far. `state` moves on with each success; nothing reaches a reader before `write`."""

    def __init__(self, pod: Pod, vault: Vault, clock: Clock, state: State) -> None:
        self.pod = pod
        self.vault = vault
        self.state = state
        self.fresh = False  # whether this work logged in
        self.current: dict[str, Entry] = {}
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._values: dict[str, render.Values] = {}
        self._variables = b""
        self._trusted: dict[str, Trust] = {}
        if state.token:
            vault.token = state.token.value

    def moment(self) -> Moment:
        return Moment(self.vault.now(), self._clock.monotonic())

    def log_in(self) -> Token:
        """A new token, kept in the state at once, so that a sidecar that is stopped can still revoke it."""
        config = self.pod.config
        token = login.log_in(self.vault, config.login, login.read_jwt(config.login.token_file))
        self.vault.token = token.value
        self.fresh = True
        self.state = self.state._replace(token=token)
        self.succeeded(TOKEN, token.seconds)
        return token

    def read(self, name: str) -> None:
        """One secret: its files are rendered now, so that a mistake shows before anything is written."""
        config = self.pod.config
        secret = reads.read(self.vault, name, config.reads[name], config.login)
        for item in config.files:
            if item.source == name:
                content = render.file_bytes(item, secret.values)
                self._entries[item.path] = Entry(content, parsed_mode(item.mode))
        self._values[name] = secret.values
        if secret.lease:
            self.state = self.state._replace(leases={**self.state.leases, name: secret.lease})
            self.succeeded(lease_task(name), secret.lease.seconds)

    def sign(self, item: Certificate) -> None:
        """A new key and certificate, and the trust bundle beside them."""
        from agent import issue  # noqa: PLC0415 - loads cryptography

        trusted, names, folder = self._trust(item.mount), item.files, item.folder
        ca = issue.joined(self._ca(item), trusted, item.mount, self.vault.now())
        got = issue.issue(
            self.vault, item, pod_ips=self.pod.ips, trusted=trusted, login=self.pod.config.login
        )
        mode = parsed_mode(item.mode)
        contents = {
            names.chain: got.chain,
            names.key: got.key,
            names.ca: ca,
            names.combined: got.key + got.chain,
        }
        self._entries |= {f"{folder}/{name}": Entry(text, mode) for name, text in contents.items() if name}
        self.state = with_success(self.state, certificate_task(folder), got.life, self.moment())

    def poll(self) -> None:
        """Static secrets and trust bundles as they are now. A refused one is raised in the end and holds up no other."""
        problems: list[AgentError] = []
        for act in self._polls():
            try:
                act()
            except AgentError as error:
                if error.name == "unreachable":
                    raise
                problems.append(error)
        if problems:
            what = "; also: ".join(problem.what for problem in problems)
            raise AgentError(problems[0].name, what, problems[0].remedy)
        failed = {task: item for task, item in self.state.failed.items() if task != POLL}
        self.state = self.state._replace(polled=self._clock.monotonic(), failed=failed)

    def everything(self) -> None:
        """All that the settings ask for, under one new token."""
        self.log_in()
        for name in self.pod.config.reads:
            self.read(name)
        self._render_variables()
        for item in self.pod.config.certificates:
            self.sign(item)
        self.state = self.state._replace(polled=self._clock.monotonic())

    def leased_again(self) -> None:
        """What ends with its token, got anew under the present one."""
        for name in self.pod.config.reads:
            if read_task(self.pod.config, name) != POLL:
                self.read(name)
        for item in self.pod.config.certificates:
            if item.revoke:
                self.sign(item)

    def missing(self) -> list[str]:
        """Paths that the settings ask for and nobody has got yet."""
        have = self.current.keys() | self._entries.keys()
        return [path for paths in self.pod.outputs.values() for path in paths if path not in have]

    def write(self) -> bool:
        """Environment file, then the whole set. Whether files changed. Raises AgentError `volume`."""
        config = self.pod.config
        if self._variables:
            files.write_file(config.folders.env, ENV_FILE, self._variables, ENV_MODE)
        known = {**self.current, **self._entries}
        fileset = {path: known[path] for paths in self.pod.outputs.values() for path in paths}
        changed = (
            files.write_set(config.folders.files, fileset, int(self._clock.wall() * 10**9))
            if fileset
            else False
        )
        self.current, self._entries = fileset, {}
        return changed

    def save(self) -> None:
        """Leave the state to who comes next. Raises AgentError `volume`."""
        self.state = self.state._replace(offset=self.vault.offset)
        folder = self.pod.config.folders.state
        try:
            save(folder, self.state)
        except OSError as error:
            raise AgentError(
                "volume",
                f"can't write {folder}: {os.strerror(error.errno or 0)}",
                "the pod needs the writable volume podkeys-state",
            ) from None

    def forget(self, paths_of: frozenset[str]) -> None:
        """Drop what these tasks brought but nobody wrote."""
        gone = {path for task in paths_of for path in self.pod.outputs.get(task, ())}
        self._entries = {path: entry for path, entry in self._entries.items() if path not in gone}

    def holds_leases(self) -> bool:
        return bool(self.state.leases) or any(item.revoke for item in self.pod.config.certificates)

    def lost_token(self) -> None:
        """The token is dead, and what it leased with it."""
        self.state = self.state.without(leased(self.pod.config) | {TOKEN})._replace(token=None)
        self.vault.token = ""

    def _polls(self) -> Iterator[Callable[[], None]]:
        for name in self.pod.config.reads:
            if read_task(self.pod.config, name) == POLL:
                yield partial(self.read, name)
        for item in self.pod.config.certificates:
            yield partial(self._refresh_ca, item)
        yield self._render_variables

    def _render_variables(self) -> None:
        variables = self.pod.config.env
        if all(item.source in self._values for item in variables):
            self._variables = render.env_bytes(variables, self._values)

    def _refresh_ca(self, item: Certificate) -> None:
        from agent import issue  # noqa: PLC0415 - loads cryptography

        path = ca_path(item)
        if path not in self._entries and path in self.current:
            ca = issue.joined(self._ca(item), self._trust(item.mount), item.mount, self.vault.now())
            self._entries[path] = Entry(ca, parsed_mode(item.mode))

    def _ca(self, item: Certificate) -> bytes:
        before = self.current.get(ca_path(item))
        return before.content if before else b""

    def _trust(self, mount: str) -> "Trust":
        from agent import issue  # noqa: PLC0415 - loads cryptography

        if mount not in self._trusted:
            self._trusted[mount] = issue.trust(self.vault, mount)
        return self._trusted[mount]

    def succeeded(self, task: str, seconds: int) -> None:
        """A lease or the token itself lives for `seconds` from now."""
        at = self.moment()
        self.state = with_success(self.state, task, Life(at.now, at.now + seconds, at.now), at)
