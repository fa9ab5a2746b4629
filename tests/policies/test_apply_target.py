"""`--target`: what is not named is neither written, nor deleted, nor in the way."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import scope
from policies.apply.errors import TargetError
from tests.policies import trees
from tests.policies.applying import Standing, forget, podkeys

EAST = ("--cluster", "east")


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    """Two roles in one namespace, one in another."""
    tree = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    for namespace, role in (("payments", "payments"), ("payments", "refunds"), ("shop", "shop")):
        tree.role(namespace, role)
    yield tree
    forget(bao)


def roles(bao: Server, made: trees.Tree) -> set[str]:
    return {name.removeprefix("podkeys.").rpartition(".")[0] for name in Standing(bao, made.cluster).logins()}


def test_one_role_is_applied_and_no_other(bao: Server, made: trees.Tree) -> None:
    result = podkeys("apply", made.top, bao.root_token, *EAST, "--target", "payments/refunds")
    assert (result.return_value, result.output.count("+ created")) == (0, 5)
    assert roles(bao, made) == {"payments.refunds"}


def test_a_namespace_stands_for_all_of_its_roles_and_targets_add_up(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made.top, bao.root_token, *EAST, "--target", "payments")
    assert roles(bao, made) == {"payments.payments", "payments.refunds"}
    both = ("--target", "shop/shop", "--target", "payments/refunds")
    plan = podkeys("plan", made.top, bao.root_token, *EAST, *both)
    assert "5 to create, 5 unchanged" in plan.output


def test_only_what_is_named_is_pruned(bao: Server, made: trees.Tree) -> None:
    """Invariant: nothing is deleted that nobody asked to."""
    podkeys("apply", made.top, bao.root_token, *EAST)
    shutil.rmtree(made.root / "shop")
    shutil.rmtree(made.root / "payments" / "refunds")
    podkeys("apply", made.top, bao.root_token, *EAST, "--prune", "--target", "shop/shop")
    assert roles(bao, made) == {"payments.payments", "payments.refunds"}
    assert podkeys("plan", made.top, bao.root_token, *EAST).output.count("kept:") == 5


def test_a_conflict_elsewhere_is_not_in_the_way(bao: Server, made: trees.Tree) -> None:
    bao.call("PUT", "sys/policies/acl/podkeys.east.shop.shop", {"policy": "# by hand"})
    assert podkeys("apply", made.top, bao.root_token, *EAST, "--target", "payments").return_value == 0
    assert podkeys("apply", made.top, bao.root_token, *EAST).return_value == 1


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("payments/refund", "; the nearest there: payments/refunds; nothing was done"),
        ("refunds", "; the nearest there: payments/refunds; nothing was done"),
        ("paymets", "; the nearest there: payments; nothing was done"),
        ("nowhere", "as in the tree; nothing was done"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_target_that_names_nothing_is_a_mistake(
    bao: Server, made: trees.Tree, command: str, target: str, meant: str
) -> None:
    """Nothing is written of what else is named, and no plan is shown that looks like an answer."""
    result = podkeys(command, made.top, bao.root_token, *EAST, "--target", target, "--target", "shop")
    assert (result.return_value, result.stdout) == (64, "")
    assert f"--target {target}: got no such service role in {made.top} nor on the server" in result.stderr
    assert meant in result.stderr
    assert Standing(bao, made.cluster).everything() == {}


def test_a_target_of_the_server_alone_is_known(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made.top, bao.root_token, *EAST)
    shutil.rmtree(made.root / "shop")
    for target in ("shop", "shop/shop"):
        plan = podkeys("plan", made.top, bao.root_token, *EAST, "--prune", "--target", target)
        assert (plan.return_value, "5 to delete" in plan.output) == (2, True)


def test_where_no_server_answers_what_is_in_no_tree_is_not_called_a_mistake(made: trees.Tree) -> None:
    result = podkeys("plan", made.top, "any", *EAST, "--address", "http://127.0.0.1:1", "--target", "nowhere")
    assert (result.return_value, "no answer" in result.stderr) == (69, True)


@pytest.mark.parametrize("target", ["", "/", "payments/", "Payments", "a/b/c", "pay*", "../x"])
def test_a_target_that_is_no_name_is_refused(target: str) -> None:
    with pytest.raises(TargetError, match="expected NAMESPACE or NAMESPACE/ROLE"):
        scope.parse([target])
