"""The demo and its server leave nothing behind, whichever way they are told to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def start(module: str, folder: Path) -> subprocess.Popen[str]:
    """Its temporary files are in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    )


def servers(folder: Path) -> list[str]:
    """Command lines of the processes that still work in `folder` or were told of it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cwd").readlink().as_posix().encode()
            command = (process / "cmdline").read_text()
        except OSError:
            continue  # gone, or another user's
        if str(folder).encode() in told and int(process.name) != os.getpid():
            found.append(command)
    return found


def left(folder: Path) -> list[str]:
    """What is still there after a while: a command that was killed needs a moment on a busy machine."""
    end = time.monotonic() + 10
    while (found := servers(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@SIGNALS
def test_the_demo_ends_all_that_it_started(tmp_path: Path, number: signal.Signals) -> None:
    with start("demo", tmp_path) as process:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "podkeys policies plan" in line)
        assert servers(tmp_path), said
        process.send_signal(number)
        rest = process.stdout.read()
    assert (process.returncode, list(tmp_path.iterdir()), left(tmp_path)) == (130, [], [])
    assert rest.endswith("Interrupted; what was started is gone again.\n")


@SIGNALS
def test_the_server_ends_with_the_program_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    with start("demo.openbao", tmp_path) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1].partition("=")[2]
        with urlopen(f"{address}/v1/sys/health", timeout=5) as answer:  # noqa: S310 - on loopback
            assert answer.status == 200
        process.send_signal(number)
    assert (process.returncode, list(tmp_path.iterdir())) == (130, [])
    with pytest.raises(URLError):
        urlopen(f"{address}/v1/sys/health", timeout=5)  # noqa: S310 - on loopback
