"""`podkeys policies bundle` and `podkeys policies verify`."""

import base64
import json
import os
from pathlib import Path

import click

from policies.apply import bundle as bundles
from policies.apply.bundle import Bundle
from policies.apply.credentials import FROM_ENVIRONMENT, Target, read_token, target
from policies.apply.errors import ApplyError, RefusedError, TreeError
from policies.apply.server import anywhere, connect
from policies.apply.show import plain

_GENERATED = click.option(
    "--generated",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("generated"),
    show_default=True,
    help="The tree that `podkeys policies generate` writes.",
)


def _fail(error: ApplyError) -> click.exceptions.Exit:
    click.echo("\n".join(map(plain, f"Error: {error}".split("\n"))), err=True)
    return click.exceptions.Exit(error.exit_code)


@click.command(short_help="Sign the generated tree as it was reviewed")
@_GENERATED
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="An Ed25519 private key, PEM.")
@click.option(
    "--transit", metavar="MOUNT/NAME", help="A key of type ed25519 in the server's transit engine, instead."
)
@click.option(
    "--address",
    default="",
    metavar="URL",
    help=f"The server of --transit; {FROM_ENVIRONMENT} takes BAO_ADDR or VAULT_ADDR.",
)
@click.option("--ca-file", type=click.Path(path_type=Path), help="The server's CA, PEM; else the system's.")
@click.option("--server-namespace", default="", help="The server's namespace.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the server token of --transit; else BAO_TOKEN, else VAULT_TOKEN.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Write the bundle here.")
def bundle(
    generated: Path,
    key: Path | None,
    transit: str | None,
    address: str,
    output: Path,
    **server: Path | str | None,
) -> int:
    """Write a file with the digests of the tree, signed: what it says was reviewed, and nothing else is applied
    by `podkeys policies apply --require-bundle`.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out review.pem
      openssl pkey -in review.pem -pubout -out review.pub.pem
      podkeys policies bundle --key review.pem -o bundle.json
      podkeys policies bundle --transit transit/review --address https://vault.example.com:8200 -o bundle.json

    Exit codes: 0 written; 1 refused; 64 usage; 69 no answer from the server.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    if (key is None) == (transit is None) or bool(transit) != bool(address):
        raise click.UsageError("expected --key FILE, or --transit MOUNT/NAME with --address URL")
    try:
        files = bundles.digests(generated)
        text = bundles.signed_bytes(files)
        signature = (
            bundles.private_key(key).sign(text) if key else _by_transit(str(transit), text, address, **server)
        )
        _write(output, Bundle(files, signature))
    except ApplyError as error:
        raise _fail(error) from error
    click.echo(f"{output}: {len(files)} files, signed.")
    return 0


def _write(output: Path, signed: Bundle) -> None:
    try:
        output.write_bytes(bundles.to_json(signed))
    except OSError as error:
        raise TreeError(f"-o {output}: can't be written: {error.strerror}; expected a file") from None


def _by_transit(key: str, text: bytes, address: str, **server: Path | str | None) -> bytes:
    mount, _, name = key.rpartition("/")
    if not (mount and name):
        raise click.UsageError(f"--transit {key}: expected MOUNT/NAME, such as transit/review")
    ca_file, token_file = server["ca_file"], server["token_file"]
    place = target(
        Target(address, str(server["server_namespace"]), Path(ca_file) if ca_file else None), os.environ
    )
    cluster = anywhere(place.address, place.namespace, _pem(place.ca_file) if place.ca_file else "")
    needs = f"its policy must allow update on {mount}/sign/{name}"
    token = read_token(Path(token_file) if token_file else None, os.environ, needs)
    with connect(cluster, token) as connected:
        answer = connected.ask(f"{mount}/sign/{name}", {"input": base64.b64encode(text).decode()})
    signature = str(answer.get("signature", "")).rpartition(":")[2]
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        raise RefusedError(f"{key}: got no signature, expected a key of type ed25519") from None


def _pem(ca_file: Path) -> str:
    try:
        return ca_file.read_text()
    except (OSError, UnicodeDecodeError):
        raise RefusedError(f"--ca-file {ca_file}: can't be read, expected certificates in PEM") from None


@click.command(short_help="Check that a tree is the one that was reviewed")
@click.argument("bundle_file", metavar="BUNDLE", type=click.Path(path_type=Path))
@_GENERATED
@click.option(
    "--public-key",
    "public_keys",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Whose signature counts, PEM; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON on standard output.")
def verify(bundle_file: Path, generated: Path, public_keys: tuple[Path, ...], *, as_json: bool) -> int:
    """Check the signature of BUNDLE and that every file of the tree is as it was signed, with none missing and none added.

    \b
    Example:
      podkeys policies verify bundle.json --public-key review.pub.pem

    Exit codes: 0 it is; 1 it is not; 64 usage.
    """  # noqa: D301 - \b is click's mark for lines as they stand
    try:
        reviewed = bundles.verified(bundle_file, map(bundles.public_key, public_keys))
        found = bundles.differences(reviewed.files, bundles.digests(generated))
    except ApplyError as error:
        raise _fail(error) from error
    if as_json:
        click.echo(json.dumps({"files": len(reviewed.files), "differences": found}, indent=2))
    else:
        click.echo("\n".join(map(plain, found)) or f"{len(reviewed.files)} files as they were signed.")
    return int(bool(found))
