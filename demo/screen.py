"""How the demo speaks: numbered steps, checked facts, aligned; colour on a terminal and none in a pipe."""

import time
from typing import NoReturn

from rich.console import Console
from rich.text import Text

LABEL = 26


class StepError(Exception):
    """A step of the demo did not do what it must; the message says which and what was seen."""


class Screen:
    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._step = 0
        self._start = time.monotonic()

    def title(self, text: str) -> None:
        self._console.print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        self._step += 1
        seconds = time.monotonic() - self._start
        self._console.print()
        self._console.print(
            Text(f"{self._step:>2}  {text}", style="bold cyan"), Text(f"{seconds:.1f} s", style="dim")
        )

    def seen(self, label: str, fact: str) -> None:
        """Something that was checked and holds."""
        self._console.print(Text("  ✓ ", style="green"), Text(f"{label:<{LABEL}} "), Text(fact), sep="")

    def line(self, text: str) -> None:
        self._console.print(Text(f"      {text}", style="dim"))

    def end(self) -> None:
        self._console.print()
        self.title(
            f"Everything above was real, and all of it is gone again ({time.monotonic() - self._start:.0f} s)."
        )

    def interrupted(self) -> None:
        self._console.print()
        self.title("Interrupted; what was started is gone again.")

    def failed(self, error: StepError) -> None:
        self._console.print(Text(f"  ✗ step {self._step}: {error}", style="bold red"))


def fail(text: str) -> NoReturn:
    raise StepError(text)


def check(holds: object, text: str) -> None:
    """Go on only if `holds`. Raises StepError, which ends the demo with a non-zero exit code."""
    if not holds:
        fail(text)
