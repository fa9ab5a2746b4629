"""The command's flags: what is wrong at the start is one message and an exit code, never a traceback."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.webhook import catalogs
from tests.webhook.serving import command, serving, write_certificate
from webhook.serve import address, serve


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_certificate(tmp_path)
    catalogs.write(tmp_path)
    return tmp_path


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("flags", "code", "expected"),
    [
        (("--listen", "8443"), 64, "got '8443', expected HOST:PORT"),
        (("--listen", "127.0.0.1:70000"), 64, "expected HOST:PORT"),
        (("--tls-key", "/nowhere/tls.key"), 64, "/nowhere/tls.key"),
        (("--catalog", "/nowhere"), 64, "--catalog: got '/nowhere'"),
        (("--cluster", "/nowhere.json"), 64, "--cluster: got '/nowhere.json'"),
        (("--log-level", "loud"), 64, "'loud' is not one of"),
        (("--threads", "0"), 64, "--threads"),
        (("--tls-key", __file__), 1, "can't serve"),
        (("--listen", "203.0.113.1:0"), 1, "--listen: can't listen on 203.0.113.1:0: "),
    ],
)
def test_a_wrong_flag_is_a_message_and_an_exit_code(
    home: Path, flags: tuple[str, ...], code: int, expected: str
) -> None:
    done = _run(*command(home, *flags))
    assert (done.returncode, done.stdout) == (code, "")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run(*command(home, "--metrics-listen", f"127.0.0.1:{port}"))
    assert done.returncode == 1
    assert f"--metrics-listen: can't listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_addresses_of_both_families_are_read() -> None:
    assert address("192.0.2.1:8443") == ("192.0.2.1", 8443)
    assert address("[::1]:0") == ("::1", 0)


def test_every_flag_names_its_environment_variable() -> None:
    shown = CliRunner().invoke(serve, ["--help"]).output
    flags = set(re.findall(r"^  (?:-h, )?--([a-z-]+)", shown, re.MULTILINE)) - {"help"}
    variables = set(re.findall(r"env\s+var:\s+PODKEYS_([A-Z_]+)", shown))
    assert {flag.replace("-", "_").upper() for flag in flags} == variables


def test_the_environment_sets_what_flags_do_not() -> None:
    environment = {
        "PODKEYS_LISTEN": "127.0.0.1:x",
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    }
    arguments = (sys.executable, "-m", "podkeys", "webhook", "serve", "--image", "x")
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False, env=environment)
    assert done.returncode == 64
    assert "got '127.0.0.1:x', expected HOST:PORT" in done.stderr


def test_gunicorns_own_environment_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WEB_CONCURRENCY": "4", "GUNICORN_CMD_ARGS": "--workers 3", "PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with serving(home, "--drain", "0", make_files=False) as webhook:
        pid = webhook.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        if children.exists():
            assert len(children.read_text().split()) == 1
        assert {path.name for path in home.iterdir()} == {
            "tls.crt",
            "tls.key",
            "catalog",
            "cluster.json",
            "log",
        }
