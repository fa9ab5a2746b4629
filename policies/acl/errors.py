"""What is raised for a policy that the server would refuse."""

from dataclasses import dataclass


@dataclass(eq=False)  # not frozen: context managers set an exception's traceback as it passes
class PolicyError(Exception):
    """`line` and `column` count from 1, columns in characters."""

    policy: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.policy}:{self.line}:{self.column}: {self.message}"


class PlaceError(Exception):
    """A problem at an offset of the text, in characters; `parse_policy` makes a PolicyError of it."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
