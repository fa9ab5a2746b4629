"""From the folders of files to the generated tree: reading, generating and comparing in batches, then writing at once."""

from collections.abc import Callable, Iterator, Sequence
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
class Shared:
    """A service account that several roles list, by their files. Its pods are refused unless they say which role they mean."""

    cluster: str
    namespace: str
    service_account: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What differs between the files and the tree; `removed` are files that no role asks for any more."""

    clusters: int
    roles: int
    unchanged: int
    changed: dict[str, bytes]
    removed: tuple[str, ...]
    shared: tuple[Shared, ...]


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
    catalogs = _catalogs(clusters, batches)
    files = _cluster_files(clusters, catalogs)
    changed = {path: content for batch in batches for path, content in batch.changed.items()}
    changed |= tree.differing(folders.out, existing, files)
    expected = {path for batch in batches for path in batch.paths} | files.keys()
    removed = tree.stale(folders.out, existing, expected)
    unchanged = len(expected) - len(changed)
    shared = tuple(_shared(catalogs))
    return Result(len(clusters.by_name), len(sources), unchanged, changed, removed, shared)


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


def _catalogs(clusters: Clusters, batches: Sequence[_Batch]) -> Catalogs:
    catalogs: Catalogs = {name: {} for name in clusters.by_name}
    for batch in batches:
        for cluster, namespace, entry in batch.entries:
            catalogs[cluster].setdefault(namespace, {})[entry.name] = entry
    return catalogs


def _shared(catalogs: Catalogs) -> Iterator[Shared]:
    for cluster, namespaces in sorted(catalogs.items()):
        for namespace, roles in sorted(namespaces.items()):
            files: dict[str, list[str]] = {}
            for entry in roles.values():
                for account in entry.service_accounts:
                    files.setdefault(account, []).append(entry.source)
            for account, listing in sorted(files.items()):
                if len(listing) > 1:
                    yield Shared(cluster, namespace, account, tuple(sorted(listing)))


def _cluster_files(clusters: Clusters, catalogs: Catalogs) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name in sorted(catalogs):
        files |= cluster_files.generate(clusters.by_name[name], catalogs[name])
    return files
