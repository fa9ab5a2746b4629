"""From the folders of files to the generated tree: reading, generating and comparing in batches, then writing at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from policies import catalog
from policies.errors import Problem, ProblemsError
from policies.generate import cluster_files, role_files, tree
from policies.roles import folder as roles_folder
from policies.roles.folder import Clusters
from policies.roles.types import ServiceRole

BATCH = (
    250  # role files between two words of progress; a second process gains nothing, as the disk sets the pace
)

Read = tuple[list[tuple[ServiceRole, Problem]], list[Problem]]
Catalogs = dict[str, dict[str, dict[str, catalog.Role]]]  # cluster → namespace → role


@dataclass(frozen=True, slots=True)
class Folders:
    """`boundaries` None: nobody set any, and a role may claim everything."""

    clusters: Path
    roles: Path
    out: Path
    boundaries: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What differs between the files and the tree; `removed` are files that no role asks for any more."""

    clusters: int
    roles: int
    unchanged: int
    changed: dict[str, bytes]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one batch of role files gives. Files that are on disk already come back as paths only."""

    named: list[tuple[str, Problem]]
    problems: list[Problem]
    entries: list[tuple[str, str, catalog.Role]]
    paths: list[str]
    changed: dict[str, bytes]


def compare(folders: Folders, progress: Callable[[int, int], None]) -> Result:
    """What `write` would do. Raises ProblemsError with all that is wrong, and TreeError.

    `progress` gets how many role files are done, and of how many.
    """
    clusters, problems = roles_folder.read_clusters(folders.clusters)
    boundaries, wrong = roles_folder.boundaries_for(folders.boundaries, clusters)
    problems += wrong
    sources = roles_folder.sources(folders.roles)
    existing = tree.scan(folders.out)
    batches = []
    for start in range(0, len(sources), BATCH):
        progress(start, len(sources))
        roles = roles_folder.read_roles(folders.roles, sources[start : start + BATCH], clusters, boundaries)
        batches.append(_batch(folders.out, clusters, existing, roles))
    problems += [problem for batch in batches for problem in batch.problems]
    problems += roles_folder.repeated([named for batch in batches for named in batch.named])
    if problems:
        raise ProblemsError(problems)
    files = _cluster_files(clusters, batches)
    changed = {path: content for batch in batches for path, content in batch.changed.items()}
    changed |= tree.differing(folders.out, existing, files)
    expected = {path for batch in batches for path in batch.paths} | files.keys()
    removed = tree.stale(folders.out, existing, expected)
    return Result(len(clusters.by_name), len(sources), len(expected) - len(changed), changed, removed)


def _batch(out: Path, clusters: Clusters, existing: frozenset[str], read: Read) -> _Batch:
    roles, problems = read
    found = _Batch([(role.name, place) for role, place in roles], problems, [], [], {})
    for role, _ in roles:
        for place in role.runs_as:
            if place.cluster not in clusters.by_name:  # its file is broken, which is reported
                continue
            made = role_files.generate(clusters.by_name[place.cluster], role, place)
            found.entries.append((place.cluster, place.namespace, made.entry))
            found.paths.extend(made.files)
            found.changed.update(tree.differing(out, existing, made.files))
    return found


def _cluster_files(clusters: Clusters, batches: Sequence[_Batch]) -> dict[str, bytes]:
    catalogs: Catalogs = {name: {} for name in clusters.by_name}
    for batch in batches:
        for cluster, namespace, entry in batch.entries:
            catalogs[cluster].setdefault(namespace, {})[entry.name] = entry
    files: dict[str, bytes] = {}
    for name in sorted(catalogs):
        files |= cluster_files.generate(clusters.by_name[name], catalogs[name])
    return files
