"""Fixtures of the tests about policies."""

from collections.abc import Iterator

import pytest

from demo.openbao import Server
from policies.acl.dialects import Dialect, of_server
from policies.apply.protections import product
from tests.policies.identity_bench import Bench, running


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def dialect(bao: Server) -> Dialect:
    """How the server of the tests decides, by what it says of itself."""
    server = product(bao.call("GET", "sys/health"))
    return of_server(server.name, server.version)[0]
