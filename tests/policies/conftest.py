"""Fixtures of the tests about policies."""

from collections.abc import Iterator

import pytest

from tests.policies.identity_bench import Bench, running


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with running() as found:
        yield found
