"""A run that ends half-way, at any write: what then stands is whole for everybody, and the next run completes it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import session
from policies.apply.scope import EVERYTHING
from policies.apply.session import Asked, Outside
from tests.policies import trees
from tests.policies.applying import Standing, document, forget, podkeys
from tests.policies.cut import When, cutting

EAST = ("--cluster", "east")
# One policy says whose turn it is, at the beginning and at the end. Between: 5 of a new role, an update, the identity of another
# role in two parts, and 5 of a role that goes.
WRITES = 1 + 5 + 1 + 2 + 5 + 1


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    """Applied before, and changed since: a role is new, one goes, and one loses its identity."""
    tree = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    for name in ("payments", "shop"):
        tree.role(name, name)
    assert podkeys("apply", tree.top, bao.root_token, *EAST).return_value == 0
    shutil.rmtree(tree.root / "shop")
    tree.role("stock", "stock")
    payments = tree.root / "payments" / "payments"
    (payments / "policy.api.hcl").unlink()
    (payments / "identity.api.json").unlink()
    tree.edit("payments/payments/auth.api.json", token_policies=["podkeys.east.payments.payments"])
    yield tree
    forget(bao)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_connection_that_ends_at_a_write_leaves_no_login_without_its_policies(
    bao: Server, made: trees.Tree, number: int, when: When
) -> None:
    """Also where the server did what was asked and its answer was lost. The next run goes on from there."""
    standing = Standing(bao, made.cluster)
    with cutting(bao.address, number, when) as between:
        stopped = podkeys("apply", made.top, bao.root_token, *EAST, "--prune", "--address", between.address)
        assert between.cut
    assert stopped.return_value == 69, stopped.output
    assert standing.logins_without_a_policy() == []
    again = podkeys("apply", made.top, bao.root_token, *EAST, "--prune")
    assert again.return_value == 0, again.output
    assert standing.logins_without_a_policy() == []
    assert podkeys("plan", made.top, bao.root_token, *EAST, "--prune").return_value == 0
    assert set(standing.logins()) == {"podkeys.payments.payments.api", "podkeys.stock.stock.api"}


def test_there_are_no_more_writes_than_those(bao: Server, made: trees.Tree) -> None:
    with cutting(bao.address, WRITES + 1, "before") as between:
        done = podkeys("apply", made.top, bao.root_token, *EAST, "--prune", "--address", between.address)
    assert (done.return_value, between.writes, between.cut) == (0, WRITES, False)


def test_the_report_of_a_run_that_stopped_says_what_is_done(bao: Server, made: trees.Tree) -> None:
    with cutting(bao.address, 4, "before") as between:
        where = ("--address", between.address)
        found = document(podkeys("apply", made.top, bao.root_token, *EAST, *where, "--json"))
    assert (found["exitCode"], len(found["done"]), len(found["changes"])) == (69, 2, 6)
    assert "stopped at 3 of 6 changes" in found["error"]
    assert json.dumps(found["changes"][:2]).count("podkeys.east.stock.stock") >= 2
    with cutting(bao.address, 4, "before") as between:
        text = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address).output
    assert "Stopped for east: 2 created" in text


@pytest.mark.parametrize("after", range(1, WRITES - 2))
def test_an_interrupted_run_ends_before_its_next_step(bao: Server, made: trees.Tree, after: int) -> None:
    """What is written is read back first. The next run goes on from there."""
    said: list[str] = []
    outside = Outside(
        environment={"BAO_TOKEN": bao.root_token},
        clock=lambda: 0.0,
        run=lambda: "interrupted",
        track=lambda _: iter,
        said=lambda step: said.append(step.path),
        interrupted=lambda: len(said) == after,
    )
    asked = Asked(made.top, None, (), None, "", prune=True, revoke=False, scope=EVERYTHING)
    outcome = session.apply("east", asked, outside)
    assert (outcome.exit_code(applied=True), len(outcome.done)) == (130, after)
    assert f"interrupted\ndone before it, and standing: {after};" in str(outcome.error)
    assert Standing(bao, made.cluster).logins_without_a_policy() == []
    assert podkeys("apply", made.top, bao.root_token, *EAST, "--prune").return_value == 0


def test_an_interrupted_reading_is_no_answer(bao: Server, made: trees.Tree) -> None:
    asked = Asked(made.top, None, (), None, "", prune=True, revoke=False, scope=EVERYTHING)
    pressed: list[None] = []

    def seen(things: Sequence[str]) -> Iterator[str]:
        for thing in things:
            pressed.append(None)
            yield thing

    outside = Outside(
        {"BAO_TOKEN": bao.root_token},
        lambda: 0.0,
        lambda: "",
        lambda _: seen,
        lambda _: None,
        lambda: bool(pressed),
    )
    outcome = session.plan("east", asked, outside)
    assert (outcome.exit_code(applied=False), outcome.plan, len(pressed)) == (130, None, 1)


def test_what_outlives_a_removal_is_told_only_of_what_was_removed(bao: Server, made: trees.Tree) -> None:
    with cutting(bao.address, 1 + 5 + 1 + 1 + 1, "before") as between:  # after the first login is deleted
        where = ("--address", between.address, "--prune")
        stopped = podkeys("apply", made.top, bao.root_token, *EAST, *where).output
    assert between.cut
    assert "stays: batch tokens of" in stopped
    assert "certificates signed by" not in stopped
    whole = podkeys("apply", made.top, bao.root_token, *EAST, "--prune").output
    assert "stays: certificates signed by" in whole
