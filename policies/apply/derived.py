"""Whether the tree is as the role, cluster and boundary files beside it give it: what somebody wrote into it by hand is not applied.

Where those files are there, this holds for every field of every file; it is what `generate --check` asks.
"""

import os
from pathlib import Path

from policies.apply.errors import TreeError
from policies.errors import ProblemsError
from policies.errors import TreeError as GeneratedError
from policies.generate import run
from policies.generate.run import Folders
from policies.roles.folder import BOUNDARIES
from policies.roles.texts import few


def edited(generated: Path) -> tuple[str, ...]:
    """Files that differ, are missing, or are given by nothing: paths below the tree, sorted.

    Empty, too, where `clusters/` and `roles/` don't stand beside it: the tree is then all that is known. Raises TreeError where what stands
    there is wrong itself.
    """
    beside = generated.resolve().parent if generated.name in ("", "..") else generated.parent
    clusters, roles, boundaries = beside / "clusters", beside / "roles", beside / BOUNDARIES
    if not (generated.is_dir() and clusters.is_dir() and roles.is_dir()):
        return ()
    limits = boundaries if os.path.lexists(boundaries) else None
    try:
        found = run.compare(Folders(clusters, roles, generated, limits), lambda *_: None)
    except (ProblemsError, GeneratedError) as error:
        raise TreeError(
            f"{generated}: can't be compared with the files beside it, which have to give it:\n{error}"
        ) from None
    return tuple(sorted({*found.changed, *found.removed}))


def check(generated: Path, edited: tuple[str, ...], cluster: str) -> None:
    """Raises TreeError where a file of this cluster is among the edited ones."""
    own = [name for name in edited if name.startswith(f"{cluster}/")]
    if own:
        raise TreeError(
            f"{generated}: not as the role, cluster and boundary files beside it give them: {few(own)}; expected the tree of those files: "
            "run `podkeys policies generate`, and review what it changes"
        )
