"""The sidecar as a real process: it sleeps small, renews in time, and leaves within two seconds."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.agent.conftest import World, certificate, identity
from tests.agent.servers import serving, silent
from tests.agent.test_ticks import alive, contents, held, start


@contextmanager
def sidecar(world: World) -> Iterator["subprocess.Popen[str]"]:
    process = world.start("sidecar")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(met: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def stopped(process: "subprocess.Popen[str]") -> tuple[float, str]:
    """SIGTERM → (seconds until the end, what it said); the exit code must be 0."""
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    return time.monotonic() - begin, err


def ticked_once(world: World) -> Callable[[], bool]:
    path = Path(world.settings.folders.state, "state.json")
    before = path.stat().st_mtime_ns if path.exists() else None
    return lambda: path.exists() and path.stat().st_mtime_ns != before


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@contextmanager
def bare_python() -> Iterator[subprocess.Popen[bytes]]:
    """An interpreter asleep with nothing of ours: the least that any sidecar in Python takes."""
    code = "import os, signal, sys, time; print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, env={}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_it_sleeps_as_bare_python_and_loads_nothing_it_does_not_need(world: World) -> None:
    """Compared within one run, as absolute figures differ by machine; without coverage's tracer."""
    plain = replace(start(world), environment={"COVERAGE_PROCESS_START": ""})
    done = ticked_once(plain)
    with sidecar(plain) as process:
        until(done)
        until(lambda: not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        with bare_python() as bare:
            assert resident_kib(process.pid) <= 1.25 * resident_kib(bare.pid)
        stopped(process)
    code = "import sys; before = set(sys.modules); import agent.sidecar; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    heavy = {"dataclasses", "json", "re", "select", "ssl", "subprocess", "threading", "typing", "warnings"}
    assert heavy & set(loaded.stdout.split()) == set()


def test_sigterm_revokes_the_token_and_ends_with_0_within_two_seconds(world: World) -> None:
    start(world)
    done = ticked_once(world)
    with sidecar(world) as process:
        until(done)
        token = held(world)
        assert alive(world, token)
        seconds, err = stopped(process)
    assert seconds < 2
    assert not alive(world, token)
    assert "event=revoked" in err
    assert "canary" not in err
    assert token not in err


def test_sigterm_while_a_tick_hangs_still_ends_within_two_seconds(world: World) -> None:
    start(world)
    stop = threading.Event()
    with serving(silent(stop)) as odd:
        vault = world.settings.vault._replace(address=odd.address)
        with sidecar(world.with_settings(vault=vault)) as process:
            until(lambda: odd.requests)
            seconds, _ = stopped(process)
        stop.set()
    assert seconds < 2.1


def test_sigterm_while_a_tick_runs_revokes_the_token(world: World) -> None:
    start(world)
    token = held(world)
    with sidecar(world) as process:
        until(lambda: Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        seconds, _ = stopped(process)
    assert seconds < 2
    assert not alive(world, token)


def test_a_sidecar_alone_does_what_init_does(world: World) -> None:
    with sidecar(world) as process:
        until((world.files / "certs/serving/tls.crt").exists)
        stopped(process)


def test_a_child_that_crashes_is_started_again_only_after_a_pause(world: World) -> None:
    folders = world.settings.folders._replace(state=str(world.home / "nowhere"))
    with sidecar(world.with_settings(folders=folders)) as process:
        until(Path(world.settings.folders.termination_log).exists)
        time.sleep(0.5)
        assert process.poll() is None
        _, err = stopped(process)
    assert err.count("podkeys-state") == 1


@dataclass
class Reader:
    """Reads certificate, key and bundle over and over, as the documentation tells readers to."""

    folder: str
    key: str
    chain: str
    combined: str
    stop: threading.Event = field(default_factory=threading.Event)
    reads: int = 0
    serials: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.stop.is_set():
            self._compare(*self._through_one_descriptor(), "through one descriptor")
            if self.combined:
                whole = Path(self.folder, self.combined).read_bytes()
                self._compare(whole, whole, "in the combined file")
            self.reads += 1

    def _through_one_descriptor(self) -> tuple[bytes, bytes]:
        base = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return self._read(base, self.chain), self._read(base, self.key)
        finally:
            os.close(base)

    @staticmethod
    def _read(base: int, name: str) -> bytes:
        with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=base), "rb") as file:
            return file.read()

    def _compare(self, chain: bytes, key: bytes, how: str) -> None:
        certificate = x509.load_pem_x509_certificate(chain)
        self.serials.add(certificate.serial_number)
        if certificate.public_key() != load_pem_private_key(key, None).public_key():
            self.wrong.append(how)


def test_readers_always_find_a_matching_key_and_certificate_while_they_are_renewed(world: World) -> None:
    """Invariant: who opens a folder once, or one combined file, always finds a complete, matching set."""
    short = world.with_settings(
        certificates=(
            certificate(world.mounts, world.role, ttl_seconds=2),
            identity(world.mounts, world.role, ttl_seconds=2),
        )
    )
    start(short)
    readers = [
        Reader(str(world.files / "certs/serving"), "tls.key", "tls.crt", "tls.pem"),
        Reader(str(world.files / "identity"), "svid.key", "svid.pem", ""),
    ]
    threads = [threading.Thread(target=reader.run) for reader in readers]
    with sidecar(short) as process:
        for thread in threads:
            thread.start()
        try:
            until(lambda: all(len(reader.serials) >= 4 for reader in readers), 20)
        finally:
            for reader in readers:
                reader.stop.set()
            for thread in threads:
                thread.join()
        _, err = stopped(process)
    assert [reader.wrong for reader in readers] == [[], []]
    assert min(reader.reads for reader in readers) > 100
    assert "event=failed" not in err


def test_a_lost_server_costs_nothing_that_was_there(world: World) -> None:
    start(world)
    before = contents(world)
    down = world.with_settings(vault=world.settings.vault._replace(address="http://127.0.0.1:1"))
    with sidecar(down) as process:
        time.sleep(0.5)
        seconds, _ = stopped(process)
    assert contents(world) == before
    assert seconds < 2.1


@pytest.mark.parametrize("arguments", [(), ("help",), ("init", "now"), ("tick", "x")])
def test_other_arguments_are_refused_with_the_usage(world: World, arguments: tuple[str, ...]) -> None:
    done = world.run(*arguments)
    assert done.code == 64
    assert done.err.startswith("usage: podkeys-agent init|sidecar")
