"""One cluster, from its tree to what became of it. An ApplyError becomes part of the outcome: other clusters go on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from policies.acl.dialects import of_server
from policies.apply import derived, run, tokens, tree, turn
from policies.apply import plan as planning
from policies.apply.credentials import of_cluster, read_token
from policies.apply.errors import ApplyError, ConcurrentChangeError, InterruptError
from policies.apply.meaning import effects
from policies.apply.outcome import Failure, Notes, Outcome
from policies.apply.permissions import needed_policy
from policies.apply.plan import Plan, Step
from policies.apply.protections import Fit, fit
from policies.apply.scope import Scope
from policies.apply.server import Server, connect
from policies.apply.state import Current, Desired, owner_of, owners, role_of
from policies.apply.staying import staying
from policies.apply.tokens import Track
from policies.roles.texts import few


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says. `reviewed`: path below `generated` → digest, None where nothing must be reviewed.

    `edited`: paths below it of what the files beside it don't give so.
    """

    generated: Path
    reviewed: Mapping[str, str] | None
    edited: tuple[str, ...]
    token_file: Path | None
    address: str
    prune: bool
    revoke: bool
    scope: Scope


@dataclass(frozen=True, slots=True)
class Outside:
    """What isn't pure. `said` is told of each step that is done, `interrupted` says whether somebody asked to end."""

    environment: Mapping[str, str]
    clock: Callable[[], float]
    run: Callable[[], str]
    track: Callable[[str], Track]
    said: Callable[[Step], None]
    interrupted: Callable[[], bool] = lambda: False

    def go_on(self) -> None:
        """Raises InterruptError."""
        if self.interrupted():
            raise InterruptError("interrupted")

    def watched(self, what: str) -> Track:
        """Sees things go by that are read. Raises InterruptError between two of them."""

        def track(things: Sequence[str]) -> Iterator[str]:
            for thing in self.track(what)(things):
                self.go_on()
                yield thing

        return track


@dataclass(slots=True)
class _Found:
    """What is known so far, and stays known where the work stops."""

    plan: Plan | None = None
    notes: Notes = field(default_factory=Notes)
    done: list[Step] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unmatched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Work:
    """A session with the cluster's server."""

    desired: Desired
    store: Server
    asked: Asked
    outside: Outside
    found: _Found

    def compare(self, label: str, *, revoke: bool = False) -> tuple[Plan, Current, Fit]:
        """Read the server, and decide what is to be done."""
        cluster, asked, track = self.desired.cluster, self.asked, self.outside.watched
        current = run.read_current(self.store, cluster, asked.scope, track(label))
        login = tokens.login_path(cluster.auth_mount)
        given = tokens.read(self.store, login, track("Reading tokens")) if revoke else None
        fitted = fit(self.store.product, self.desired)
        decided = planning.decide(
            fitted.desired, current, prune=asked.prune, tokens=given, refused=fitted.refused
        )
        return decided, current, fitted

    def decide(self) -> tuple[Plan, Current]:
        decided, current, fitted = self.compare("Reading", revoke=self.asked.revoke)
        self.found.plan = decided
        self.found.notes = Notes(fitted.weaker, staying(decided))
        self.found.unmatched = self.asked.scope.unmatched(owners(self.desired, current))
        return decided, current

    def look(self) -> None:
        decided, current = self.decide()
        dialect, note = of_server(self.store.product.name, self.store.product.version)
        server = f"{self.store.product} {note}: its own rules may differ" if note else str(self.store.product)
        changed = effects(decided, current, dialect)
        self.found.notes = replace(self.found.notes, effects=changed, dialect=dialect.name, server=server)

    def make_so(self) -> None:
        before = turn.read(self.store, self.desired.cluster)
        decided, _ = self.decide()
        if not decided.steps:
            return
        mine = before.begin(self.store, self.outside.run())
        # What another run wrote while this one was reading; without check-and-set, none can be ruled out.
        if before.running or not mine.is_versioned:
            decided, _ = self.decide()
        try:
            self._carry_out(decided, turn.Guarded(self.store, mine))
        finally:  # where it stopped, less has been removed than was planned
            stays = staying(replace(decided, steps=tuple(self.found.done)))
            self.found.notes = replace(self.found.notes, stays=stays)
        self._confirm(mine)
        mine.end(self.store)

    def _carry_out(self, decided: Plan, store: turn.Guarded) -> None:
        for step in run.execute(decided, store, self.outside.go_on):
            if isinstance(step, Failure):
                self.found.failures.append(step)
                self.found.done[:] = [change for change in self.found.done if change.path not in step.undone]
            else:
                self.found.done.append(step)
                self.outside.said(step)

    def _confirm(self, mine: turn.Turn) -> None:
        """Roles have no check-and-set, nor on HashiCorp Vault have policies: done is what stands after the last write.

        Raises ConcurrentChangeError.
        """
        again, _, _ = self.compare("Reading again")
        known = _refused(self.found.plan)
        failed = {failure.role for failure in self.found.failures}
        left = (*(change.path for change in again.changes), *_refused(again))
        others = [path for path in left if path not in known and self._role(path) not in failed]
        if others:
            mine.check(self.store)
            raise ConcurrentChangeError(
                f"somebody else changed what this run wrote: {few(others)}; run plan, and look at theirs first"
            )

    def _role(self, path: str) -> str:
        return role_of(owner_of(self.desired.cluster, path) or "")


def _refused(plan: Plan | None) -> tuple[str, ...]:
    """Paths that are not written: in conflict, or of a service role of which something is."""
    return (*(conflict.path for conflict in plan.conflicts), *plan.blocked) if plan else ()


def plan(cluster: str, asked: Asked, outside: Outside) -> Outcome:
    return _outcome(cluster, asked, outside, _Work.look)


def apply(cluster: str, asked: Asked, outside: Outside) -> Outcome:
    return _outcome(cluster, asked, outside, _Work.make_so)


def _outcome(name: str, asked: Asked, outside: Outside, work: Callable[[_Work], None]) -> Outcome:
    start, found, failed = outside.clock(), _Found(), None
    try:
        outside.go_on()
        desired = asked.scope.limited(tree.read(asked.generated, name, asked.reviewed))
        derived.check(asked.generated, asked.edited, name)
        needs = needed_policy(desired.cluster, revoke=asked.revoke)
        token = read_token(of_cluster(asked.token_file, name), outside.environment, needs)
        with connect(desired.cluster, token, asked.address) as server:
            work(_Work(desired, server, asked, outside, found))
    except ApplyError as error:
        failed = error
    seconds = outside.clock() - start
    done, failures = tuple(found.done), tuple(found.failures)
    return Outcome(name, found.plan, found.notes, done, found.unmatched, failed, seconds, failures)
