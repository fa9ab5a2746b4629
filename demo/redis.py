"""A real Redis on a free port, for short-lived accounts. It is optional: `available` says whether it is installed."""

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from demo.openbao import Server


def available() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def database(server: Server, mount: str, role: str, *, ttl: str = "1h") -> Iterator[int]:
    """Start Redis, mount a database engine at `mount` whose `role` makes read-only accounts. Yields Redis's port."""
    password = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="podkeys-redis-") as folder:
        port = _free_port()
        process = subprocess.Popen(
            ["redis-server", "-"],  # settings on standard input: a password has no place in a process list
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        if process.stdin is None:
            raise RuntimeError("redis-server has no standard input")
        process.stdin.write(f'bind 127.0.0.1\nport {port}\nsave ""\nrequirepass {password}\n'.encode())
        process.stdin.close()
        try:
            _wait(port, process)
            server.call("POST", f"sys/mounts/{mount}", {"type": "database"})
            connection = {
                "plugin_name": "redis-database-plugin",
                "host": "127.0.0.1",
                "port": port,
                "username": "default",
                "password": password,
                "allowed_roles": role,
            }
            server.call("POST", f"{mount}/config/demo", connection)
            statements = {
                "db_name": "demo",
                "creation_statements": '["~*", "+@read"]',
                "default_ttl": ttl,
                "max_ttl": "24h",
            }
            server.call("POST", f"{mount}/roles/{role}", statements)
            yield port
            server.call("DELETE", f"sys/mounts/{mount}")
        finally:
            process.terminate()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    "redis-server did not start; is it installed and may it listen on loopback?"
                ) from None
            time.sleep(0.02)
        else:
            return
