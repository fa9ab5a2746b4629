"""Fixtures that every package's tests share: the real server, with mounts of its own for each test."""

import os
import signal
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from demo import mounts as demo_mounts
from demo import openbao, redis
from demo.service_accounts import Issuer

settings.register_profile("podkeys", deadline=None, derandomize=True)
settings.load_profile("podkeys")


OPENBAO_ONLY = "openbao_only"  # a marker with its reason: what HashiCorp Vault has not, or does otherwise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get(openbao.VARIABLE):
        return
    for item in items:
        for marker in item.iter_markers(OPENBAO_ONLY):
            item.add_marker(pytest.mark.skip(reason=f"OpenBao alone: {marker.args[0]}"))


def pytest_configure() -> None:
    """What tests start hears Ctrl-C, even where they run with `nohup` or in the background: what is ignored would be so there, too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    for name in [name for name in os.environ if name.startswith(("BAO_", "VAULT_"))]:
        del os.environ[name]  # of whoever runs the tests: commands say what of it they do not use


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


@pytest.fixture
def database(bao: openbao.Server) -> Iterator[str]:
    """The API path of short-lived accounts of a real Redis, such as database-1f/creds/orders."""
    if not redis.available():
        reason = "no redis-server on PATH, and database leases need one (Debian: apt install redis-server)"
        if os.environ.get("PODKEYS_TESTS") == "all":
            pytest.fail(reason)
        pytest.skip(reason)
    mount = f"database-{uuid.uuid4().hex[:8]}"
    with redis.database(bao, mount, "orders"):
        yield f"{mount}/creds/orders"
