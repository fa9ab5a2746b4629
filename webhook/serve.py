"""`podkeys webhook serve`: flags to a running service."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from webhook import logs, server, service, store, tls
from webhook.kept import Kept
from webhook.options import Command, catalog_options, operator_settings, option, settings_options
from webhook.server import Listeners
from webhook.service import Limits, Service

BACKLOG = 2048
MAX_PORT = 65535
_DEFAULTS = Limits()
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def address(text: str) -> tuple[str, int]:
    """HOST:PORT → (host, port). An IPv6 address stands in brackets; port 0 is a free one."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= MAX_PORT):
        raise click.BadParameter(f"got {text!r}, expected HOST:PORT such as 0.0.0.0:8443 or [::]:8443")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _seconds(flag: str, text: str, most: float, default: float) -> Callable[[Command], Command]:
    least = 0 if flag == "--drain" else 0.1
    return option(flag, text, type=click.FloatRange(least, most), default=default)


@click.command()
@option(
    "--listen",
    "Where the API server posts admission reviews, to /mutate.",
    type=address,
    default="0.0.0.0:8443",
    metavar="HOST:PORT",
)
@option(
    "--metrics-listen",
    "Where /healthz, /readyz and /metrics answer, without TLS.",
    type=address,
    default="0.0.0.0:8080",
    metavar="HOST:PORT",
)
@option("--tls-cert", "PEM certificate chain; read again when it changes.", type=_FILE, required=True)
@option("--tls-key", "Its PEM key, unencrypted.", type=_FILE, required=True)
@catalog_options
@settings_options
@option("--threads", "Requests answered at a time.", type=click.IntRange(2, 64), default=_DEFAULTS.threads)
@_seconds("--handshake-timeout", "Seconds for a TLS handshake.", 30, _DEFAULTS.handshake_seconds)
@_seconds("--request-timeout", "Seconds for all of a request to arrive.", 30, _DEFAULTS.request_seconds)
@_seconds("--drain", "Seconds to go on serving after SIGTERM, no longer ready.", 15, _DEFAULTS.drain_seconds)
@_seconds("--catalog-poll", "Seconds between looks at the catalog's files.", 300, _DEFAULTS.poll_seconds)
@option(
    "--log-level",
    "Least level that is logged, as JSON lines on stderr.",
    type=click.Choice(logs.LEVELS),
    default="info",
)
def serve(**flags: Any) -> None:  # noqa: ANN401 - click hands out values of many types
    """Answer the API server's admission reviews over TLS, until SIGTERM.

    \b
    Example:
      podkeys webhook serve --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key \\
        --catalog generated/eu-nl-prod-a/catalog --cluster generated/eu-nl-prod-a/cluster.json \\
        --image podkeys.example.com/podkeys:0.1.0

    Without a valid catalog it starts, isn't ready, and refuses pods until the catalog's files are right.
    """  # noqa: D301 - click reads the character
    settings = operator_settings(**flags)
    logs.configure(flags["log_level"])
    shared = Service(
        settings,
        store.kept(flags["catalog"], flags["cluster"], service.catalog_changed),
        _certificate(flags["tls_cert"], flags["tls_key"]),
        _limits(flags),
    )
    listeners = Listeners(
        _bind("--listen", *flags["listen"]), _bind("--metrics-listen", *flags["metrics_listen"])
    )
    addresses = {"admission": _shown(listeners.admission), "metrics": _shown(listeners.metrics)}
    logs.event(logging.INFO, "listening", addresses)
    server.run(shared, listeners, flags["log_level"])


def _limits(flags: dict[str, Any]) -> Limits:
    return Limits(
        threads=flags["threads"],
        handshake_seconds=flags["handshake_timeout"],
        request_seconds=flags["request_timeout"],
        drain_seconds=flags["drain"],
        poll_seconds=flags["catalog_poll"],
    )


def _certificate(cert: Path, key: Path) -> Kept[tls.Serving]:
    try:
        return tls.kept(cert, key, service.certificate_changed)
    except tls.TLSError as error:
        raise click.ClickException(str(error)) from None


def _bind(flag: str, host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise click.ClickException(
            f"{flag}: can't listen on {host}:{port}: {error.strerror or error}; choose a free address of this machine"
        ) from None


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
