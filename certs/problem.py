"""What checks give back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be. `code` is stable, for programs; `message` says got and expected."""

    code: str
    message: str
