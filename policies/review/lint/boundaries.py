"""Generated policies beside the boundaries that the security team keeps. Pure.

`podkeys policies generate` compares role files with them, lives and names of certificates too. What stands here is for a tree
that was generated before a boundary was narrowed, or that somebody edited.
"""

import re
from collections.abc import Iterator

from policies.generate.hcl import OWN_TOKEN
from policies.review.lint.finding import Hit, at, at_policy
from policies.review.lint.tree import Grant, Looked, Tree
from policies.review.origin import origin
from policies.roles.checks import api_path, expand
from policies.roles.types import Boundary, RunsAs

_NAME = re.compile(r"podkeys\.(?P<cluster>[^.]+)\.(?P<namespace>[^.]+)\.")
_OWN = frozenset(stanza.path for stanza in OWN_TOKEN)
_FIX = (
    "ask who keeps the boundaries to widen them, or narrow the role file and run `podkeys policies generate`"
)


def outside(tree: Tree) -> Iterator[Hit]:
    for looked in tree.policies.values():
        name = _NAME.match(looked.file.name)
        if not name or not looked.generated:
            continue
        place = RunsAs(name["cluster"], name["namespace"], ())
        boundary = tree.boundaries.of(place)
        if boundary:
            yield from _owner(looked, boundary)
            yield from _paths(looked, boundary, place)
        elif tree.boundaries.closed:
            message = f"got a policy for {place.cluster}/{place.namespace}, expected a namespace that a boundary names"
            yield at_policy(looked, message, _FIX)


def _owner(looked: Looked, boundary: Boundary) -> Iterator[Hit]:
    owner = origin(looked.file).owner
    if owner not in boundary.owners:
        expected = ", ".join(boundary.owners)
        message = f"got the owner {owner!r}, outside {_place(boundary, 'owners')}, expected one of {expected}"
        yield at_policy(looked, message, _FIX)


def _paths(looked: Looked, boundary: Boundary, place: RunsAs) -> Iterator[Hit]:
    below = tuple(
        f"{expand(path, place)}/" for path in (*map(api_path, boundary.secrets), *boundary.databases)
    )
    signs = bool(boundary.certificates or boundary.identity_ttl)
    for grant in looked.grants:
        if grant.denies or grant.stanza.path in _OWN or (signs and _is_own_name(grant, place)):
            continue
        if not f"{grant.stanza.path}/".startswith(below):
            yield at(
                grant,
                f'got "{grant.stanza.path}", outside {_place(boundary, "secrets")}, expected in {place.cluster}/{place.namespace} '
                f"what is below {', '.join(path.removesuffix('/') for path in below) or 'nothing'}",
                _FIX,
            )


def _is_own_name(grant: Grant, place: RunsAs) -> bool:
    """A PKI role that was generated for the namespace: it names nothing else."""
    return f"/sign/podkeys.{place.namespace}." in grant.stanza.path


def _place(boundary: Boundary, limit: str) -> str:
    return f"{boundary.file}:{boundary.lines[limit]}"
