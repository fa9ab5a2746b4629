"""The worker in a thread of the test's own process, with an application of the test's own: each step can be held."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from tests.webhook import catalogs, serving
from webhook import server, store, tls
from webhook.config import OperatorSettings
from webhook.service import Limits, Service
from webhook.worker import Worker

SETTINGS = OperatorSettings(image="podkeys.example.com/podkeys:1")


def make(home: Path, limits: Limits) -> tuple[Worker, socket.socket]:
    """A worker that is ready to run, and its listener."""
    serving.write_certificate(home)
    folder, cluster_file = catalogs.write(home)
    service = Service(
        SETTINGS,
        store.kept(folder, cluster_file, lambda _: None),
        tls.kept(home / "tls.crt", home / "tls.key", lambda _: None),
        limits,
    )
    cfg = Config()
    for name, value in (("threads", limits.threads), ("keepalive", server.KEEPALIVE_SECONDS)):
        cfg.set(name, value)
    cfg.set("worker_connections", server.MAX_CONNECTIONS)
    listener = socket.create_server(("127.0.0.1", 0))
    worker = Worker(1, os.getppid(), [listener], SimpleNamespace(service=service), 30, cfg, Logger(cfg))
    worker.tpool, worker.poller = worker.get_thread_pool(), DefaultSelector()
    worker.method_queue.init()
    return worker, listener


@dataclass(frozen=True, slots=True)
class Running:
    worker: Worker
    port: int

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=serving.START_SECONDS)

    def connect(self) -> ssl.SSLSocket:
        return serving.lenient().wrap_socket(self.raw())


@contextmanager
def running(home: Path, limits: Limits, app: Any, most: int = server.MAX_CONNECTIONS) -> Iterator[Running]:  # noqa: ANN401 - any WSGI application
    worker, listener = make(home, limits)
    worker.wsgi, worker.most = app, most
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with closing(listener):
        yield Running(worker, listener.getsockname()[1])
        worker.alive = False
        worker.method_queue.defer(lambda: None)
        thread.join(serving.START_SECONDS)
        assert not thread.is_alive(), "a connection was not counted out"
    worker.tmp.close()


def bound(act: Any, conn: Any) -> Any:  # noqa: ANN401 - as the worker binds its callbacks
    return partial(act, conn)
