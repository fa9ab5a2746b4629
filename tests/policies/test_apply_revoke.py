"""`--revoke`: the tokens of removed logins end, with their leases, and no other token does."""

import dataclasses
import json
import shutil
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import tokens
from policies.apply.errors import StoppedError
from policies.apply.permissions import applying_policy, revoking_policy
from tests.policies import trees
from tests.policies.applying import Standing, document, forget, limited_token, log_in, podkeys
from tests.policies.cut import cutting

EAST = ("--cluster", "east")
REMOVE = (*EAST, "--prune", "--revoke")
SHOP = "podkeys.shop.shop.api"
PAYMENTS = "podkeys.payments.payments.api"


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[trees.Tree]:
    """Two roles that give service tokens, applied."""
    tree = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    for name in ("payments", "shop"):
        tree.role(name, name)
        tree.edit(f"{name}/{name}/auth.api.json", token_type="service")
    assert podkeys("apply", tree.top, bao.root_token, *EAST).return_value == 0
    yield tree
    forget(bao)


def lives(bao: Server, token: str) -> bool:
    """Whether it can look at itself, with whatever policies it has."""
    try:
        bao.call("POST", "auth/token/lookup", {"token": token})
    except urllib.error.HTTPError:
        return False
    return True


def test_a_removed_roles_token_ends_and_others_go_on(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    gone = [log_in(bao, mounts, role, "shop/api") for role in (SHOP, SHOP.upper())]
    kept = log_in(bao, mounts, PAYMENTS)
    shutil.rmtree(made.root / "shop")
    planned = podkeys("plan", made.top, bao.root_token, *REMOVE)
    assert f"- revoke 2 tokens given by auth/{mounts.jwt}/login: 2 of {SHOP}" in planned.output
    assert [lives(bao, token) for token in gone] == [True, True]
    done = podkeys("apply", made.top, bao.root_token, *REMOVE)
    assert (done.return_value, "2 tokens revoked" in done.output) == (0, True)
    assert [lives(bao, token) for token in gone] == [False, False]
    assert lives(bao, kept)
    assert podkeys("plan", made.top, bao.root_token, *REMOVE).return_value == 0


@dataclasses.dataclass
class OneToken:
    """A server that has this token and nothing else."""

    token: dict[str, Any]

    def names(self, _: str) -> list[str]:
        return ["accessor"]

    def ask(self, _: str, __: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.token

    def read(self, _: str) -> None: ...

    def write(self, _: str, __: Mapping[str, Any]) -> None: ...

    def delete(self, _: str) -> None: ...


@pytest.mark.parametrize(
    ("meta", "role"), [({"role": "PODKEYS.shop.shop.API"}, SHOP), ({"username": "x"}, ""), (None, "")]
)
def test_a_tokens_role_is_known_in_any_case(meta: dict[str, str] | None, role: str) -> None:
    """A kubernetes login takes a role in any case, and its token says what was given: seen on OpenBao 2.7.2."""
    login = "auth/kubernetes-east/login"
    assert tokens.read(OneToken({"path": login, "meta": meta}), login) == {"accessor": role}


def test_a_token_that_outlives_its_revocation_is_told() -> None:
    """A server that says yes and does nothing is not believed."""
    login = "auth/kubernetes-east/login"
    store = OneToken({"path": login, "meta": {"role": SHOP}})
    with pytest.raises(StoppedError, match="0 of 1 tokens have ended: a token"):
        tokens.revoke(store, tokens.Revocation(login, frozenset({SHOP}), {}))


def test_without_it_tokens_stay_and_that_is_said(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    token = log_in(bao, mounts, SHOP, "shop/api")
    shutil.rmtree(made.root / "shop")
    done = podkeys("apply", made.top, bao.root_token, *EAST, "--prune")
    assert (
        f"stays: tokens of {SHOP}, and their leases, stay until they expire or --revoke ends" in done.output
    )
    assert lives(bao, token)


def test_the_same_name_at_another_login_is_not_meant(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    """Each cluster has its own auth mount."""
    other = f"{mounts.jwt}-other"
    bao.call("POST", f"sys/auth/{other}", {"type": "jwt"})
    for path in ("config", f"role/{SHOP}"):
        bao.call("POST", f"auth/{other}/{path}", bao.call("GET", f"auth/{mounts.jwt}/{path}")["data"])
    token = log_in(bao, dataclasses.replace(mounts, jwt=other), SHOP, "shop/api")
    shutil.rmtree(made.root / "shop")
    assert podkeys("apply", made.top, bao.root_token, *REMOVE).return_value == 0
    assert lives(bao, token)
    bao.call("DELETE", f"sys/auth/{other}")


def test_a_role_of_somebody_else_keeps_its_tokens(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    """Invariant: apply touches only what is ours. A name like ours is not enough."""
    theirs = "podkeys.by.hand.api"
    role = bao.call("GET", f"auth/{mounts.jwt}/role/{SHOP}")["data"]
    bao.call("POST", f"auth/{mounts.jwt}/role/{theirs}", role)
    token = log_in(bao, mounts, theirs, "shop/api")
    shutil.rmtree(made.root / "shop")
    assert podkeys("apply", made.top, bao.root_token, *REMOVE).return_value == 0
    assert lives(bao, token)


def test_only_tokens_of_the_targets_end(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    shop, payments = log_in(bao, mounts, SHOP, "shop/api"), log_in(bao, mounts, PAYMENTS)
    for name in ("shop", "payments"):
        shutil.rmtree(made.root / name)
    assert podkeys("apply", made.top, bao.root_token, *REMOVE, "--target", "shop").return_value == 0
    assert (lives(bao, shop), lives(bao, payments)) == (False, True)


def test_the_leases_of_a_token_end_with_it(
    bao: Server, made: trees.Tree, mounts: Mounts, database: str
) -> None:
    name = "podkeys.east.shop.shop"
    (made.root / "shop/shop/policy.hcl").write_text(trees.policy_text(database, name=name))
    podkeys("apply", made.top, bao.root_token, *EAST)
    token = log_in(bao, mounts, SHOP, "shop/api")
    lease = bao.call("GET", database, token=token)["lease_id"]
    assert bao.call("PUT", "sys/leases/lookup", {"lease_id": lease})["data"]["id"] == lease
    shutil.rmtree(made.root / "shop")
    assert podkeys("apply", made.top, bao.root_token, *REMOVE).return_value == 0
    with pytest.raises(urllib.error.HTTPError, match="400"):
        bao.call("PUT", "sys/leases/lookup", {"lease_id": lease})


def test_a_batch_token_cannot_be_revoked_but_can_do_nothing_without_its_policies(
    bao: Server, made: trees.Tree, mounts: Mounts
) -> None:
    bao.call("POST", f"{mounts.kv}/data/shop", {"data": {"a": "b"}})
    text = trees.policy_text(f"{mounts.kv}/data/shop", name="podkeys.east.shop.shop")
    (made.root / "shop/shop/policy.hcl").write_text(text)
    made.edit("shop/shop/auth.api.json", token_type="batch")
    podkeys("apply", made.top, bao.root_token, *EAST)
    token = log_in(bao, mounts, SHOP, "shop/api")
    assert bao.call("GET", f"{mounts.kv}/data/shop", token=token)["data"]["data"] == {"a": "b"}
    shutil.rmtree(made.root / "shop")
    done = podkeys("apply", made.top, bao.root_token, *REMOVE)
    assert (done.return_value, "batch tokens" in done.output) == (0, False)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        bao.call("GET", f"{mounts.kv}/data/shop", token=token)


def test_a_batch_token_whose_policy_others_have_keeps_it_and_that_is_said(
    bao: Server, made: trees.Tree, mounts: Mounts
) -> None:
    """One of two service accounts of a role is removed."""
    bao.call("POST", f"{mounts.kv}/data/shop", {"data": {"a": "b"}})
    policy = "podkeys.east.shop.shop"
    (made.root / "shop/shop/policy.hcl").write_text(trees.policy_text(f"{mounts.kv}/data/shop", name=policy))
    worker = "podkeys.shop.shop.worker"
    fields = {**made.login("shop", "worker", [policy]), "token_ttl": "20m", "token_max_ttl": "20m"}
    file = made.root / "shop/shop/auth.worker.json"
    made.file(file, f"auth/{mounts.jwt}/role/{worker}", fields)
    podkeys("apply", made.top, bao.root_token, *EAST)
    token = log_in(bao, mounts, worker, "shop/worker")
    file.unlink()
    done = podkeys("apply", made.top, bao.root_token, *REMOVE)
    kept = f"batch tokens of {worker} can't be revoked, and keep what {policy} allows until they expire, within 1200 s"
    assert kept in done.output
    assert bao.call("GET", f"{mounts.kv}/data/shop", token=token)["data"]["data"] == {"a": "b"}


def test_a_certificate_without_a_lease_stays_and_one_with_a_lease_ends_with_its_token(
    bao: Server, made: trees.Tree
) -> None:
    made.edit("payments/payments/pki.serving.json", generate_lease=True)
    podkeys("apply", made.top, bao.root_token, *EAST)
    for name in ("shop", "payments"):
        shutil.rmtree(made.root / name)
    stays = document(podkeys("plan", made.top, bao.root_token, *REMOVE, "--json"))["stays"]
    expected = "certificates signed by podkeys.shop.shop.serving stay valid until they expire, within 3600 s"
    assert expected in stays
    assert not any("podkeys.payments.payments.serving" in text for text in stays)


@pytest.mark.parametrize("whole", [True, False])
def test_tokens_of_a_run_that_stopped_before_them_end_in_the_next(
    bao: Server, made: trees.Tree, mounts: Mounts, *, whole: bool
) -> None:
    """The login is deleted first, so that it gives no more of them. Its policies stand until its tokens have ended."""
    token = log_in(bao, mounts, SHOP, "shop/api")
    if whole:
        shutil.rmtree(made.root / "shop")
    else:
        (made.root / "shop/shop/auth.api.json").unlink()
    without = revoking_policy().replace('path "auth/token/revoke-accessor"', 'path "auth/token/none"')
    stopped = podkeys(
        "apply", made.top, limited_token(bao, f"{applying_policy(made.cluster)}\n{without}"), *REMOVE
    )
    assert stopped.return_value == 1
    assert "stopped at 2 of" in stopped.output
    assert SHOP not in Standing(bao, made.cluster).logins()
    assert lives(bao, token)
    assert podkeys("apply", made.top, bao.root_token, *REMOVE).return_value == 0
    assert not lives(bao, token)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_that_ends_between_two_tokens_says_so_and_the_next_one_ends_the_rest(
    bao: Server, made: trees.Tree, mounts: Mounts, number: int
) -> None:
    gone = [log_in(bao, mounts, SHOP, "shop/api") for _ in range(3)]
    shutil.rmtree(made.root / "shop")
    with cutting(bao.address, number, "after", tokens.REVOKE) as between:
        stopped = podkeys("apply", made.top, bao.root_token, *REMOVE, "--address", between.address)
    assert (stopped.return_value, between.cut) == (69, True)
    assert f"{number - 1} of 3 tokens have ended: " in stopped.stderr
    assert sum(lives(bao, token) for token in gone) == 3 - number  # what was cut was its answer
    assert Standing(bao, made.cluster).logins_without_a_policy() == []
    assert podkeys("apply", made.top, bao.root_token, *REMOVE).return_value == 0
    assert [lives(bao, token) for token in gone] == [False] * 3


def test_the_documented_token_is_enough_and_each_line_is_needed_and_named(
    bao: Server, made: trees.Tree, mounts: Mounts
) -> None:
    log_in(bao, mounts, SHOP, "shop/api")
    shutil.rmtree(made.root / "shop")
    stanzas = revoking_policy().split("\n\n")
    assert len(stanzas) == 3
    for missing in stanzas:
        rest = "\n\n".join(stanza for stanza in stanzas if stanza != missing)
        token = limited_token(bao, f"{applying_policy(made.cluster)}\n{rest}")
        refused = podkeys("apply", made.top, token, *REMOVE)
        assert refused.return_value == 1
        assert " ".join(missing.split()) in refused.output
    token = limited_token(bao, f"{applying_policy(made.cluster)}\n{revoking_policy()}")
    assert podkeys("apply", made.top, token, *REMOVE).return_value == 0


def test_the_documented_policy_is_the_one_that_is_tested() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "apply.md").read_text()
    assert text.split("```hcl\n")[2].partition("```")[0] == revoking_policy()


def test_no_accessor_is_shown(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    """Who holds one can end its token."""
    log_in(bao, mounts, SHOP, "shop/api")
    accessors = bao.call("LIST", "auth/token/accessors")["data"]["keys"]
    shutil.rmtree(made.root / "shop")
    shown = [podkeys("plan", made.top, bao.root_token, *REMOVE, *more).output for more in ((), ("--json",))]
    shown.append(podkeys("apply", made.top, bao.root_token, *REMOVE, "--json").output)
    assert json.loads(shown[2])["done"][1] == {
        "action": "revoke",
        "kind": "tokens",
        "path": f"auth/{mounts.jwt}/login",
        "roles": [SHOP],
        "tokens": 1,
    }
    assert not [accessor for accessor in accessors if any(accessor in text for text in shown)]


@pytest.mark.openbao_only("Vault Community has no namespaces")
def test_a_namespace_of_the_server_has_its_own_tokens(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    space = f"team-{mounts.jwt}"
    bao.call("POST", f"sys/namespaces/{space}")
    for path in (f"mounts/{mounts.serving}", f"mounts/{mounts.identity}", f"auth/{mounts.jwt}"):
        bao.call("POST", f"{space}/sys/{path}", {"type": "jwt" if path.startswith("auth") else "pki"})
    trust = {"jwt_validation_pubkeys": [mounts.issuer.public_pem], "bound_issuer": mounts.issuer.url}
    bao.call("POST", f"{space}/auth/{mounts.jwt}/config", trust)
    made = trees.Tree(tmp_path, trees.cluster(mounts, bao.address, vault_namespace=space)).start()
    made.role("shop", "shop")
    made.edit("shop/shop/auth.api.json", token_type="service")
    podkeys("apply", made.top, bao.root_token, *EAST)
    body = {"role": SHOP, "jwt": mounts.issuer.token("shop", "api")}
    login = bao.call("POST", f"{space}/auth/{mounts.jwt}/login", body, token="")
    token = login["auth"]["client_token"]
    shutil.rmtree(made.root / "shop")
    done = podkeys("apply", made.top, bao.root_token, *REMOVE)
    assert (done.return_value, "1 token revoked" in done.output) == (0, True)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        bao.call("GET", f"{space}/auth/token/lookup-self", token=token)


@pytest.mark.parametrize("words", [("--revoke",), ("--revoke", "--target", "shop")])
def test_revoke_without_prune_is_a_mistake_of_usage(made: trees.Tree, words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="expected both"):
        podkeys("apply", made.top, "any", *EAST, *words)
