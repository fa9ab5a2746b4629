"""The boundaries to which lint holds what was generated."""

from pathlib import Path

from policies.errors import ProblemsError
from policies.roles.folder import Clusters, boundaries_folder, boundaries_for
from policies.roles.inside import Boundaries


def limits(named: Path | None) -> Boundaries:
    """Of the folder that was named; else of the default one, if it is there.

    Raises ProblemsError: where a boundary can't be read, nothing is inside.
    """
    found, problems = boundaries_for(boundaries_folder(named), Clusters({}, complete=False))
    if problems:
        raise ProblemsError(problems)
    return found
