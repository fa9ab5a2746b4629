"""Reads what stands beside a generated tree, for advice."""

import os
from pathlib import Path

from policies.errors import ProblemsError
from policies.review.advice import Beside
from policies.roles.folder import BOUNDARIES, Clusters, boundaries_folder, boundaries_for
from policies.roles.inside import OPEN

_ROLES = Path("roles")


def beside(generated: Path) -> Beside:
    """Where there are no such folders beside it, those of `generate`, in the current one. A boundary that can't be read stops no answer."""
    around = generated.parent
    roles = around / _ROLES if (around / _ROLES).is_dir() else _ROLES
    named = around / BOUNDARIES if os.path.lexists(around / BOUNDARIES) else None
    try:
        found, problems = boundaries_for(boundaries_folder(named), Clusters({}, complete=False))
    except ProblemsError as error:
        found, problems = OPEN, list(error.problems)
    return Beside(roles, found, str(problems[0]) if problems else "")
