"""plan and apply against a real OpenBao, by the commands and by the parts they are made of."""

import json
import os
import pty
import shutil
import subprocess
import sys
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click.testing
import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.apply import cli, plan, run, tree
from policies.apply.outcome import Failure
from policies.apply.permissions import applying_policy
from policies.apply.protections import fit
from policies.apply.server import Server as Session
from policies.apply.server import connect
from policies.apply.state import Stored
from tests.policies import trees

EAST = "sys/policies/acl/podkeys.east."


@pytest.fixture
def made(bao: Server, mounts: Mounts, tmp_path: Path) -> trees.Tree:
    """A tree of one service role."""
    tree_ = trees.Tree(tmp_path / "generated", trees.cluster(mounts, bao.address)).start()
    tree_.role("payments", "payments")
    return tree_


@pytest.fixture(autouse=True)
def _no_policies_left(bao: Server) -> Iterator[None]:
    """The server is shared, and policies are not below a test's own mounts."""
    yield
    for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"]:
        if name.startswith("podkeys."):
            bao.call("DELETE", f"sys/policies/acl/{name}")


@dataclass
class Counting:
    """Passes everything on to a real server, and notes the writes."""

    inner: Session
    writes: list[str] = field(default_factory=list)

    def names(self, listing: str) -> Sequence[str]:
        return self.inner.names(listing)

    def read(self, path: str) -> Stored | None:
        return self.inner.read(path)

    def write(self, path: str, fields: Mapping[str, Any]) -> None:
        self.writes.append(path)
        self.inner.write(path, fields)

    def ask(self, path: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.inner.ask(path, fields)

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


def decide(made: trees.Tree, store: Session | Counting, *, prune: bool = False) -> plan.Plan:
    server = store.inner if isinstance(store, Counting) else store
    desired = fit(server.product, tree.read(made.top, made.cluster.name)).desired
    return plan.decide(desired, run.read_current(store, desired.cluster), prune=prune)


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
    assert after.return_value == 0
    assert after.output.endswith("Plan for east: no changes, 5 unchanged\n")


def test_the_documented_token_is_enough(bao: Server, made: trees.Tree) -> None:
    token = limited_token(bao, applying_policy(made.cluster))
    assert podkeys("plan", made, token).return_value == 2
    assert podkeys("apply", made, token).return_value == 0
    assert podkeys("plan", made, token).return_value == 0


def test_a_token_that_only_reads_can_plan_and_not_apply(bao: Server, made: trees.Tree) -> None:
    """A pull request's pipeline needs no token that is as strong as root."""
    token = limited_token(bao, reading_policy(made))
    assert podkeys("plan", made, token).return_value == 2
    refused = podkeys("apply", made, token)
    assert refused.return_value == 1
    assert 'path "sys/policies/acl/podkeys.east.*" { capabilities = ["read", "update"' in refused.output


def reading_policy(made: trees.Tree) -> str:
    writing = '"create", "read", "update", "delete"'
    return applying_policy(made.cluster).replace(writing, '"read"').replace(writing[10:], '"read"')


@pytest.mark.parametrize("number", range(8))
def test_each_line_of_the_documented_policy_is_needed_and_named(
    bao: Server, made: trees.Tree, number: int
) -> None:
    """Without one stanza the message says which path was refused, and which stanza is missing."""
    stanzas = applying_policy(made.cluster).split("\n\n")
    missing = stanzas.pop(number)
    result = podkeys("apply", made, limited_token(bao, "\n\n".join(stanzas)))
    assert result.return_value == 1
    assert "403" in result.output
    assert " ".join(missing.split()) in result.output


def test_a_failure_half_way_says_how_far_it_came_and_the_next_run_completes(
    bao: Server, made: trees.Tree
) -> None:
    """Policies stand before roles, so what a broken run leaves is consistent."""
    stanzas = applying_policy(made.cluster).split("\n\n")
    half = podkeys("apply", made, limited_token(bao, "\n\n".join(stanzas[:-1])))
    assert half.return_value == 1
    assert "stopped at 5 of 5 changes, create auth/" in half.output
    assert "done before it, and standing: 4" in half.output
    assert half.output.count("+ created") == 4
    rest = podkeys("apply", made, limited_token(bao, applying_policy(made.cluster)))
    assert (rest.return_value, rest.output.count("+ created")) == (0, 1)
    assert podkeys("plan", made, bao.root_token).return_value == 0


def test_a_change_in_the_tree_changes_just_that(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made, bao.root_token)
    made.edit("payments/payments/pki.serving.json", max_ttl="30m", ttl="30m")
    (made.root / "payments/payments/policy.hcl").write_text(trees.policy_text("kv/data/payments/new"))
    result = podkeys("apply", made, bao.root_token)
    assert result.output.count("~ updated") == 2
    assert "2 updated, 3 unchanged" in result.output
    serving = f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving"
    assert bao.call("GET", serving)["data"]["max_ttl"] == 1800


def test_what_was_changed_by_hand_on_the_server_is_put_right(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made, bao.root_token)
    login = f"auth/{made.cluster.auth_mount}/role/podkeys.payments.payments.api"
    theirs = {"bound_subject": "system:serviceaccount:shop:api", "token_policies": ["root"]}
    bao.call("POST", login, {"role_type": "jwt", "user_claim": "sub", **theirs})
    planned = podkeys("plan", made, bao.root_token)
    assert planned.return_value == 2
    assert 'bound_subject: "system:serviceaccount:shop:api" -> "system:' in planned.output
    assert podkeys("apply", made, bao.root_token).return_value == 0
    assert bao.call("GET", login)["data"]["token_policies"] == [
        "podkeys.east.payments.payments",
        "podkeys.east.payments.payments.api",
    ]


def test_prune_removes_what_is_ours_and_nothing_else(bao: Server, made: trees.Tree) -> None:
    """Invariant: apply touches only what is ours; nothing is deleted without --prune."""
    made.role("shop", "shop")
    podkeys("apply", made, bao.root_token)
    foreign = f"{made.cluster.serving_mount}/roles/podkeys.by.hand.serving"
    bao.call("POST", foreign, {"ttl": "1h"})
    bao.call("PUT", f"{EAST}by.hand2", {"policy": "# by hand"})
    bao.call("PUT", "sys/policies/acl/podkeys.west.shop.shop", {"policy": trees.policy_text("kv/west")})
    shutil.rmtree(made.root / "shop")
    kept = podkeys("apply", made, bao.root_token)
    assert kept.output.count("(--prune removes)") == 5
    assert f"left alone: {foreign}" in kept.output
    assert podkeys("plan", made, bao.root_token).return_value == 0
    assert podkeys("plan", made, bao.root_token, "--prune").return_value == 2
    pruned = podkeys("apply", made, bao.root_token, "--prune")
    assert (pruned.return_value, pruned.output.count("- deleted")) == (0, 5)
    left = [name for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"] if "podkeys." in name]
    assert left == [
        "podkeys.east.apply",
        "podkeys.east.by.hand2",
        "podkeys.east.payments.payments",
        "podkeys.east.payments.payments.api",
        "podkeys.west.shop.shop",
    ]
    assert bao.call("GET", foreign)["data"]["ttl"] == 3600


def test_a_policy_of_somebody_else_with_our_name_is_not_touched(bao: Server, made: trees.Tree) -> None:
    bao.call("PUT", f"{EAST}payments.payments", {"policy": "# by hand"})
    for command in ("plan", "apply"):
        result = podkeys(command, made, bao.root_token, "--prune")
        assert result.return_value == 1
        assert f"! conflict {EAST}payments.payments" in result.output
        assert "policy.hcl" in result.output
    assert bao.call("GET", f"{EAST}payments.payments")["data"]["policy"] == "# by hand"
    mount = made.cluster.auth_mount
    with pytest.raises(urllib.error.HTTPError, match="404"):
        bao.call("GET", f"auth/{mount}/role/podkeys.payments.payments.api")


def test_a_role_of_somebody_else_with_our_name_is_not_touched(bao: Server, made: trees.Tree) -> None:
    """Twice: the first run must not leave a policy behind that makes the role ours for the second."""
    path = f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving"
    bao.call("POST", path, {"ttl": "7m"})
    for _ in range(2):
        assert podkeys("apply", made, bao.root_token, "--prune").return_value == 1
    assert bao.call("GET", path)["data"]["ttl"] == 420


@pytest.mark.parametrize("first", ["nothing", "policy"])
def test_a_policy_changed_by_somebody_else_meanwhile_stops_its_role(
    bao: Server, made: trees.Tree, first: str
) -> None:
    path = f"{EAST}payments.payments"
    if first == "policy":
        bao.call("PUT", path, {"policy": trees.policy_text("kv/old")})
    theirs = trees.policy_text("kv/theirs")
    with connect(made.cluster, bao.root_token) as server:
        planned = decide(made, server)
        bao.call("PUT", path, {"policy": theirs})
        (failure,) = run.execute(planned, server)
    assert isinstance(failure, Failure)
    assert "somebody else changed it" in str(failure)
    assert bao.call("GET", path)["data"]["policy"] == theirs


def test_a_policy_changed_meanwhile_is_not_pruned(bao: Server, made: trees.Tree) -> None:
    bao.call("PUT", f"{EAST}old.old", {"policy": trees.policy_text("kv/old")})
    with connect(made.cluster, bao.root_token) as server:
        planned = decide(made, server, prune=True)
        bao.call("PUT", f"{EAST}old.old", {"policy": "# by hand"})
        *_, failure = run.execute(planned, server)
    assert isinstance(failure, Failure)
    assert "somebody else changed it" in str(failure)
    assert bao.call("GET", f"{EAST}old.old")["data"]["policy"] == "# by hand"


def test_a_protection_that_the_server_drops_is_named_and_a_new_role_is_taken_back(
    bao: Server, made: trees.Tree
) -> None:
    """Servers ignore what they do not know: a field from the future stands for a field of today on an old server."""
    made.edit("payments/payments/pki.serving.json", allowed_moon_phases=["full"])
    result = podkeys("apply", made, bao.root_token)
    assert result.return_value == 1
    assert (
        "PKI role podkeys.payments.payments.serving: the server dropped allowed_moon_phases" in result.output
    )
    assert "it needs OpenBao 2.6.2 or newer" in result.output
    assert "taken back" in result.output
    with pytest.raises(urllib.error.HTTPError, match="404"):
        bao.call("GET", f"{made.cluster.serving_mount}/roles/podkeys.payments.payments.serving")


def test_a_protection_dropped_from_a_login_role_is_named(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made, bao.root_token)
    made.edit("payments/payments/auth.api.json", token_bound_moon=True)
    result = podkeys("apply", made, bao.root_token)
    assert result.return_value == 1
    assert "auth role podkeys.payments.payments.api: the server dropped token_bound_moon" in result.output
    assert "what stood before was written back" in result.output


def test_a_value_that_the_server_calls_wrong_is_shown_with_its_words(bao: Server, made: trees.Tree) -> None:
    (made.root / "payments/payments/policy.hcl").write_text(trees.policy_text("kv/x", "fly"))
    result = podkeys("apply", made, bao.root_token)
    assert result.return_value == 1
    assert 'invalid capability "fly"' in result.output
    assert f"! failed service role payments/payments: create {EAST}payments.payments: " in result.output


def test_a_login_through_the_applied_role_gets_just_its_policies(
    bao: Server, made: trees.Tree, mounts: Mounts
) -> None:
    podkeys("apply", made, bao.root_token)
    role = {"role": "podkeys.payments.payments.api", "jwt": mounts.issuer.token("payments", "api")}
    answer = bao.call("POST", f"auth/{mounts.jwt}/login", role, token="")
    assert answer["auth"]["token_policies"] == [
        "podkeys.east.payments.payments",
        "podkeys.east.payments.payments.api",
    ]
    other = {"role": role["role"], "jwt": mounts.issuer.token("payments", "other")}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        bao.call("POST", f"auth/{mounts.jwt}/login", other, token="")


def test_the_kubernetes_method_is_applied_whole_and_read_back(
    bao: Server, mounts: Mounts, tmp_path: Path
) -> None:
    mount = f"kubernetes-{mounts.jwt}"
    bao.call("POST", f"sys/auth/{mount}", {"type": "kubernetes"})
    of = trees.cluster(mounts, bao.address, name="inner", method="kubernetes", auth_mount=mount)
    made = trees.Tree(tmp_path, of).start()
    made.role("payments", "payments")
    token = limited_token(bao, applying_policy(of))
    assert podkeys("apply", made, token).return_value == 0
    assert podkeys("plan", made, token).return_value == 0
    bao.call("DELETE", f"sys/auth/{mount}")


@pytest.mark.openbao_only("Vault Community has no namespaces")
def test_a_namespace_of_the_server_is_kept_to(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    """What limits the applying token best: a server namespace of its own."""
    space = f"team-{mounts.jwt}"
    bao.call("POST", f"sys/namespaces/{space}")
    for path in (f"mounts/{mounts.serving}", f"mounts/{mounts.identity}", f"auth/{mounts.jwt}"):
        bao.call("POST", f"{space}/sys/{path}", {"type": "jwt" if path.startswith("auth") else "pki"})
    of = trees.cluster(mounts, bao.address, name="inner", vault_namespace=space)
    made = trees.Tree(tmp_path, of).start()
    made.role("payments", "payments")
    assert podkeys("apply", made, bao.root_token).return_value == 0
    assert podkeys("plan", made, bao.root_token).return_value == 0
    names = bao.call("LIST", "sys/policies/acl")["data"]["keys"]
    assert not [name for name in names if name.startswith("podkeys.inner.")]
    assert "podkeys.inner.payments.payments" in bao.call("LIST", f"{space}/sys/policies/acl")["data"]["keys"]


EVERYTHING = """path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"""


def escalate(bao: Server, made: trees.Tree, issuer: Issuer, space: str = "") -> str:
    """With nothing but the documented policy: a token that may do everything (in the namespace `space`)."""
    bao.call("PUT", f"{space}sys/policies/acl/applying", {"policy": applying_policy(made.cluster)})
    body = {"policies": ["applying"], "no_default_policy": True}
    applying = bao.call("POST", f"{space}auth/token/create", body)["auth"]["client_token"]
    policy = f"podkeys.{made.cluster.name}.evil"
    bao.call("PUT", f"{space}sys/policies/acl/{policy}", {"policy": EVERYTHING}, token=applying)
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": [policy]}
    mount = f"{space}auth/{made.cluster.auth_mount}"
    bao.call("POST", f"{mount}/role/podkeys.evil", role, token=applying)
    login = {"role": "podkeys.evil", "jwt": issuer.token("any", "any")}
    return str(bao.call("POST", f"{mount}/login", login, token="")["auth"]["client_token"])


def test_the_applying_token_is_as_strong_as_root(bao: Server, made: trees.Tree, mounts: Mounts) -> None:
    """The danger that docs/apply.md tells of, shown."""
    token = escalate(bao, made, mounts.issuer)
    bao.call("POST", f"{mounts.kv}/data/any", {"data": {"stolen": "yes"}}, token=token)
    assert "data" in bao.call("GET", "sys/audit", token=token)


@pytest.mark.openbao_only("Vault Community has no namespaces")
def test_a_namespace_of_the_server_limits_the_applying_token(
    bao: Server, made: trees.Tree, mounts: Mounts
) -> None:
    """The limit that docs/apply.md recommends, shown to hold."""
    space = f"limited-{mounts.jwt}"
    bao.call("POST", f"sys/namespaces/{space}")
    bao.call("POST", f"{space}/sys/auth/{mounts.jwt}", {"type": "jwt"})
    trust = {"jwt_validation_pubkeys": [mounts.issuer.public_pem], "bound_issuer": mounts.issuer.url}
    bao.call("POST", f"{space}/auth/{mounts.jwt}/config", trust)
    token = escalate(bao, made, mounts.issuer, f"{space}/")
    assert bao.call("GET", f"{space}/sys/mounts", token=token)["data"]
    for path in ("sys/mounts", f"{mounts.kv}/data/any", "sys/policies/acl/default"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            bao.call("GET", path, token=token)


@pytest.mark.openbao_only("control groups are of Vault Enterprise")
@pytest.mark.parametrize(
    ("ttl", "said", "end"),
    [
        ('ttl = "1h"', "a control group holds this request", "stopped at 1 of 5 changes"),
        ("", "took it, and it is not there", "! failed service role payments/payments"),
    ],
)
def test_a_control_group_is_not_taken_for_done(
    bao: Server, made: trees.Tree, ttl: str, said: str, end: str
) -> None:
    """The server answers 200 with a wrapping token, or without a ttl just 204, and has written nothing."""
    group = (
        f"control_group = {{ {ttl}\n"
        'factor "ops" { controlled_capabilities = ["update"]\n'
        'identity { group_names = ["ops"]\napprovals = 1 } } }'
    )
    exact = f'path "{EAST}payments.payments" {{ capabilities = ["read", "update"]\n{group} }}'
    result = podkeys("apply", made, limited_token(bao, f"{applying_policy(made.cluster)}\n{exact}"))
    assert result.return_value == 1
    assert end in result.output
    assert said in result.output


@pytest.mark.openbao_only("Vault Community has no namespaces")
def test_a_namespace_that_is_missing_is_named(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    made = trees.Tree(tmp_path, trees.cluster(mounts, bao.address, vault_namespace="nowhere")).start()
    assert "namespace not found" in podkeys("plan", made, bao.root_token).output


def test_a_mount_that_is_missing_is_named(bao: Server, mounts: Mounts, tmp_path: Path) -> None:
    made = trees.Tree(tmp_path, trees.cluster(mounts, bao.address, serving_mount="pki-nowhere")).start()
    result = podkeys("plan", made, bao.root_token)
    assert result.return_value == 1
    assert "LIST pki-nowhere/roles" in result.output
    assert "expected the mounts" in result.output


def test_json_holds_the_whole_plan(bao: Server, made: trees.Tree) -> None:
    planned = json.loads(podkeys("plan", made, bao.root_token, "--json").output)
    assert [change["action"] for change in planned["changes"]] == ["create"] * 5
    assert planned["changes"][-1]["fields"]["token_type"] == {"got": "(absent)", "wanted": "batch"}
    assert json.loads(podkeys("apply", made, bao.root_token, "--json").output)["cluster"] == "east"
    assert json.loads(podkeys("plan", made, bao.root_token, "--json").output)["unchanged"] == 5


def test_json_hides_nothing_from_who_reads_it_on_a_terminal(bao: Server, made: trees.Tree) -> None:
    """Signs that turn the direction of text, or begin a sequence of eight-bit terminals, are no control characters of JSON."""
    bao.call("PUT", f"{EAST}payments.payments", {"policy": trees.policy_text("kv/\u202e\x9b2K")})
    output = podkeys("plan", made, bao.root_token, "--json").output
    assert "kv/\\u202e\\u009b2K" in output
    assert all(line.isprintable() for line in output.splitlines())


def test_output_in_a_pipe_has_no_colour(bao: Server, made: trees.Tree) -> None:
    for command in ("plan", "apply"):
        assert "\x1b" not in podkeys(command, made, bao.root_token).output


def test_the_documented_policy_is_the_one_that_is_tested(mounts: Mounts) -> None:
    names = {"auth_mount": "jwt-eu-nl-prod-a", "serving_mount": "pki-eu-nl-prod-a", "name": "eu-nl-prod-a"}
    of = trees.cluster(mounts, "https://vault.example.com", identity_mount="spiffe-eu-nl-prod-a", **names)
    text = Path(__file__).parents[2].joinpath("docs", "apply.md").read_text()
    assert text.partition("```hcl\n")[2].partition("```")[0] == applying_policy(of)


def test_a_terminal_sees_progress_and_standard_output_stays_clean(bao: Server, made: trees.Tree) -> None:
    podkeys("apply", made, bao.root_token)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from policies.apply.cli import plan; plan()",
            "--cluster=east",
            "--json",
            f"--generated={made.top}",
        ],
        cwd=Path(__file__).parents[2],
        env={"BAO_TOKEN": bao.root_token, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "Reading" in shown
    assert json.loads(done.stdout)["unchanged"] == 5


def test_a_value_that_the_server_changed_is_named(bao: Server, made: trees.Tree) -> None:
    made.edit("payments/payments/pki.serving.json", key_bits=0)
    result = podkeys("apply", made, bao.root_token)
    assert "the server changed key_bits: wrote 0, read 256" in result.output


def test_a_weaker_role_that_may_not_be_taken_back_is_said_to_stand(bao: Server, made: trees.Tree) -> None:
    text = applying_policy(made.cluster).replace(', "delete"', "")
    made.edit("payments/payments/pki.serving.json", allowed_moon_phases=["full"])
    result = podkeys("apply", made, limited_token(bao, text))
    assert "dropped allowed_moon_phases" in result.output
    assert "could not be taken back (DELETE" in result.output
    assert "): delete it" in result.output
