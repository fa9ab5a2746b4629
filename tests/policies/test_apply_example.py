"""The example tree, as the generator wrote it: what it asks for, a real server keeps."""

from pathlib import Path

import click.testing
import pytest

import podkeys
from demo import openbao
from policies.apply import tree
from policies.apply.permissions import applying_policy

GENERATED = Path(__file__).parents[2] / "deploy" / "example" / "generated"
CLUSTERS = sorted(path.parent.name for path in GENERATED.glob("*/cluster.json"))


@pytest.mark.openbao_only(
    "the example has podIP, and a server namespace, which HashiCorp Vault Community cannot hold"
)
@pytest.mark.parametrize("name", CLUSTERS)
def test_the_example_is_applied_by_the_documented_token_and_stays_as_it_is(name: str) -> None:
    """Every field that the generator writes comes back from the server: no protection is dropped or renamed."""
    cluster = tree.read(GENERATED, name).cluster
    space = f"{cluster.vault_namespace}/" if cluster.vault_namespace else ""
    with openbao.running() as server:
        if space:
            server.call("POST", f"sys/namespaces/{cluster.vault_namespace}")
        server.call("POST", f"{space}sys/auth/{cluster.auth_mount}", {"type": cluster.auth_method})
        for mount in (cluster.serving_mount, cluster.identity_mount):
            server.call("POST", f"{space}sys/mounts/{mount}", {"type": "pki"})
        server.call("PUT", f"{space}sys/policies/acl/applying", {"policy": applying_policy(cluster)})
        body = {"policies": ["applying"], "no_default_policy": True}
        token = server.call("POST", f"{space}auth/token/create", body)["auth"]["client_token"]
        results = [
            click.testing.CliRunner().invoke(
                podkeys.cli,
                [
                    "policies",
                    command,
                    f"--cluster={name}",
                    f"--generated={GENERATED}",
                    f"--address={server.address}",
                ],
                env={"BAO_TOKEN": token},
                standalone_mode=False,
            )
            for command in ("plan", "apply", "plan", "apply")
        ]
    assert [result.return_value for result in results] == [2, 0, 0, 0], results[1].output
    assert "nothing to do" in results[3].output


def test_there_is_an_example() -> None:
    assert CLUSTERS
