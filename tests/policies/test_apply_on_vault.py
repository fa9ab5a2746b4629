"""Plan and apply on HashiCorp Vault: what it lacks is said or refused, and simultaneous changes are seen. (Which server, test_vault_facts.py says.)"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import session
from policies.apply.outcome import Outcome
from policies.apply.scope import EVERYTHING
from policies.apply.session import Asked, Outside
from tests.policies import trees
from tests.policies.applying import Standing, forget, podkeys
from tests.policies.as_vault import VaultLike, vault_like

EAST = ("--cluster", "east")
POLICY = "sys/policies/acl/podkeys.east.payments.payments"
NOTE = "sys/policies/acl/podkeys.east.apply"
PAIRS = int(os.environ.get("PODKEYS_PAIRS", "10"))


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    tree = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    for name in ("payments", "shop"):
        tree.role(name, name)
    yield tree
    forget(bao)


@pytest.fixture
def vault(bao: Server) -> Iterator[VaultLike]:
    with vault_like(bao.address) as between:
        yield between


def test_certificates_and_identities_are_applied_and_a_second_run_changes_nothing(
    bao: Server, made: trees.Tree, vault: VaultLike
) -> None:
    at = ("--address", vault.address)
    planned = podkeys("plan", made.top, bao.root_token, *EAST, *at)
    assert planned.return_value == 2
    for words in ("has no check-and-set for policies", "no not_after_bound and no not_before_bound"):
        assert words in planned.output
    assert "What this means (decided as vault-1.21 does; the server is HashiCorp Vault 1." in planned.output
    applied = podkeys("apply", made.top, bao.root_token, *EAST, *at)
    assert (applied.return_value, "10 created" in applied.output) == (0, True), applied.output
    again = podkeys("plan", made.top, bao.root_token, *EAST, *at)
    assert (again.return_value, "no changes, 10 unchanged" in again.output) == (0, True)


def test_a_role_that_depends_on_what_is_lacking_is_refused_before_the_first_write_and_alone(
    bao: Server, made: trees.Tree, vault: VaultLike
) -> None:
    made.edit("payments/payments/pki.serving.json", **trees.POD_IP)
    at = ("--address", vault.address)
    for command in ("plan", "apply", "apply"):
        result = podkeys(command, made.top, bao.root_token, *EAST, *at)
        assert result.return_value == 1
        assert "of service role payments/payments: PKI roles of HashiCorp Vault 1." in result.output
        assert "take podIP out of the role file" in result.output
    assert not [path for _, path in vault.writes if "payments" in path]
    assert set(Standing(bao, made.cluster).logins()) == {"podkeys.shop.shop.api"}


def test_a_role_that_exists_keeps_what_it_had_when_it_asks_for_what_is_lacking(
    bao: Server, made: trees.Tree, vault: VaultLike
) -> None:
    """Written all the same, the role would sign any address: seen on the real server."""
    at = ("--address", vault.address)
    assert podkeys("apply", made.top, bao.root_token, *EAST, *at).return_value == 0
    before = Standing(bao, made.cluster).everything()
    made.edit("payments/payments/pki.serving.json", **trees.POD_IP)
    assert podkeys("apply", made.top, bao.root_token, *EAST, *at, "--prune").return_value == 1
    assert Standing(bao, made.cluster).everything() == before


def test_a_namespace_is_refused_where_it_would_be_ignored(
    bao: Server, mounts: Mounts, tmp_path: Path, vault: VaultLike
) -> None:
    """The plan would be made against the root namespace, and apply write there."""
    made = trees.Tree(tmp_path, trees.cluster(mounts, vault.address, vault_namespace="team-a")).start()
    made.role("payments", "payments")
    for command in ("plan", "apply"):
        result = podkeys(command, made.top, bao.root_token, *EAST)
        assert result.return_value == 1
        assert "has no namespaces" in result.output
        assert "spec.vault.namespace" in result.output
    assert vault.writes == []


def once(condition: Callable[[str, str], bool], act: Callable[[], object]) -> Callable[[str, str], None]:
    done = threading.Event()

    def before(method: str, path: str) -> None:
        if not done.is_set() and condition(method, path):
            done.set()
            act()

    return before


def test_a_policy_that_somebody_writes_between_reading_and_writing_is_left_and_named(
    bao: Server, made: trees.Tree
) -> None:
    """There is no check-and-set that would fail."""
    theirs = trees.policy_text("kv/data/theirs")
    meddle = once(
        lambda method, path: (method, path) == ("PUT", "sys/policies/acl/podkeys.east.payments.payments.api"),
        lambda: bao.call("PUT", "sys/policies/acl/podkeys.east.shop.shop", {"policy": theirs}),
    )
    with vault_like(bao.address, meddle) as between:
        result = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address)
    assert result.return_value == 1
    assert "! failed service role shop/shop" in result.output
    assert "somebody else changed it since it was read" in result.output
    assert bao.call("GET", "sys/policies/acl/podkeys.east.shop.shop")["data"]["policy"] == theirs
    assert "podkeys.payments.payments.api" in Standing(bao, made.cluster).logins()


def test_a_policy_that_somebody_overwrites_after_it_was_read_back_is_not_said_to_be_applied(
    bao: Server, made: trees.Tree
) -> None:
    theirs = trees.policy_text("kv/data/theirs")
    login = f"auth/{made.cluster.auth_mount}/role/podkeys.shop.shop.api"
    meddle = once(
        lambda method, path: (method, path) == ("POST", login),
        lambda: bao.call("PUT", POLICY, {"policy": theirs}),
    )
    with vault_like(bao.address, meddle) as between:
        result = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address)
    assert result.return_value == 1
    assert f"somebody else changed what this run wrote: {POLICY}" in result.output
    assert "Applied" not in result.output


def test_of_two_runs_at_the_same_moment_none_says_done_over_a_tree_that_is_not_its_own(
    bao: Server, mounts: Mounts, tmp_path: Path, vault: VaultLike
) -> None:
    """PODKEYS_PAIRS of them, in threads, as chance has it."""
    folders = []
    for name in ("first", "second"):
        made = trees.Tree(tmp_path / name, trees.cluster(mounts, vault.address)).start()
        made.role("payments", "payments", entry=name)
        made.role(name, name)
        folders.append(made.top)

    def run(work: Callable[[str, Asked, Outside], Outcome], top: Path, wait: threading.Barrier) -> Outcome:
        asked = Asked(top, None, (), None, "", prune=True, revoke=False, scope=EVERYTHING)
        outside = Outside(
            {"BAO_TOKEN": bao.root_token}, lambda: 0.0, lambda: str(top), lambda _: iter, lambda _: None
        )
        wait.wait(10)
        return work("east", asked, outside)

    for _ in range(PAIRS):
        barrier, outcomes = threading.Barrier(2), dict[Path, Outcome]()
        threads = [
            threading.Thread(
                target=lambda top=top, wait=barrier, into=outcomes: into.update(
                    {top: run(session.apply, top, wait)}
                )
            )
            for top in folders
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        done = [top for top in folders if outcomes[top].error is None and not outcomes[top].failures]
        planned = {top: run(session.plan, top, threading.Barrier(1)).plan for top in done}
        # What stands is the tree of the last that said so: with two, the other was done before this one began.
        assert not done or any(plan is not None and not plan.steps for plan in planned.values())
    forget(bao)
