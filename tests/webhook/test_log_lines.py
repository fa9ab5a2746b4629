"""Whoever reads the log reads JSON lines, and nothing between them, whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from gunicorn.workers import gthread

from tests.webhook import in_process, serving
from tests.webhook.serving import post, review
from tests.webhook.test_snapshot import _workers
from webhook.service import Limits

BEGIN = "import logging, os, sys, threading, warnings\nfrom webhook import logs\nlogs.configure('info')\nlogs.take_over()\n"
PROVOKED = {
    "uncaught": "raise ValueError('canary-4711')",
    "thread": "thread = threading.Thread(target=lambda: {}['canary-4711'])\nthread.start()\nthread.join()",
    "unraisable": "class Late:\n    def __del__(self):\n        raise ValueError('canary-4711')\nLate()",
    "at-exit": "import atexit\natexit.register(lambda: {}['canary-4711'])",
    "shutdown": "class Late:\n    def __del__(self):\n        raise ValueError('canary-4711')\nlate = Late()",
    "chained": "try:\n    {}['canary-4711']\nexcept KeyError:\n    raise ValueError('canary-4711')",
    "child": "if not os.fork():\n    raise ValueError('canary-4711')\nos.wait()",
    "format": "logging.getLogger('library').error('%d', 'x')",
    "argument": "class Odd:\n    def __str__(self):\n        raise ValueError('canary-4711')\nlogging.error('%s', Odd())",
    "warning": "warnings.warn('a\\nb')",
    "deprecation": "warnings.simplefilter('always')\nwarnings.warn('old', DeprecationWarning)",
    "resource": "warnings.simplefilter('always')\nopen(os.devnull)",
    "print": "print('a\\nb', 'c', file=sys.stderr)\nprint('d', file=sys.stderr, flush=True)",
    "traceback": "import traceback\ntry:\n    {}['x']\nexcept KeyError:\n    traceback.print_exc()",
    "gunicorn": "from gunicorn import util\nutil.warn('one\\ntwo')",
    "socketserver": "import socketserver\nsocketserver.BaseServer.handle_error(None, None, ('192.0.2.1', 1))",
    "lone-surrogate": "logging.error('\\udc80')",
}


def _lines(code: str) -> list[dict[str, Any]]:
    result = subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False, timeout=60
    )
    return [json.loads(line) for line in result.stderr.splitlines()]


@pytest.mark.parametrize("what", PROVOKED)
def test_all_that_reaches_stderr_is_a_json_line(what: str) -> None:
    """Of an exception its type and place: its text may hold what a caller sent."""
    lines = _lines(PROVOKED[what])
    assert lines, "it was lost"
    assert all({"level", "event"} <= set(line) for line in lines)
    assert "canary-4711" not in json.dumps(lines)


def test_an_exception_that_nobody_catches_is_logged_as_a_bug_with_its_place() -> None:
    (line,) = _lines(PROVOKED["thread"])
    assert (line["event"], line["level"], line["error"]) == ("bug", "error", "KeyError")
    assert line["at"].startswith("<string>:")


@pytest.mark.parametrize(("booted", "code"), [(False, 3), (True, 1)])
def test_what_ends_a_worker_is_not_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    booted: bool,
    code: int,
) -> None:
    def fail(_worker: object) -> None:
        raise ValueError("canary-4711")

    worker, listener = in_process.make(tmp_path, Limits(threads=2))
    worker.booted = booted
    monkeypatch.setattr(gthread.ThreadWorker, "init_process", fail)
    with listener, pytest.raises(SystemExit) as caught:
        worker.init_process()
    assert caught.value.code == code
    assert "canary-4711" not in capfd.readouterr().err
    for part in (worker.poller, worker.method_queue, worker.tmp):
        part.close()
    worker.tpool.shutdown()


def test_a_server_whose_workers_end_in_every_way_logs_json_alone(tmp_path: Path) -> None:
    with serving.serving(tmp_path, "--drain", "0", "--log-level", "debug") as webhook:
        if not Path(f"/proc/{webhook.process.pid}/task/{webhook.process.pid}/children").exists():
            pytest.skip("this system does not list a process's children")
        for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGINT, signal.SIGQUIT, signal.SIGSEGV):
            with webhook.connect() as connection:
                assert post(connection, review(number.name))[0] == 200
                before = _workers(webhook)
                os.kill(before[0], number)
                while not (after := _workers(webhook)) or after == before:
                    time.sleep(0.02)
            assert webhook.page("/healthz")[0] == 200
        webhook.process.send_signal(signal.SIGINT)
        assert webhook.process.wait(timeout=serving.START_SECONDS) == 0
        assert webhook.log()
