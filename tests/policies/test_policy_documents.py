"""What docs/policy-language.md and docs/audit.md say is what happens."""

import re
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
