"""Two runs at once for one cluster, with different trees: the last to begin goes on, and what stands is its tree, whole."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import run, session, turn
from policies.apply.errors import ConcurrentChangeError
from policies.apply.outcome import Outcome
from policies.apply.plan import Step, decide
from policies.apply.scope import EVERYTHING
from policies.apply.server import connect
from policies.apply.session import Asked, Outside
from policies.apply.state import Stored
from policies.apply.tree import read
from policies.review.live import read as read_server
from tests.policies import trees
from tests.policies.applying import Standing, forget, podkeys

STEPS = 10  # of the first run on an empty server: two roles
STEPS_AFTER_THE_SECOND = (
    4 + 5 + 5
)  # where its tree stood before: what differs of the shared role, one more, and one less


@dataclass(frozen=True)
class Team:
    """One of two that apply, each with its own tree of the same cluster."""

    bao: Server
    made: trees.Tree
    name: str

    def apply(
        self,
        begin: Callable[[], None] = lambda: None,
        said: Callable[[Step], None] = lambda _: None,
    ) -> Outcome:
        """`begin` is called when all is read, right before its turn."""

        def named() -> str:
            begin()
            return self.name

        asked = Asked(self.made.top, None, (), None, "", prune=True, revoke=False, scope=EVERYTHING)
        environment = {"BAO_TOKEN": self.bao.root_token}
        return session.apply("east", asked, Outside(environment, lambda: 0.0, named, lambda _: iter, said))

    def changes(self) -> int:
        return int(
            podkeys("plan", self.made.top, self.bao.root_token, "--cluster=east", "--prune").return_value
        )


@pytest.fixture
def teams(bao: Server, mounts: Mounts, tmp_path: Path) -> Iterator[tuple[Team, Team]]:
    """They share a role in which every file differs, and each has one of its own."""
    found = []
    for name in ("first", "second"):
        made = trees.Tree(tmp_path / name, trees.cluster(mounts, bao.address)).start()
        made.role("payments", "payments", entry=name)
        made.role(name, name)
        minutes = "30m" if name == "first" else "20m"
        for file in ("pki.serving", "identity.api"):
            made.edit(f"payments/payments/{file}.json", max_ttl=minutes, ttl=minutes)
        made.edit("payments/payments/auth.api.json", token_max_ttl=minutes, token_ttl=minutes)
        found.append(Team(bao, made, name))
    yield found[0], found[1]
    forget(bao)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(("nothing", number) for number in range(1, STEPS)),
        *(("the second", number) for number in range(1, STEPS_AFTER_THE_SECOND)),
    ],
)
def test_a_run_that_is_overtaken_stops_before_its_next_write(
    teams: tuple[Team, Team], before: str, after: int
) -> None:
    first, second = teams
    if before == "the second":
        _succeed(second)
    done: list[Step] = []

    def overtake(step: Step) -> None:
        done.append(step)
        if len(done) == after:
            _succeed(second)

    stopped = first.apply(said=overtake)
    assert stopped.error is not None
    assert "another run of apply has begun" in str(stopped.error)
    assert str(stopped.error).endswith(f"done before it: {after}")
    assert (stopped.exit_code(applied=True), len(stopped.done)) == (1, after)
    assert second.changes() == 0


def test_a_run_that_read_before_another_began_does_not_begin(teams: tuple[Team, Team]) -> None:
    first, second = teams
    outcome = first.apply(begin=lambda: _succeed(second))
    assert "another run of apply has begun" in str(outcome.error)
    assert outcome.done == ()
    assert second.changes() == 0


def _succeed(team: Team) -> None:
    outcome = team.apply()
    assert outcome.error is None, outcome.error


def test_a_run_whose_work_another_replaced_after_its_last_write_does_not_say_applied(
    teams: tuple[Team, Team],
) -> None:
    """It reads everything again before it says so."""
    first, second = teams
    done: list[Step] = []

    def overtake(step: Step) -> None:
        done.append(step)
        if len(done) == STEPS:
            _succeed(second)

    assert "another run of apply has begun" in str(first.apply(said=overtake).error)
    assert second.changes() == 0


def test_what_a_person_changed_after_the_last_write_is_seen(bao: Server, teams: tuple[Team, Team]) -> None:
    """PKI roles have no check-and-set on any server."""
    first, _ = teams
    role = f"{first.made.cluster.serving_mount}/roles/podkeys.payments.payments.serving"
    done: list[Step] = []

    def meddle(step: Step) -> None:
        done.append(step)
        if len(done) == STEPS:
            bao.call("POST", role, {"allow_any_name": True})

    outcome = first.apply(said=meddle)
    assert outcome.exit_code(applied=True) == 1
    assert f"somebody else changed what this run wrote: {role}" in str(outcome.error)


@pytest.mark.parametrize("theirs", ["# by hand", ""], ids=["overwritten", "deleted"])
def test_a_policy_that_lost_its_mark_after_it_was_written_is_not_said_to_be_applied(
    bao: Server, teams: tuple[Team, Team], theirs: str
) -> None:
    """To the next plan the role is in conflict, and nothing of it is a change."""
    first, _ = teams
    policy = "sys/policies/acl/podkeys.east.payments.payments"
    done: list[Step] = []

    def meddle(step: Step) -> None:
        done.append(step)
        if len(done) == STEPS:
            bao.call("PUT", policy, {"policy": theirs}) if theirs else bao.call("DELETE", policy)

    outcome = first.apply(said=meddle)
    assert outcome.exit_code(applied=True) == 1
    assert "somebody else changed what this run wrote" in str(outcome.error)


def test_what_another_run_wrote_while_this_one_read_is_seen(bao: Server, teams: tuple[Team, Team]) -> None:
    """The first is at it when the second reads, writes once more, and is then overtaken."""
    first, second = teams
    desired = read(first.made.top, "east")
    with ExitStack() as stack:
        server = stack.enter_context(connect(desired.cluster, bao.root_token))
        before = turn.read(server, desired.cluster)
        plan = decide(desired, run.read_current(server, desired.cluster), prune=True)
        mine = before.begin(server, "first")
        steps = run.execute(plan, turn.Guarded(server, mine))
        next(steps)

        def write_on() -> None:
            for _ in range(4):
                next(steps)

        outcome = second.apply(begin=write_on)
    assert outcome.error is None
    assert second.changes() == 0


def test_one_that_has_nothing_to_write_takes_no_turn(bao: Server, teams: tuple[Team, Team]) -> None:
    _succeed(teams[0])
    place = "sys/policies/acl/podkeys.east.apply"
    before = bao.call("GET", place)["data"]
    _succeed(teams[0])
    assert bao.call("GET", place)["data"] == before


def test_two_at_the_same_moment_leave_one_tree_whole(bao: Server, teams: tuple[Team, Team]) -> None:
    """In threads, as chance has it: at least one comes through, and what stands is the tree of one that did."""
    for _ in range(10):
        outcomes: dict[str, Outcome] = {}
        barrier = threading.Barrier(2)

        def at_once(
            team: Team, into: dict[str, Outcome] = outcomes, wait: threading.Barrier = barrier
        ) -> None:
            wait.wait(10)
            into[team.name] = team.apply()

        threads = [threading.Thread(target=at_once, args=(team,)) for team in teams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        through = [team for team in teams if outcomes[team.name].error is None]
        assert through, outcomes
        assert 0 in [team.changes() for team in through]
        assert Standing(bao, teams[0].made.cluster).logins_without_a_policy() == []
        for outcome in outcomes.values():
            assert outcome.error is None or "another run of apply" in str(outcome.error)


class Unversioned:
    """A server without check-and-set, as HashiCorp Vault: the last to write has written."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}

    def names(self, _: str) -> list[str]:
        return []

    def read(self, path: str) -> Stored | None:
        return self.stored.get(path)

    def write(self, path: str, fields: Mapping[str, Any]) -> None:
        self.stored[path] = Stored({"policy": fields["policy"]})

    def ask(self, _: str, __: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def delete(self, path: str) -> None:
        del self.stored[path]


def test_without_check_and_set_the_note_tells_runs_apart_all_the_same(teams: tuple[Team, Team]) -> None:
    server, cluster = Unversioned(), teams[0].made.cluster
    first = turn.read(server, cluster).begin(server, "first")
    first.check(server)
    second = turn.read(server, cluster).begin(server, "second")
    with pytest.raises(ConcurrentChangeError):
        turn.Guarded(server, first).write("sys/policies/acl/podkeys.east.a.b", {"policy": ""})
    with pytest.raises(ConcurrentChangeError):
        turn.Guarded(server, first).delete(second.path)
    second.check(server)
    second.end(server)
    assert not turn.read(server, cluster).running


@pytest.mark.parametrize(
    "text",
    ["# by hand\n", '{head}# run: x\npath "*" {{ capabilities = ["sudo"] }}\n', "{head}\n# state: ended\n"],
)
def test_a_policy_in_its_place_that_is_more_than_a_note_is_refused(
    bao: Server, teams: tuple[Team, Team], text: str
) -> None:
    """Nobody may hide a policy there: nor do questions to a live server pass over it."""
    place = "sys/policies/acl/podkeys.east.apply"
    bao.call("PUT", place, {"policy": text.format(head=turn._HEAD)})
    outcome = teams[0].apply()
    assert "a policy of this name exists" in str(outcome.error)
    assert outcome.done == ()
    with connect(teams[0].made.cluster, bao.root_token) as server:
        assert "podkeys.east.apply" in read_server(server, iter).policies


def test_the_note_is_no_policy_to_who_asks_a_live_server(bao: Server, teams: tuple[Team, Team]) -> None:
    _succeed(teams[0])
    with connect(teams[0].made.cluster, bao.root_token) as server:
        found = read_server(server, iter).policies
    assert "podkeys.east.apply" not in found
    assert "podkeys.east.first.first" in found
