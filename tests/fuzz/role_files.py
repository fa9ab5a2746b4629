"""Coverage-guided fuzzing of role, cluster and boundary files: mistakes with their places, or files that all readers take.

Run as tests.fuzz.policies; files of deploy/example in CORPUS_FOLDER, each with a byte 0 (role), 1 (cluster) or 2 (boundary)
before its first, help it on.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["policies.roles", "policies.generate"]):
    from policies.acl.parse import parse_policy
    from policies.acl.paths import Kind, pattern
    from policies.catalog import NamespaceCatalog, namespace_json, to_bytes
    from policies.catalog_files import parse_cluster, parse_namespace
    from policies.errors import ProblemsError
    from policies.generate import cluster_files, role_files
    from policies.roles import boundary, checks, cluster, inside, role
    from policies.roles.document import load
    from policies.roles.fields import Fields
    from policies.roles.inside import Boundaries
    from policies.roles.types import Cluster, ServiceRole

from tests.policies.role_texts import BOUNDARY, CLUSTER

EAST = cluster.parse("east.yaml", load("east.yaml", CLUSTER.encode())).cluster
CLUSTERS = {EAST.name: EAST}
DRAFT = boundary.parse("b.yaml", load("b.yaml", BOUNDARY.encode())).boundary
BOUNDARIES = Boundaries(dict.fromkeys(DRAFT.namespaces, (DRAFT,)), closed=True)


def one(content: bytes) -> None:
    """The first byte chooses the kind."""
    kind, text = content[:1], content[1:]
    try:
        document = load("fuzzed.yaml", text)
    except ProblemsError as error:
        if len(error.problems) != 1 or len(str(error)) > 1000:
            raise RuntimeError(error) from None
        return
    if kind == b"\1":
        of_cluster = cluster.parse("fuzzed.yaml", document)
        if is_right(of_cluster.fields):
            check_cluster(of_cluster.cluster)
    elif kind == b"\2":
        is_right(boundary.parse("fuzzed.yaml", document).fields)
    else:
        draft = role.parse("fuzzed.yaml", "fuzzed.yaml", document)
        checks.run(draft, CLUSTERS, complete=True)
        inside.run(draft, BOUNDARIES)
        if is_right(draft.fields):
            check_role(draft.role)


def is_right(fields: Fields) -> bool:
    """Whether nothing is wrong; what is has its place, and words that fit a terminal."""
    for problem in fields.problems:
        if min(problem.line, problem.column) < 1 or len(problem.message) > 2000:
            raise RuntimeError(problem)
    return not fields.problems


def check_cluster(found: Cluster) -> None:
    files = cluster_files.generate(found, {})
    if parse_cluster(files[f"{found.name}/cluster.json"]).audience != found.audience:
        raise RuntimeError(found)


def check_role(found: ServiceRole) -> None:
    """Policies have no wildcard, and the catalog says again what was said."""
    for place in found.runs_as:
        made = role_files.generate(EAST, found, place)
        for name, content in made.files.items():
            if name.endswith(".json"):
                json.loads(content)
                continue
            patterns = [pattern(stanza.path) for stanza in parse_policy(content, name).stanzas]
            if not all(one and one.kind is Kind.EXACT for one in patterns):
                raise RuntimeError(content)
        catalog = NamespaceCatalog(EAST.name, place.namespace, {found.name: made.entry})
        if parse_namespace(to_bytes(namespace_json(catalog))) != catalog:
            raise RuntimeError(catalog)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
