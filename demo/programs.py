"""The project's own commands and the webhook's client, as a person and an API server use them."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.screen import fail

PODKEYS = str(Path(sys.executable).with_name("podkeys"))


def podkeys(*words: str, codes: tuple[int, ...] = (0,), env: Mapping[str, str] | None = None) -> str:
    """Run one command; its standard output. Ends the demo when the exit code is not one of `codes`."""
    result = subprocess.run(
        [PODKEYS, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        timeout=60,
    )
    if result.returncode not in codes:
        fail(f"podkeys {' '.join(words)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Webhook:
    """The webhook as its only client, the API server, sees it."""

    def __init__(self, port: int, ca: Path, pid: int) -> None:
        self.port, self.pid = port, pid
        context = ssl.create_default_context(cafile=str(ca))
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)

    def close(self) -> None:
        self._connection.close()

    def review(self, review: Mapping[str, Any]) -> dict[str, Any]:
        """Post one AdmissionReview; the `response` object of the answer."""
        self._connection.request("POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
            fail(f"the webhook answered {answer.status}: {body[:300]!r}")
        response: dict[str, Any] = json.loads(body)["response"]
        return response


@contextmanager
def webhook(flags: list[str], certificate: Path, key: Path, log: Path) -> Iterator[Webhook]:
    """Serve over TLS on a free port until the block ends; SIGTERM must end it cleanly."""
    port, metrics_port = free_port(), free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--metrics-listen", f"127.0.0.1:{metrics_port}"]
    pair = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PODKEYS, "webhook", "serve", *listen, *pair, *flags], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_ready(metrics_port, process, log)
        hook = Webhook(port, certificate, process.pid)
        yield hook
        hook.close()  # a client that stays would be waited for
    finally:
        process.terminate()
        process.wait(20)
    if process.returncode != 0:
        fail(f"the webhook ended with exit code {process.returncode}:\n{log.read_text()[-1000:]}")


def _wait_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:  # noqa: PLR2004 - HTTP's own number
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.05)
    fail(f"the webhook did not become ready:\n{log.read_text()[-1000:]}")
