"""Many clusters in one run: a few at once, each by itself, one report."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import click.testing
import pytest

from demo import openbao
from demo.mounts import Mounts
from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.apply import several
from policies.apply.errors import TreeError
from policies.apply.outcome import Notes, Outcome, worst
from policies.apply.permissions import applying_policy
from policies.catalog import Cluster
from tests.policies import trees
from tests.policies.applying import Standing, document, podkeys

COUNT = 40


@dataclass(frozen=True)
class Fleet:
    """One server with the mounts of 40 clusters, and their trees."""

    bao: Server
    clusters: list[Cluster]

    def generate(self, top: Path) -> list[trees.Tree]:
        made = [trees.Tree(top, cluster).start() for cluster in self.clusters]
        for tree in made:
            tree.role("payments", "payments")
        return made


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with openbao.running() as bao:
        clusters = []
        for number in range(COUNT):
            names = Mounts("", "", f"pki-{number}", f"spiffe-{number}", f"jwt-{number}", Issuer())
            bao.call("POST", f"sys/auth/{names.jwt}", {"type": "jwt"})
            for mount in (names.serving, names.identity):
                bao.call("POST", f"sys/mounts/{mount}", {"type": "pki"})
            clusters.append(trees.cluster(names, bao.address, name=f"c{number:02}"))
        yield Fleet(bao, clusters)


@pytest.fixture
def made(fleet: Fleet, tmp_path: Path) -> Iterator[list[trees.Tree]]:
    """Trees of all, and nothing applied."""
    yield fleet.generate(tmp_path)
    bao = fleet.bao
    for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"]:
        if name.startswith("podkeys."):
            bao.call("DELETE", f"sys/policies/acl/{name}")
    for cluster in fleet.clusters:
        for role in Standing(bao, cluster).logins():
            bao.call("DELETE", f"auth/{cluster.auth_mount}/role/{role}")
        bao.call("DELETE", f"{cluster.serving_mount}/roles/podkeys.payments.payments.serving")
        bao.call("DELETE", f"{cluster.identity_mount}/roles/podkeys.payments.payments.api")


def test_all_clusters_are_applied_and_a_second_run_has_nothing_to_do(
    fleet: Fleet, made: list[trees.Tree]
) -> None:
    done = podkeys("apply", made[0].top, fleet.bao.root_token, "--all")
    assert done.return_value == 0, done.output
    assert done.stdout.rstrip().endswith(f"\n\n{COUNT} clusters: {COUNT} ok")
    assert done.stdout.count("+ created") == 5 * COUNT
    assert [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" ok")][:-1] == [
        cluster.name for cluster in fleet.clusters
    ]
    assert f"[{COUNT} of {COUNT}] c" in done.stderr
    for cluster in fleet.clusters:
        assert list(Standing(fleet.bao, cluster).logins()) == ["podkeys.payments.payments.api"]
    found = document(podkeys("plan", made[0].top, fleet.bao.root_token, "--all", "--json"))["clusters"]
    assert [one["cluster"] for one in found] == [cluster.name for cluster in fleet.clusters]
    assert {(one["exitCode"], one["unchanged"]) for one in found} == {(0, 5)}


def test_one_that_fails_stops_no_other_and_the_exit_code_is_the_worst(
    fleet: Fleet, made: list[trees.Tree]
) -> None:
    """Three fail, each in its own way: no answer, a conflict, a tree that is no tree."""
    bao = fleet.bao
    away = trees.cluster(
        Mounts("", "", "pki-a", "spiffe-a", "jwt-a", Issuer()), "http://127.0.0.1:1", name="away"
    )
    trees.Tree(made[0].top, away).start()
    some = [*(f"--cluster={tree.cluster.name}" for tree in made[:3]), "--cluster=away"]
    unreachable = podkeys("apply", made[0].top, bao.root_token, *some)
    assert (unreachable.return_value, "3 ok, 1 no answer" in unreachable.stdout) == (69, True)
    assert "Error in away: http://127.0.0.1:1: no answer" in unreachable.stderr
    bao.call("PUT", "sys/policies/acl/podkeys.c04.payments.payments", {"policy": "# by hand"})
    (made[5].root / "cluster.json").unlink()
    done = podkeys("apply", made[0].top, bao.root_token, "--all")
    assert done.return_value == 1
    assert f"{COUNT + 1} clusters: {COUNT - 2} ok, 2 refused, 1 no answer" in done.stdout
    assert "Error in c05: " in done.stderr
    assert "! conflict sys/policies/acl/podkeys.c04.payments.payments" in done.stdout
    found = document(podkeys("plan", made[0].top, bao.root_token, "--all", "--json"))["clusters"]
    codes = {one["cluster"]: one["exitCode"] for one in found if one["exitCode"]}
    assert codes == {"away": 69, "c04": 1, "c05": 1}
    assert [one["error"][:24] for one in found if one["cluster"] == "away"] == ["http://127.0.0.1:1: no a"]


def test_each_cluster_can_have_a_token_of_its_own(
    fleet: Fleet, made: list[trees.Tree], tmp_path: Path
) -> None:
    """A token of one cluster can do nothing to another."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    for tree in made[:3]:
        fleet.bao.call(
            "PUT", f"sys/policies/acl/of-{tree.cluster.name}", {"policy": applying_policy(tree.cluster)}
        )
        body = {"policies": [f"of-{tree.cluster.name}"], "no_default_policy": True}
        token = fleet.bao.call("POST", "auth/token/create", body)["auth"]["client_token"]
        (folder / f"{tree.cluster.name}.token").write_text(token)
    where = ("--token-file", str(folder / "{cluster}.token"))
    some = [f"--cluster={tree.cluster.name}" for tree in made[:4]]
    done = podkeys("apply", made[0].top, "not-used", *some, *where)
    assert (done.return_value, "3 ok, 1 refused" in done.stdout) == (1, True)
    assert f"Error in c03: --token-file {folder}/c03.token: can't be read" in done.stderr
    shutil.copy(folder / "c00.token", folder / "c03.token")
    assert (
        'lacks: path "sys/policies/acl/podkeys.c03.*"'
        in podkeys("apply", made[0].top, "", *some, *where).stderr
    )


def test_a_target_must_be_known_to_one_cluster_only(fleet: Fleet, made: list[trees.Tree]) -> None:
    made[1].role("shop", "shop")
    some = ("--cluster=c00", "--cluster=c01", "--target=shop")
    assert podkeys("plan", made[0].top, fleet.bao.root_token, *some).return_value == 2
    found = document(podkeys("plan", made[0].top, fleet.bao.root_token, *some, "--json"))["clusters"]
    assert [one["unmatchedTargets"] for one in found] == [["shop"], []]
    mistaken = podkeys("apply", made[0].top, fleet.bao.root_token, *some, "--target=nowhere")
    assert (mistaken.return_value, "--target nowhere: got no such" in mistaken.stderr) == (64, True)
    assert Standing(fleet.bao, made[1].cluster).everything() == {}


def test_a_token_that_all_lack_is_told_once(made: list[trees.Tree]) -> None:
    result = podkeys("apply", made[0].top, "", "--all")
    assert (result.return_value, result.output.count("no token")) == (1, 1)
    assert "podkeys policies plan --cluster NAME" in result.stderr


def test_a_terminal_sees_a_bar(fleet: Fleet, made: list[trees.Tree]) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from policies.apply.cli import plan; plan()",
            "--all",
            f"--generated={made[0].top}",
        ],
        cwd=Path(__file__).parents[2],
        env={"BAO_TOKEN": fleet.bao.root_token, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    assert "Clusters" in os.read(ours, 100_000).decode()
    os.close(ours)
    assert b"40 clusters: 40 changes" in done.stdout


def test_ctrl_c_ends_between_two_steps_and_says_what_was_done(fleet: Fleet, made: list[trees.Tree]) -> None:
    command = ["apply", "--all", "--parallel=1", f"--generated={made[0].top}"]
    with subprocess.Popen(
        [sys.executable, "-m", "podkeys", "policies", *command],
        cwd=Path(__file__).parents[2],
        env={"BAO_TOKEN": fleet.bao.root_token, "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"[1 of {COUNT}] c")
        process.send_signal(signal.SIGINT)
        report, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted: ends after what is under way" in said
    standing = [Standing(fleet.bao, cluster) for cluster in fleet.clusters]
    assert [one.logins_without_a_policy() for one in standing] == [[]] * COUNT
    there = [len(one.everything()) for one in standing]
    assert report.count("+ created") == sum(there) < 5 * COUNT
    assert f"{COUNT} clusters: " in report
    assert report.rstrip().endswith(f" ok, {sum(number < 5 for number in there)} interrupted")
    assert podkeys("apply", made[0].top, fleet.bao.root_token, "--all").return_value == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected --cluster NAME"),
        (("--all", "--cluster", "east"), "expected --cluster NAME"),
        (("--all", "--address", "https://vault.example.com"), "--address is for one cluster"),
        (("--cluster=a", "--cluster=b", "--address=https://vault.example.com"), "--address is for one"),
    ],
)
def test_usage_that_can_mean_two_things_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        podkeys("plan", tmp_path, "any", *words)


def test_a_tree_without_clusters_is_a_mistake(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TreeError, match="no clusters in it"):
            several.clusters(folder)
    assert podkeys("plan", tmp_path, "any", "--all").return_value == 1


def ended(name: str) -> Outcome:
    return Outcome(name, None, Notes(), (), frozenset(), None, 0.0)


def test_no_more_than_so_many_are_at_work_at_once() -> None:
    """Three meet, so that many do work at once; a fourth never comes to them."""
    meeting, lock, working, most = threading.Barrier(3), threading.Lock(), [0], [0]

    def work(name: str) -> Outcome:
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        meeting.wait(10)
        with lock:
            working[0] -= 1
        return ended(name)

    names = [str(number) for number in range(30)]
    assert {outcome.cluster for outcome in several.each(names, 3, work)} == set(names)
    assert most == [3]


def test_interrupted_it_begins_no_others() -> None:
    begun: list[str] = []
    go_on = threading.Event()

    def work(name: str) -> Outcome:
        begun.append(name)
        if name != "0":
            go_on.wait(10)
        return ended(name)

    outcomes = several.each([str(number) for number in range(30)], 2, work)
    assert next(iter(outcomes)).cluster == "0"
    threading.Timer(0.05, go_on.set).start()
    outcomes.close()
    assert len(begun) < 6


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([0, 2], 2), ([2, 69, 0], 69), ([69, 1, 2], 1), ([0, 0], 0)]
)
def test_a_refusal_is_worse_than_no_answer_and_both_than_changes(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected
