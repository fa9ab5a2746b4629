"""Finds what stands beside a generated tree, and reads the boundaries there, for advice."""

import os
from pathlib import Path

from policies.errors import ProblemsError
from policies.review.advice import Beside
from policies.roles.folder import BOUNDARIES, Clusters, boundaries_folder, boundaries_for
from policies.roles.inside import OPEN

_ROLES = Path("roles")


def role_folder(generated: Path) -> Path | None:
    """Beside the tree, as `plan` finds it, or beside the tree that this is one cluster's part of."""
    above = generated.resolve().parent if generated.name in ("", "..") else generated.parent
    tops = (above, Path(os.path.normpath(above / "..")))
    return next((top / _ROLES for top in tops if (top / _ROLES).is_dir()), None)


def beside(generated: Path) -> Beside:
    """Where there are no such folders beside it, those of `generate`, in the current one. A boundary that can't be read stops no answer."""
    found_roles = role_folder(generated)
    around = found_roles.parent if found_roles else generated.parent
    named = around / BOUNDARIES if os.path.lexists(around / BOUNDARIES) else None
    try:
        found, problems = boundaries_for(boundaries_folder(named), Clusters({}, complete=False))
    except ProblemsError as error:
        found, problems = OPEN, list(error.problems)
    return Beside(found_roles or _ROLES, found, str(problems[0]) if problems else "")
