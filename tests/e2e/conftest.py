"""One installation for the whole run.

Needs KUBECONFIG, kubectl and helm, and the images localhost/podkeys:e2e and localhost/openbao:e2e in the nodes
(`make e2e LOAD=...` builds and loads them). E2E_FOLDER names a folder that keeps what a person who writes tests needs
to use the same installation again; without it, each run makes everything anew.

What not every cluster lets one reach comes by a variable of its own, and the test that needs it is skipped without it:
E2E_ETCD, the address of etcd's JSON gateway; E2E_NODE_STATE, the folder of the node's container runtime;
E2E_OTHER_KUBECONFIG, of a second cluster, whose tokens are tried at the first one's mount.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, installed


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("no KUBECONFIG: these tests need a cluster to try things in, never one that is used")
    given = os.environ.get("E2E_FOLDER", "")
    folder = Path(given) if given else tmp_path_factory.mktemp("e2e")
    folder.mkdir(parents=True, exist_ok=True)
    with installed(folder) as found:
        yield found
