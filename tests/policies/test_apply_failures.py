"""Invariant: a service role that can't be applied stops that role alone, and keeps what it had."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import plan, run, tree
from policies.apply.outcome import Failure
from policies.apply.permissions import applying_policy
from policies.apply.protections import fit
from policies.apply.server import connect
from tests.policies import trees
from tests.policies.applying import Standing, document, forget, limited_token, log_in, podkeys
from tests.policies.cut import failing

EAST = ("--cluster", "east")
UNKNOWN = {"allowed_moon_phases": ["full"]}  # servers drop what they don't know


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    """Three roles; the one in the middle is about to fail."""
    tree = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    for name in ("accounts", "payments", "shop"):
        tree.role(name, name)
    yield tree
    forget(bao)


BREAKS: list[tuple[str, dict[str, Any], str]] = [
    ("payments/payments/pki.serving.json", UNKNOWN, "the server dropped allowed_moon_phases"),
    (
        "payments/payments/identity.api.json",
        {"key_type": "moon"},
        "unknown key type",
    ),  # 400; 500 on HashiCorp Vault
    ("payments/payments/auth.api.json", UNKNOWN, "the server dropped allowed_moon_phases"),
    ("payments/payments/auth.api.json", {"token_type": "moon"}, "400"),
]


@pytest.mark.parametrize(("file", "fields", "reason"), BREAKS)
def test_a_new_role_that_fails_is_undone_and_all_others_are_applied(
    bao: Server, made: trees.Tree, file: str, fields: dict[str, Any], reason: str
) -> None:
    made.edit(file, **fields)
    standing = Standing(bao, made.cluster)
    for _ in range(2):  # nor does a later run stop there
        result = podkeys("apply", made.top, bao.root_token, *EAST)
        assert result.return_value in (1, 69)
        assert "! failed service role payments/payments: create " in result.output
        assert reason in result.output
        assert "1 service role failed" in result.output
        assert not [path for path in standing.everything() if "payments" in path]
        assert set(standing.logins()) == {"podkeys.accounts.accounts.api", "podkeys.shop.shop.api"}
    made.edit("shop/shop/pki.serving.json", ttl="30m", max_ttl="30m")
    assert "1 updated" in podkeys("apply", made.top, bao.root_token, *EAST).output


@pytest.mark.parametrize(("file", "fields", "reason"), BREAKS)
def test_a_role_that_exists_keeps_all_that_it_had(
    bao: Server, made: trees.Tree, file: str, fields: dict[str, Any], reason: str
) -> None:
    """Its policies were written already when its PKI role or its login fails."""
    assert podkeys("apply", made.top, bao.root_token, *EAST).return_value == 0
    before = Standing(bao, made.cluster).everything()
    folder = made.root / "payments" / "payments"
    for name in ("policy.hcl", "policy.api.hcl"):
        (folder / name).write_text((folder / name).read_text().replace("kv/", "kv/new/") + "\n# changed\n")
    made.edit("payments/payments/pki.serving.json", ttl="20m", max_ttl="20m")
    made.edit(file, **fields)
    result = podkeys("apply", made.top, bao.root_token, *EAST, "--json")
    found = document(result)
    assert (result.return_value in (1, 69), found["done"]) == (True, [])
    (failed,) = found["failed"]
    assert (failed["role"], failed["standing"]) == ("payments/payments", [])
    assert reason in failed["error"]
    assert Standing(bao, made.cluster).everything() == before


def test_what_could_not_be_undone_is_named(bao: Server, made: trees.Tree) -> None:
    made.edit("payments/payments/auth.api.json", token_type="moon")
    policy = applying_policy(made.cluster).replace(', "delete"', "")
    result = podkeys("apply", made.top, limited_token(bao, policy), *EAST, "--json")
    (failed,) = json.loads(result.stdout)["failed"]
    assert len(failed["standing"]) == 4
    assert "403" in failed["standing"][0]
    assert failed["undone"] == []


THEIRS = trees.policy_text("kv/theirs")


@pytest.mark.parametrize(
    ("path", "method", "fields"),
    [
        ("sys/policies/acl/podkeys.east.payments.payments", "PUT", {"policy": THEIRS}),
        ("{serving}/roles/podkeys.payments.payments.serving", "POST", {"ttl": 420, "max_ttl": 420}),
    ],
    ids=["a policy", "a role, which has no check-and-set"],
)
def test_what_somebody_else_made_of_it_meanwhile_is_not_undone(
    bao: Server, made: trees.Tree, path: str, method: str, fields: dict[str, Any]
) -> None:
    """Of what is undone, only what still stands as this run wrote it."""
    made.edit("payments/payments/auth.api.json", token_type="moon")
    path = path.format(serving=made.cluster.serving_mount)
    with connect(made.cluster, bao.root_token) as server:
        desired = fit(server.product, tree.read(made.top, "east")).desired
        decided = plan.decide(desired, run.read_current(server, made.cluster))
        failures = []
        for step in run.execute(decided, server):
            if isinstance(step, Failure):
                failures.append(step)
            elif step.path == path:
                bao.call(method, path, fields)
    (failure,) = failures
    assert any(text.startswith(f"{path}: somebody else changed it") for text in failure.standing)
    assert bao.call("GET", path)["data"].items() >= fields.items()


def test_a_token_that_may_not_write_ends_the_run_as_it_would_fail_everywhere(
    bao: Server, made: trees.Tree
) -> None:
    stanzas = applying_policy(made.cluster).split("\n\n")
    result = podkeys("apply", made.top, limited_token(bao, "\n\n".join(stanzas[:-1])), *EAST)
    assert "stopped at" in result.output
    assert "403" in result.output
    assert "! failed" not in result.output


def test_a_server_that_fails_on_one_role_alone_is_asked_for_the_others(bao: Server, made: trees.Tree) -> None:
    """Whether such a write was done is not known: it is undone as if it was."""
    role = f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving"
    with failing(bao.address, role) as between:
        result = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address)
    assert result.return_value == 69
    assert f"! failed service role payments/payments: create {role}: POST {role}" in result.output
    standing = Standing(bao, made.cluster)
    assert not [path for path in standing.everything() if "payments" in path]
    assert set(standing.logins()) == {"podkeys.accounts.accounts.api", "podkeys.shop.shop.api"}


def test_where_something_of_a_new_role_stands_its_mark_stays_and_the_next_run_goes_on(
    bao: Server, made: trees.Tree
) -> None:
    """Without the mark it would be somebody else's for ever."""
    made.edit("payments/payments/auth.api.json", token_type="moon")
    role = f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving"
    with failing(bao.address, role, 2) as between:  # of its writes the second, by which it is undone
        stopped = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address, "--json")
    (failed,) = document(stopped)["failed"]
    assert [text.partition(":")[0] for text in failed["standing"]] == [
        role,
        "sys/policies/acl/podkeys.east.payments.payments.api",
        "sys/policies/acl/podkeys.east.payments.payments",
    ]
    made.edit("payments/payments/auth.api.json", token_type="batch")
    done = podkeys("apply", made.top, bao.root_token, *EAST)
    assert done.return_value == 0, done.output


def test_after_a_fault_before_the_write_nothing_is_said_to_stand(bao: Server, made: trees.Tree) -> None:
    policy = "sys/policies/acl/podkeys.east.payments.payments"
    with failing(bao.address, policy, done=False) as between:
        result = podkeys("apply", made.top, bao.root_token, *EAST, "--address", between.address, "--json")
    (failed,) = document(result)["failed"]
    assert (failed["path"], failed["standing"]) == (policy, [])


@pytest.mark.parametrize(
    "fields", [{"token_type": "moon"}, None], ids=["a write fails", "the deletion fails"]
)
def test_the_tokens_of_a_role_that_failed_are_not_revoked(
    bao: Server, made: trees.Tree, mounts: Mounts, fields: dict[str, Any] | None
) -> None:
    """Its logins stand: so do its pods."""
    made.edit("payments/payments/auth.api.json", token_type="service")
    assert podkeys("apply", made.top, bao.root_token, *EAST).return_value == 0
    token = log_in(bao, mounts, "podkeys.payments.payments.api")
    folder = made.root / "payments" / "payments"
    login = f"auth/{made.cluster.auth_mount}/role/podkeys.payments.payments.api"
    if fields:  # another account instead of this one, whose login the server does not take
        shutil.rmtree(folder)
        made.role("payments", "payments", account="worker")
        made.edit("payments/payments/auth.worker.json", **fields)
        result = podkeys("apply", made.top, bao.root_token, *EAST, "--prune", "--revoke")
    else:
        shutil.rmtree(folder)
        with failing(bao.address, login, done=False) as between:
            where = ("--address", between.address)
            result = podkeys("apply", made.top, bao.root_token, *EAST, *where, "--prune", "--revoke")
    assert "! failed service role payments/payments" in result.output
    assert bao.call("GET", login)["data"]["token_type"] == "service"
    assert bao.call("POST", "auth/token/lookup", {"token": token})["data"]["id"] == token
