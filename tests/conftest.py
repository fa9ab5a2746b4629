"""Fixtures that every package's tests share: the real server, with mounts of its own for each test."""

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from demo import mounts as demo_mounts
from demo import openbao
from demo.service_accounts import Issuer

settings.register_profile("podkeys", deadline=None, derandomize=True)
settings.load_profile("podkeys")


@pytest.fixture(scope="session")
def bao() -> Iterator[openbao.Server]:
    """One OpenBao for the whole run; tests share nothing on it but what `mounts` makes for each."""
    with openbao.running() as server:
        yield server


@pytest.fixture
def mounts(bao: openbao.Server) -> Iterator[demo_mounts.Mounts]:
    """Fresh mounts whose names no other test uses; gone afterwards."""
    tag = uuid.uuid4().hex[:8]
    names = demo_mounts.Mounts(
        f"kv-{tag}", f"kv1-{tag}", f"pki-{tag}", f"spiffe-{tag}", f"jwt-{tag}", Issuer()
    )
    demo_mounts.create(bao, names)
    yield names
    demo_mounts.remove(bao, names)
