"""`podkeys certs`: what stands in a pod's certificate folders, and whether it is good."""

import datetime as dt
import ipaddress
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from certs import render
from certs.errors import CertificateError
from certs.read import read
from certs.report import Expected, Report, reports

_PATH = click.argument("path", type=click.Path(exists=True, path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="A JSON document instead of text.")
_CA = click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this PEM bundle, not the folder's own.",
)


@click.group()
def group() -> None:
    """Show and verify certificates and SVIDs; private keys are compared and never printed.

    PATH is one PEM file, a certificate's folder (tls.crt, tls.key, ca.crt, tls.pem, or svid.pem, svid.key,
    bundle.pem), or a folder that holds such folders, as /var/run/podkeys does.

    \b
    Examples:
      podkeys certs show /var/run/podkeys
      podkeys certs verify /var/run/podkeys/certs/serving --dns payments.payments.svc
    """  # noqa: D301 - click reads the character


@group.command(short_help="All about certificates, and what is wrong with them")
@_PATH
@_CA
@_JSON
def show(path: Path, ca: Path | None, *, as_json: bool) -> None:
    """Everything about the certificates at PATH, and what is wrong with them.

    \b
    Examples:
      podkeys certs show /var/run/podkeys
      podkeys certs show /var/run/podkeys/certs/serving --json
      podkeys certs show tls.crt --ca ca.crt

    Exit codes: 0 nothing wrong, 1 findings, 64 usage.
    """  # noqa: D301 - click reads the character
    _run(path, Expected(ca=_bundle(ca)), as_json=as_json, text=render.full)


@group.command(short_help="Whether certificates are good, and have these names")
@_PATH
@click.option(
    "--dns", multiple=True, metavar="NAME", help="A DNS name that must be in it, exactly. Repeatable."
)
@click.option("--ip", multiple=True, metavar="ADDRESS", help="An IP address that must be in it. Repeatable.")
@click.option("--spiffe-id", default="", metavar="ID", help="The SPIFFE ID that it must carry.")
@_CA
@_JSON
def verify(
    path: Path, *, dns: tuple[str, ...], ip: tuple[str, ...], spiffe_id: str, ca: Path | None, as_json: bool
) -> None:
    """Whether the certificates at PATH are good: key match, validity, chain, usages, SVID rules, names.

    \b
    Examples:
      podkeys certs verify /var/run/podkeys
      podkeys certs verify /var/run/podkeys/certs/serving --dns payments.payments.svc
      podkeys certs verify svid.pem --ca bundle.pem --spiffe-id spiffe://example.com/ns/payments/sa/payments-api

    Exit codes: 0 good, 1 findings, 64 usage.
    """  # noqa: D301 - click reads the character
    expected = Expected(dns, tuple(_address(text) for text in ip), spiffe_id, _bundle(ca), chained=True)
    _run(path, expected, as_json=as_json, text=render.short)


def _run(path: Path, expected: Expected, *, as_json: bool, text: Callable[[Report], Text]) -> None:
    """Print and exit: 1 if there is a finding, or if something can't be read."""
    found, unreadable = _reports(path, expected, dt.datetime.now(dt.UTC))
    if (expected.dns_names or expected.ip_addresses or expected.spiffe_id) and len(found) > 1:
        raise click.UsageError(
            f"{path} holds {len(found)} certificates; give the folder of the one that --dns, --ip and --spiffe-id are about"
        )
    if as_json:
        click.echo(render.as_json(found, unreadable))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for item in (*map(text, found), *(render.unreadable(message) for message in unreadable)):
            console.print(item)
    if unreadable or any(report.findings for report in found):
        click.get_current_context().exit(1)


def _reports(path: Path, expected: Expected, now: dt.datetime) -> tuple[list[Report], list[str]]:
    """What could be read, and the message for each part that couldn't: one broken file hides no other."""
    found: list[Report] = []
    unreadable: list[str] = []
    try:
        for files in read(path):
            try:
                found += reports(files, expected, now)
            except CertificateError as error:
                unreadable.append(str(error))
    except CertificateError as error:
        unreadable.append(str(error))
    return found, unreadable


def _bundle(ca: Path | None) -> bytes:
    if ca is None:
        return b""
    try:
        return read(ca)[0].chain
    except CertificateError as error:
        raise click.UsageError(f"--ca {error}") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise click.UsageError(f"--ip {text}: expected an IPv4 or IPv6 address") from None
