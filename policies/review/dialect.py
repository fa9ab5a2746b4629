"""Which server's rules decide: those of --dialect, else of the server that was asked, else the newest OpenBao's."""

from collections.abc import Iterator

import click

from policies.acl.dialects import DIALECTS, NEWEST, Dialect, of_server
from policies.apply.protections import Product


def chosen(name: str | None, product: Product | None) -> Dialect:
    """Where a server was asked, standard error says which it is; an answer on standard output stays what programs read."""
    dialect = decide(name, product)
    for line in notes(name, product):
        click.echo(line, err=True)
    return dialect


def decide(name: str | None, product: Product | None) -> Dialect:
    if name is not None:
        return DIALECTS[name]
    return NEWEST if product is None else of_server(product.name, product.version)[0]


def notes(name: str | None, product: Product | None) -> Iterator[str]:
    """What to tell whoever asked a server."""
    if product is None:
        return
    own, note = of_server(product.name, product.version)
    if note:
        yield f"Note: {product} {note}: its own rules may differ"
    if name not in (None, own.name):
        yield f"Note: got --dialect {name}, expected {own.name} for {product}: the server may decide otherwise"
    yield f"Decided as {name or own.name} does; the server is {product}"
