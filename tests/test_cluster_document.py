"""docs/cluster-file.md is held to the program and to a real server: its fields, its example, its commands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import openbao
from demo.service_accounts import Issuer

TOP = Path(__file__).parent.parent
TEXT = (TOP / "docs" / "cluster-file.md").read_text()
CA = TOP / "deploy" / "example" / "clusters" / "vault-ca.pem"
README = (TOP / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def block(text: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def server() -> Iterator[openbao.Server]:
    """One of its own, with nothing mounted, as its owner finds it."""
    with openbao.running() as started:
        yield started


def run(command: list[str], folder: Path, server: openbao.Server) -> str:
    env = os.environ | {
        "PATH": f"{openbao.binary().parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "BAO_ADDR": server.address,
        "BAO_TOKEN": server.root_token,
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_a_pod_can_log_in_after_the_documented_commands(tmp_path: Path, server: openbao.Server) -> None:
    issuer = Issuer()
    (tmp_path / "issuer.pem").write_text(issuer.public_pem)
    assert len(SHELL) == 2
    for script in SHELL:
        known = re.sub(r"bound_issuer=\S+", f"bound_issuer={issuer.url}", script).replace("RS256", "ES256")
        # This server runs in no pod, so it has to be told what it would read there
        in_pod = f"disable_local_ca_jwt=true kubernetes_ca_cert=@{CA} kubernetes_host"
        known = known.replace("kubernetes_host", in_pod)
        run(["sh", "-eu", "-c", known], tmp_path, server)
    for folder, name, text in (("clusters", "a", TEXT), ("roles", "payments", README)):
        (tmp_path / folder).mkdir()
        content = block(text).replace("https://vault.example.com:8200", server.address)
        (tmp_path / folder / f"{name}.yaml").write_text(content)
    run([sys.executable, "-m", "podkeys", "policies", "generate"], tmp_path, server)
    run([sys.executable, "-m", "podkeys", "policies", "apply", "--cluster", "eu-nl-prod-a"], tmp_path, server)
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
