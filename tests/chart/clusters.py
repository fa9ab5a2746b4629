"""A real API server, spoken to by kubectl."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import pytest

VARIABLE = "PODKEYS_TEST_CLUSTER"


@dataclass(frozen=True, slots=True)
class Cluster:
    """`labelled` is a namespace where pods are injected, `plain` one where they are not."""

    kubeconfig: str
    labelled: str
    plain: str

    def kubectl(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *arguments: str, given: str = "") -> str:
        result = self.kubectl(*arguments, given=given)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def create(self, manifest: dict[str, Any], namespace: str, *, keep: bool = False) -> str:
        """What kubectl says about it, without what differs each time; empty where it is created."""
        arguments = ["create", f"--namespace={namespace}", "--filename=-", "--validate=false"]
        result = self.kubectl(*arguments, *([] if keep else ["--dry-run=server"]), given=json.dumps(manifest))
        return result.stderr if result.returncode else ""

    def refused(self, *arguments: str) -> str:
        """What is said about something in the labelled namespace; fails where it is allowed."""
        result = self.kubectl(f"--namespace={self.labelled}", *arguments)
        assert result.returncode != 0, result.stdout
        return result.stderr

    def token(self, audience: str) -> list[str]:
        """The arguments that request one."""
        return ["create", "token", "payments-api", f"--audience={audience}", f"--namespace={self.labelled}"]


def kubeconfig() -> str:
    """Skips without one: not KUBECONFIG, which may well lead to a cluster that people need."""
    found = os.environ.get(VARIABLE, "")
    if not found:
        pytest.skip(f"no {VARIABLE}, the kubeconfig of a cluster whose policies tests may change")
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on PATH")
    return found


def eventually(refused: Any, seconds: float = 30) -> None:  # noqa: ANN401 - any callable without arguments
    """Until it returns something true: the API server reads new policies after a moment."""
    deadline = time.monotonic() + seconds
    while not refused():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
