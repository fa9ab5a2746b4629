"""docs/cluster-file.md is held to the program and to a real server: its fields, its example, its commands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import openbao
from demo.service_accounts import Issuer
from tests.cluster import api_server
from tests.cluster.commands import podkeys

TOP = Path(__file__).parent.parent
TEXT = (TOP / "docs" / "cluster-file.md").read_text()
README = (TOP / "README.md").read_text()
COMMANDS = re.findall(r"^podkeys (.*)$", TEXT, re.MULTILINE)


def block(text: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def server() -> Iterator[openbao.Server]:
    """One of its own, with nothing mounted, as its owner finds it."""
    with openbao.running() as started:
        yield started


def test_a_pod_can_log_in_after_the_documented_commands(tmp_path: Path, server: openbao.Server) -> None:
    issuer = Issuer()
    for folder, name, text in (("clusters", "a", TEXT), ("roles", "payments", README)):
        (tmp_path / folder).mkdir()
        content = block(text).replace("https://vault.example.com:8200", server.address)
        (tmp_path / folder / f"{name}.yaml").write_text(content)
    assert len(COMMANDS) == 4
    with api_server.serving(api_server.documents(issuer), tmp_path) as kubeconfig:
        for command in COMMANDS:
            reads = [f"--kubeconfig={kubeconfig}"] if "bootstrap" in command else []
            done = podkeys(tmp_path, *command.split(), *reads, token=server.root_token)
            plans = "bootstrap" in command and "--apply" not in command
            assert done.code == (2 if plans else 0), f"{command}: {done.out}{done.err}"
    login = {
        "role": "podkeys.payments.payments.payments-api",
        "jwt": issuer.token("payments", "payments-api"),
    }
    answer = server.call("POST", "auth/jwt-eu-nl-prod-a/login", login, token="")
    assert "podkeys.eu-nl-prod-a.payments.payments" in answer["auth"]["policies"]


def test_the_document_names_every_field() -> None:
    schema = json.loads((TOP / "docs" / "schema" / "cluster.json").read_text())
    spec = schema["properties"]["spec"]["properties"]
    inner = [name for field in spec.values() for name in field.get("properties", {})]
    table = TEXT.partition("## Fields")[2].partition("\n## ")[0]
    assert [name for name in (*spec, *inner) if not re.search(rf"[.`]{name}(\[\])?[`.]", table)] == []
