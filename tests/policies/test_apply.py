"""plan and apply against a real OpenBao, by the commands and by the parts they are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click.testing
import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import cli, plan, run, tree
from policies.apply.permissions import applying_policy
from policies.apply.server import connect
from policies.apply.state import Store, Stored
from tests.policies import trees

EAST = "sys/policies/acl/podkeys.east."


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    """A tree of one service role; its policies are gone from the shared server afterwards."""
    tree_ = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    tree_.role("payments", "payments")
    yield tree_
    for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"]:
        if name.startswith("podkeys."):
            bao.call("DELETE", f"sys/policies/acl/{name}")


@dataclass
class Counting:
    """Passes everything on to a real server, and notes the writes."""

    inner: Store
    writes: list[str] = field(default_factory=list)

    def names(self, listing: str) -> Sequence[str]:
        return self.inner.names(listing)

    def read(self, path: str) -> Stored | None:
        return self.inner.read(path)

    def write(self, path: str, fields: Mapping[str, Any]) -> None:
        self.writes.append(path)
        self.inner.write(path, fields)

    def delete(self, path: str) -> None:
        self.writes.append(path)
        self.inner.delete(path)


def podkeys(command: str, made: trees.Tree, token: str, *more: str) -> click.testing.Result:
    """One run of `podkeys policies plan` or `apply` on the tree."""
    return click.testing.CliRunner().invoke(
        {"plan": cli.plan, "apply": cli.apply}[command],
        ["--cluster", made.cluster.name, "--generated", str(made.top), *more],
        env={"VAULT_TOKEN": token, "BAO_TOKEN": ""},
        standalone_mode=False,
    )


def decide(made: trees.Tree, store: Store, *, prune: bool = False) -> plan.Plan:
    desired = tree.read(made.top, made.cluster.name)
    return plan.decide(desired, run.read_current(store, desired), prune=prune)


def limited_token(bao: Server, text: str) -> str:
    """A token with this policy and no other."""
    bao.call("PUT", "sys/policies/acl/applying", {"policy": text})
    body = {"policies": ["applying"], "no_default_policy": True, "ttl": "10m"}
    return str(bao.call("POST", "auth/token/create", body)["auth"]["client_token"])


def test_an_empty_server_gets_everything_and_a_second_run_writes_nothing(
    bao: Server, made: trees.Tree
) -> None:
    """A second run is idempotent: no write call at all when nothing changed."""
    with connect(made.cluster, bao.root_token) as server:
        store = Counting(server)
        assert len(list(run.execute(decide(made, store), store))) == 5
        assert [path.split("/")[0] for path in store.writes] == [
            "sys",
            "sys",
            *sorted([made.cluster.serving_mount, made.cluster.identity_mount]),
            "auth",
        ]
        store.writes.clear()
        again = decide(made, store)
        assert list(run.execute(again, store)) == []
        assert store.writes == []
        assert again.unchanged == 5


def test_the_commands_say_what_they_do(bao: Server, made: trees.Tree) -> None:
    before = podkeys("plan", made, bao.root_token)
    assert before.return_value == 2, before.output
    assert "+ create policy sys/policies/acl/podkeys.east.payments.payments" in before.output
    assert "Plan for east: 5 to create" in before.output
    done = podkeys("apply", made, bao.root_token)
    assert (done.return_value, done.exception) == (0, None), done.output
    assert "Applied for east: 5 created" in done.output
    after = podkeys("plan", made, bao.root_token)
    assert (after.return_value, after.output) == (0, "Plan for east: no changes, 5 unchanged\n")


def test_the_documented_token_is_enough(bao: Server, made: trees.Tree) -> None:
    token = limited_token(bao, applying_policy(made.cluster))
    assert podkeys("plan", made, token).return_value == 2
    assert podkeys("apply", made, token).return_value == 0
    assert podkeys("plan", made, token).return_value == 0
