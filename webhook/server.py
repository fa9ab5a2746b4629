"""gunicorn, embedded: one worker process with threads, its settings, and a clean end.

Settings that look usual but lose admissions are absent on purpose: a limit of requests a worker, and reloading by
SIGHUP. The API server does not repeat a POST after a reset, so no idle connection is closed before its own 90 s.
"""

import os
import resource
import signal
import socket
import tempfile
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from webhook import logs, memory
from webhook.service import Limits, Service
from webhook.worker import Worker

KEEPALIVE_SECONDS = 120  # the API server drops its idle connections after 90 s; it must be the first
MAX_CONNECTIONS = 800  # an API server keeps 25 idle; below the 1,024 files that a process may often have open
MAX_FILES = 2048  # those that are to hear that they are too many, and probes, beside
STOP_SECONDS = 25  # for what is in flight, within the 30 s that a pod has by default
IGNORED_SIGNALS = (
    signal.SIGHUP,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)  # reload, re-execute, resize


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets: bound before anything else starts, so that a taken port is a plain error message."""

    admission: socket.socket
    metrics: socket.socket


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's own messages, through the process's handlers: JSON lines as all others."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        super().setup(cfg)
        self.error_log.propagate = True

    def warning(self, msg: str, *values: object, **named: Any) -> None:  # noqa: ANN401 - logging's own
        """A refused request by its sender alone: gunicorn would add the line, and a broken header may be a token."""
        sender, _, _ = msg.partition(": ")
        super().warning(sender if msg.startswith("Invalid request from") else msg, *values, **named)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn publishes no types
    def __init__(self, service: Service, listeners: Listeners, options: dict[str, Any]) -> None:
        self.service, self._listeners, self._options = service, listeners, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """In the worker's process: threads don't survive the fork."""
        return self.service.start(self._listeners.metrics)


def options(listener: socket.socket, limits: Limits, level: str) -> dict[str, Any]:
    """What gunicorn is told, whatever the environment says. It owns the listener from here on."""
    return {
        "bind": f"fd://{listener.detach()}",
        "workers": 1,
        "worker_class": Worker,
        "threads": limits.threads,
        "keepalive": KEEPALIVE_SECONDS,
        "worker_connections": MAX_CONNECTIONS,
        "max_requests": 0,
        "graceful_timeout": STOP_SECONDS,
        "worker_tmp_dir": _memory_folder(),
        "control_socket_disable": True,
        "proc_name": "podkeys-webhook",
        "logger_class": Logger,
        "loglevel": level if level in ("debug", "error") else "warning",  # our own lines say the rest
        "errorlog": None,
        "accesslog": None,
        "forwarded_allow_ips": "",
        "when_ready": _ignore_signals,
    }


def _memory_folder() -> str:
    """Where the worker's heartbeat file lives: in memory, also because the root may be read-only."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - not shared by name


def _ignore_signals(arbiter: object) -> None:
    del arbiter
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _allow_files() -> None:
    """All connections at once, also where a process may usually have 1,024 files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def run(service: Service, listeners: Listeners, level: str) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process by SystemExit, 0 after a clean stop."""
    logs.take_over()
    memory.bound()
    _allow_files()
    Arbiter(Server(service, listeners, options(listeners.admission, service.limits, level))).run()
