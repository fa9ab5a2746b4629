"""The facts of a report: of a folder, its repository and an audit log."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import orjson

from policies.review import subjects
from policies.review.diff import Side, changes, login_changes
from policies.review.diff_waivers import marked
from policies.review.errors import ReviewError
from policies.review.folder import read
from policies.review.lint import run
from policies.review.lint.settings import Settings
from policies.review.lint.tree import Reading, tree
from policies.review.log_file import read_log
from policies.review.origin import unused
from policies.review.replay import Replay
from policies.review.replay_roles import RoleFiles
from policies.review.report import revision
from policies.review.report.access import accesses
from policies.review.report.facts import Facts, Made, Since, Usage
from policies.review.report.services import Cluster, services
from policies.roles.inside import Boundaries


@dataclass(frozen=True, slots=True)
class Sources:
    """`ref`: a commit to compare with. `audit_log`: `-` for standard input. None for what isn't asked for."""

    folder: Path
    settings: Settings
    boundaries: Boundaries
    ref: str | None
    audit_log: Path | None


def collected(sources: Sources, reading: Reading) -> Facts:
    """Raises ReviewError, TooManyError, OSError."""
    folder = sources.folder
    side = _side(folder, reading)
    inventory = side.inventory
    clusters = tuple(_clusters(folder))
    made = Made(
        reading.now,
        folder.as_posix(),
        reading.dialect.name,
        version("podkeys"),
        *revision.current(folder),
    )
    return Facts(
        made,
        inventory,
        clusters,
        tuple(accesses(services(inventory, clusters), side.policies, reading.now)),
        run.lint(tree(inventory, reading, sources.boundaries), sources.settings, reading.now.date()),
        _since(sources, sources.ref, side, reading) if sources.ref is not None else None,
        _usage(sources.audit_log, folder, side, reading) if sources.audit_log else None,
    )


def _side(folder: Path, reading: Reading) -> Side:
    inventory = read(folder)
    return Side(inventory, subjects.Policies(inventory, subjects.Reading(reading.dialect, reading.now)))


def _clusters(folder: Path) -> Iterator[Cluster]:
    """Those whose `cluster.json`, as generation writes it, is here or one folder below. Raises ReviewError."""
    for path in sorted([*folder.glob("cluster.json"), *folder.glob("*/cluster.json")]):
        try:
            said = orjson.loads(path.read_bytes())
            where = path.parent.relative_to(folder).as_posix().removeprefix(".")
            yield Cluster(
                str(said["cluster"]), where, str(said["vault"]["address"]), str(said["auth"]["mount"])
            )
        except (ValueError, KeyError, TypeError):
            raise ReviewError(
                f"{path}: got no cluster, server and auth mount, expected them as `podkeys policies generate` writes them"
            ) from None


def _since(sources: Sources, ref: str, new: Side, reading: Reading) -> Since:
    commit = revision.commit_of(sources.folder, ref)
    with tempfile.TemporaryDirectory(prefix="podkeys-audit-") as name:
        revision.extract(sources.folder, commit, Path(name))
        old = _side(Path(name), reading)
        waivers, today = sources.settings.waivers, reading.now.date()
        access = marked(changes(old, new), waivers, today)
        logins = marked(login_changes(old.inventory, new.inventory), waivers, today)
    return Since(ref, commit, tuple(access), tuple(logins))


def _usage(audit_log: Path, folder: Path, side: Side, reading: Reading) -> Usage:
    replay = Replay(side.inventory, side.policies, dialect=reading.dialect, now=reading.now)
    wrong = read_log(audit_log, replay)
    granted = unused(side.inventory, replay.unused(), RoleFiles(folder).places)
    found = replay.found
    return Usage(
        found.requests,
        found.first,
        found.last,
        tuple(granted),
        tuple(replay.silent()),
        dict(found.skipped.most_common()),
        wrong,
    )
