"""The documents are held to the project: links lead somewhere, named tests exist, and the README's commands run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demo.mounts import Mounts
from demo.openbao import Server

TOP = Path(__file__).parent.parent
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")])
README = (TOP / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_each_test_that_the_threat_model_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in TOP.glob("tests/**/test_*.py"))
    named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", (TOP / "SECURITY.md").read_text()))
    assert len(named) > 30
    assert [name for name in sorted(named) if f"def test_{name}(" not in tests] == []


def _block(language: str, index: int) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return found[index]


def _commands(word: str) -> list[list[str]]:
    lines = [line.strip().split() for line in README.splitlines() if line.startswith(f"    podkeys {word} ")]
    assert lines
    return [[sys.executable, "-m", *line] for line in lines]


def _run(command: list[str], folder: Path, env: dict[str, str], codes: tuple[int, ...] = (0,)) -> str:
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert result.returncode in codes, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path, bao: Server, mounts: Mounts) -> None:
    """In order, in an empty folder, with the README's own role file and annotations, against a real server."""
    (tmp_path / "roles").mkdir()
    (tmp_path / "clusters").mkdir()
    (tmp_path / "roles" / "payments.yaml").write_text(_block("yaml", 0))
    cluster = yaml.safe_load((TOP / "deploy/example/clusters/eu-nl-prod-a.yaml").read_text())
    cluster["spec"]["vault"] = {"address": bao.address}
    cluster["spec"]["auth"]["mount"] = mounts.jwt
    cluster["spec"]["pki"] = {"serving": mounts.serving, "identity": mounts.identity}
    (tmp_path / "clusters" / "eu-nl-prod-a.yaml").write_text(yaml.safe_dump(cluster))
    env = {"VAULT_TOKEN": bao.root_token}
    for command in _commands("policies"):
        _run(command, tmp_path, env, (2,) if "plan" in command else (0,))
    metadata = {"name": "payments-api", **yaml.safe_load(_block("yaml", 1))}
    container = {"name": "api", "image": "payments.example.com/api:1"}
    spec = {"serviceAccountName": "payments-api", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "namespace": "payments"}, "spec": spec}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    for command in _commands("webhook"):
        assert "name: podkeys-init" in _run(command, tmp_path, env)


def test_each_target_of_make_that_the_documents_name_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"(?:`|^ {4})make ([a-z]+)(?:`|$)", text, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets
