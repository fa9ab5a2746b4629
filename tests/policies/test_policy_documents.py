"""What docs/policy-language.md and docs/audit.md say is what happens."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from policies.acl.decide import Request, decide
from policies.acl.parse import parse_policy
from policies.review.questions import OPERATIONS

TOP = Path(__file__).parents[2]
EXAMPLES = re.findall(
    r"```hcl\n(.*?)```\n\n\| request \| answer \|\n\| --- \| --- \|\n((?:\|[^\n]*\|\n)+)",
    (TOP / "docs" / "policy-language.md").read_text(),
    re.DOTALL,
)
COMMANDS = re.findall(r"```console\n\$ (.*)\n((?s:.*?))```", (TOP / "docs" / "audit.md").read_text())


@pytest.mark.parametrize(("policy", "table"), EXAMPLES)
def test_each_example_of_the_language_is_decided_as_written(policy: str, table: str) -> None:
    rows = re.findall(r"\| (\w+) (\S+) \| (yes|no) \|", table)
    assert len(rows) == table.count("\n")
    for operation, path, answer in rows:
        kind, exists = OPERATIONS[operation]
        decision = decide([parse_policy(policy, "example")], Request(kind, path, exists))
        assert decision.allowed == (answer == "yes"), (operation, path)


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_each_command_of_the_audit_prints_what_is_written(command: str, output: str) -> None:
    words = [sys.executable, "-m", *command.split()]
    example = TOP / "deploy" / "example"
    done = subprocess.run(words, cwd=example, capture_output=True, text=True, check=False)
    assert done.stdout == output, done.stderr


def test_the_documents_have_their_examples() -> None:
    assert len(EXAMPLES) == 3
    assert len(COMMANDS) == 4


def test_the_walk_of_the_audit_runs_as_it_is_written(tmp_path: Path) -> None:
    """All lines for a folder, one after the other, in a repository of role files on its branch main, twice."""
    text = (TOP / "docs" / "audit.md").read_text()
    lines = re.findall(r"^    ((?:podkeys|git|openssl) .*)$", text, re.MULTILINE)
    elsewhere = ("--address", "--kubeconfig", "policies apply")
    local = [line for line in lines if not any(word in line for word in elsewhere)]
    assert len(local) > 10
    shutil.copytree(TOP / "deploy" / "example", tmp_path / "roles")
    commit = 'git -c user.name=reviewer -c user.email=reviewer@example.com commit -q -m "Reviewed"'
    entry = {
        "type": "request",
        "auth": {"policies": ["root"], "policy_results": {"allowed": True, "granting_policies": [{}]}},
        "request": {"operation": "read", "path": "kv/a"},
    }
    (tmp_path / "audit.log").write_text(json.dumps(entry) + "\n")
    made = ["git init -q -b main", "git add .", commit, "git tag reviewed", *local, *local]
    script = "\n".join(made).replace("/var/log/openbao/audit.log", "../audit.log")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-exc", script],
        cwd=tmp_path / "roles",
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
