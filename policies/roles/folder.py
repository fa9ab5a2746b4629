"""Reads the folders of cluster, boundary and role files: the only part of this room that opens files."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from policies.errors import Problem, ProblemsError
from policies.roles import boundary, checks, cluster, inside, role
from policies.roles.boundary import BoundaryDraft
from policies.roles.cluster import ClusterDraft
from policies.roles.document import MAX_BYTES, load
from policies.roles.inside import OPEN, Boundaries
from policies.roles.types import Boundary, Cluster, ServiceRole

SUFFIXES = (".yaml", ".yml")
BOUNDARIES = Path("boundaries")
NO_BOUNDARIES = f"Note: there is no folder {BOUNDARIES}/, so a role may claim any path and any Service (docs/boundaries.md)."

_SOURCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class Clusters:
    """`complete`: no cluster file was broken, so a name that isn't there belongs to no cluster."""

    by_name: Mapping[str, Cluster]
    complete: bool


def sources(folder: Path) -> tuple[str, ...]:
    """The YAML files below `folder`, `*.YAML` too, sorted, relative to it. Raises ProblemsError when there are none.

    A folder below it that can't be looked into is refused too: the roles in it would be taken for removed ones.
    """
    if not folder.is_dir():
        raise ProblemsError(
            [
                Problem(
                    str(folder),
                    0,
                    0,
                    "got no such folder, expected one with YAML files; run this beside it, or name another (--help)",
                )
            ]
        )
    found: list[str] = []
    for here, folders, files in os.walk(folder, onerror=_unreadable):
        at = Path(here)
        for name in folders:
            if (at / name).is_symlink():
                message = "got a symbolic link, expected the folder itself; put it here in the link's place"
                raise ProblemsError([Problem(ascii(str(at / name))[1:-1], 0, 0, message)])
        found += [
            (at / name).relative_to(folder).as_posix() for name in files if name.lower().endswith(SUFFIXES)
        ]
    if not found:
        raise ProblemsError(
            [Problem(str(folder), 0, 0, "got no *.yaml file in this folder, expected at least one")]
        )
    return tuple(sorted(found))


def _unreadable(error: OSError) -> None:
    raise ProblemsError(
        [Problem(str(error.filename), 0, 0, f"can't be read: {error.strerror}; check its permissions")]
    )


def read_clusters(folder: Path) -> tuple[Clusters, list[Problem]]:
    """All cluster files below `folder`, and all that is wrong with them."""
    drafts: list[ClusterDraft] = []
    problems: list[Problem] = []
    for source in sources(folder):
        path = folder / source
        try:
            _check_source(path, source)
            draft = cluster.parse(str(path), load(str(path), _own_bytes(path)))
            drafts.append(_with_ca(path, draft))
        except ProblemsError as error:
            problems += error.problems
    cluster.check_distinct(drafts)
    problems += [problem for draft in drafts for problem in draft.fields.problems]
    found = {draft.cluster.name: draft.cluster for draft in drafts if not draft.fields.problems}
    return Clusters(found, complete=not problems), problems


def boundaries_folder(named: Path | None) -> Path | None:
    """The folder that was named, else `boundaries/` if anything is there: then it must hold boundary files.

    None where nobody set a boundary: every role may claim everything, which is for the caller to say.
    """
    return named or (BOUNDARIES if os.path.lexists(BOUNDARIES) else None)


def read_boundaries(folder: Path) -> tuple[list[BoundaryDraft], list[Problem]]:
    """All boundary files below `folder`; those that can't be read at all are problems, the others hold their own."""
    drafts: list[BoundaryDraft] = []
    problems: list[Problem] = []
    for source in sources(folder):
        path = folder / source
        try:
            _check_source(path, source)
            drafts.append(boundary.parse(str(path), load(str(path), _own_bytes(path))))
        except ProblemsError as error:
            problems += error.problems
    boundary.check_distinct(drafts)
    problems += repeated(
        [
            (draft.boundary.name, draft.fields.place("metadata.name"))
            for draft in drafts
            if draft.boundary.name
        ]
    )
    return drafts, problems


def boundaries_for(folder: Path | None, clusters: Clusters) -> tuple[Boundaries, list[Problem]]:
    """What limits the roles in `clusters`, and all that is wrong with the files."""
    if folder is None:
        return OPEN, []
    drafts, problems = read_boundaries(folder)
    for draft in drafts if clusters.complete else ():
        boundary.check_clusters(draft, clusters.by_name)
    problems += [problem for draft in drafts for problem in draft.fields.problems]
    found: dict[str, list[Boundary]] = {}
    for draft in drafts:
        for namespace in () if draft.fields.problems else draft.boundary.namespaces:
            found.setdefault(namespace, []).append(draft.boundary)
    by_namespace = {namespace: tuple(boundaries) for namespace, boundaries in found.items()}
    return Boundaries(by_namespace, closed=not problems), problems


def read_roles(
    folder: Path, names: Sequence[str], clusters: Clusters, boundaries: Boundaries = OPEN
) -> tuple[list[tuple[ServiceRole, Problem]], list[Problem]]:
    """The sound roles among the files `names`, each with the place of its name, and all that is wrong with the others."""
    found: list[tuple[ServiceRole, Problem]] = []
    problems: list[Problem] = []
    for source in names:
        path = folder / source
        try:
            _check_source(path, source)
            draft = role.parse(str(path), source, load(str(path), _own_bytes(path)))
        except ProblemsError as error:
            problems += error.problems
            continue
        checks.run(draft, clusters.by_name, complete=clusters.complete)
        inside.run(draft, boundaries)
        if draft.fields.problems:
            problems += draft.fields.problems
        else:
            found.append((draft.role, draft.fields.place("metadata.name")))
    return found, problems


def repeated(named: Iterable[tuple[str, Problem]]) -> list[Problem]:
    """Roles that have another's name. `named`: the name, and where it stands; in the order of files."""
    first: dict[str, Problem] = {}
    problems = []
    for name, place in named:
        other = first.setdefault(name, place)
        if other is not place:
            message = f"metadata.name: got {name!r} again, expected a name of its own: {other.file} has it; rename one"
            problems.append(replace(place, message=message))
    return problems


def read_bytes(path: Path) -> bytes:
    """At most a byte more than is allowed: a huge file must not fill the memory."""
    try:
        if not path.exists():
            raise ProblemsError(
                [Problem(str(path), 0, 0, "there is no such file; check its name and folder")]
            )
        if not path.is_file():
            raise ProblemsError(
                [Problem(str(path), 0, 0, "got no plain file, expected one; mend the link or remove it")]
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProblemsError(
            [Problem(str(path), 0, 0, f"can't be read: {error.strerror}; check its permissions")]
        ) from None


def _own_bytes(path: Path) -> bytes:
    """Of a plain file alone: a link could lead to a token of whoever runs this, and messages quote what they read."""
    if path.is_symlink():
        message = "got a symbolic link, expected the file itself; put it here in the link's place"
        raise ProblemsError([Problem(str(path), 0, 0, message)])
    return read_bytes(path)


def _check_source(path: Path, source: str) -> None:
    """The name goes into comments of policies and into messages, where a line break would end the comment or the line."""
    if not _SOURCE.fullmatch(source):
        message = f"got the file name {source!r}, expected letters, digits and . _ - only; rename the file"
        raise ProblemsError([Problem(ascii(str(path))[1:-1], 0, 0, message)])


def _with_ca(path: Path, draft: ClusterDraft) -> ClusterDraft:
    if not draft.ca_file:
        return draft
    try:
        text = read_bytes(path.parent / draft.ca_file).decode("ascii")
    except (ProblemsError, UnicodeDecodeError) as error:
        reason = error.problems[0].message if isinstance(error, ProblemsError) else "it isn't ASCII text"
        draft.fields.report(
            "spec.vault.caFile",
            f"got {draft.ca_file!r}, expected a PEM file of certificates, relative to this one: {reason}",
        )
        return draft
    if not cluster.PEM.fullmatch(text):
        draft.fields.report(
            "spec.vault.caFile",
            f"got {draft.ca_file!r}, expected certificates in PEM and nothing else in this file",
        )
    return replace(draft, cluster=replace(draft.cluster, ca_pem=text.strip() + "\n"))
