"""Runs `podkeys` as a person does."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HIDDEN = ("BAO_TOKEN", "VAULT_TOKEN", "KUBECONFIG")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.out)

    @property
    def results(self) -> dict[str, str]:
        """Of `check --json`, by name."""
        return {item["name"]: item["result"] for item in self.json["checks"]}


def podkeys(folder: Path, *words: str, token: str = "") -> Done:
    env = {name: value for name, value in os.environ.items() if name not in HIDDEN} | {"HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "podkeys", *words],
        cwd=folder,
        env=env | ({"BAO_TOKEN": token} if token else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
