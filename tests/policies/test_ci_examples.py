"""What docs/ci.md offers to a team runs as it stands: each script of both pipelines, and each hook, in a repository of the example."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import openbao
from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.apply import tree
from policies.apply.permissions import applying_policy
from policies.catalog import Cluster
from tests.policies.applying import Standing

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "deploy" / "example"
GITHUB = yaml.safe_load((TOP / "deploy/ci/github.yaml").read_text())
GITLAB = yaml.safe_load((TOP / "deploy/ci/gitlab-ci.yml").read_text())
HOOKS = yaml.safe_load((TOP / ".pre-commit-hooks.yaml").read_text())
JOBS = ("review", "new-access", "plan", "sign", "apply")
WRITING = ("create", "update", "delete")


@dataclass(frozen=True)
class Repository:
    """A clone, beside its origin; `temp` stands for the runner's folder."""

    clone: Path
    temp: Path
    environment: dict[str, str]

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """As both hosts run a script: by bash, ending at the first command that fails."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.clone,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(self) -> None:
        done = self.run("podkeys policies generate && git add -A && git commit -q -m change")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A branch that changes a comment alone."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_BASE_REF": "main",
        "CI_BUILDS_DIR": str(tmp_path / "temp"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        **{
            f"GIT_{who}_{what}": "podkeys@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    shutil.copytree(EXAMPLE, tmp_path / "origin")
    (tmp_path / "temp").mkdir()
    made = Repository(tmp_path / "origin", tmp_path / "temp", environment)
    done = made.run("git init -q -b main && git add -A && git commit -q -m first && git clone -q . ../clone")
    assert done.returncode == 0, done.stderr
    made = Repository(tmp_path / "clone", tmp_path / "temp", environment)
    role = made.clone / "roles" / "payments.yaml"
    role.write_text("# what the team of payments needs\n" + role.read_text())
    made.commit()
    return made


def scripts(host: str, job: str) -> str:
    """All that a job runs, but for installing and for asking GitHub who the job is."""
    if host == "gitlab":
        lines: list[str] = GITLAB[job]["script"]
        return "\n".join(lines)
    steps: list[dict[str, Any]] = GITHUB["jobs"][job]["steps"]
    found = [step["run"] for step in steps if "run" in step]
    return "\n".join(one for one in found if "pip install" not in one and "ACTIONS_ID_TOKEN" not in one)


@dataclass(frozen=True)
class Vault:
    bao: Server
    issuer: Issuer


@pytest.fixture
def vault() -> Iterator[Vault]:
    """A server as docs/ci.md says: a login for the pipelines, a role for each job, and the reviewers' key."""
    with openbao.running() as bao:
        issuer = Issuer()
        bao.call("POST", "sys/mounts/transit", {"type": "transit"})
        bao.call("POST", "transit/keys/review", {"type": "ed25519"})
        bao.call("POST", "sys/auth/jwt-ci", {"type": "jwt"})
        trust = {"jwt_validation_pubkeys": [issuer.public_pem], "bound_issuer": issuer.url}
        bao.call("POST", "auth/jwt-ci/config", trust)
        yield Vault(bao, issuer)


def prepare(vault: Vault, repository: Repository) -> list[Cluster]:
    """The clusters of the example, on this server."""
    bao = vault.bao
    for file in (repository.clone / "clusters").glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        document["spec"]["vault"] = {"address": bao.address}
        file.write_text(yaml.safe_dump(document))
    repository.commit()
    generated = repository.clone / "generated"
    clusters = [tree.read(generated, folder.name).cluster for folder in sorted(generated.iterdir())]
    for cluster in clusters:
        bao.call("POST", f"sys/auth/{cluster.auth_mount}", {"type": cluster.auth_method})
        for mount in (cluster.serving_mount, cluster.identity_mount):
            bao.call("POST", f"sys/mounts/{mount}", {"type": "pki"})
    applying = "\n".join(map(applying_policy, clusters))
    reading = applying
    for word in WRITING:
        reading = reading.replace(f'"{word}", ', "").replace(f', "{word}"', "")
    signing = 'path "transit/sign/review" {\n  capabilities = ["update"]\n}\n'
    for job, text in (("plan", reading), ("sign", signing), ("apply", applying)):
        bao.call("PUT", f"sys/policies/acl/ci-{job}", {"policy": text})
        role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]}
        more = {"token_policies": [f"ci-{job}"], "token_no_default_policy": True, "token_ttl": "15m"}
        bao.call("POST", f"auth/jwt-ci/role/podkeys-{job}", role | more)
    return clusters


@pytest.mark.openbao_only(
    "the example has podIP, and a server namespace, which HashiCorp Vault Community cannot hold"
)
@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_pipeline_goes_from_the_pull_request_to_the_server(
    repository: Repository, vault: Vault, host: str
) -> None:
    clusters = prepare(vault, repository)
    repository.run("git push -q origin HEAD:refs/heads/change")
    jwt = vault.issuer.token("ci", "pipeline")
    (repository.temp / "jwt").write_text(f"{jwt}\n")
    key = vault.bao.call("GET", "transit/keys/review")["data"]["keys"]["1"]["public_key"]
    pem = subprocess.run(
        [sys.executable, "-c", PEM, key], capture_output=True, text=True, check=True
    ).stdout.strip()
    (repository.temp / "key").write_text(f"{pem}\n")
    environment = {
        "VAULT": vault.bao.address,
        "VAULT_JWT": jwt,
        "REVIEW_KEY": pem,
        "PODKEYS_REVIEW_KEY": str(repository.temp / "key"),
    }
    for job in JOBS:
        done = repository.run(scripts(host, job), **environment)
        assert done.returncode == 0, f"{job}: {done.stdout}{done.stderr}"
        assert jwt not in done.stdout + done.stderr
    for cluster in clusters:
        assert Standing(vault.bao, cluster).logins()
    again = repository.run(scripts(host, "plan"), **environment)
    assert "2 clusters: 2 ok" in again.stdout


PEM = """
import base64, sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
key = Ed25519PublicKey.from_public_bytes(base64.b64decode(sys.argv[1]))
print(key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode())
"""


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_pull_request_that_gives_somebody_something_is_red(repository: Repository, host: str) -> None:
    role = repository.clone / "roles" / "payments.yaml"
    text = role.read_text()
    assert "kv/payments/stripe" in text
    role.write_text(text.replace("kv/payments/stripe", "kv/payments/paypal"))
    repository.commit()
    found = repository.run(scripts(host, "new-access"))
    assert (found.returncode, "kv/data/payments/paypal: gains read" in found.stdout) == (1, True)
    reviewed = repository.run(scripts(host, "review"))
    assert reviewed.returncode == 1
    assert "got denied, expected allowed" in reviewed.stdout


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_pull_request_with_a_stale_tree_is_red(repository: Repository, host: str) -> None:
    role = repository.clone / "roles" / "payments.yaml"
    role.write_text(role.read_text().replace("kv/payments/stripe", "kv/payments/paypal"))
    found = repository.run(scripts(host, "review"))
    assert found.returncode == 1
    assert "stale: eu-nl-prod-a/payments/payments/policy.hcl" in found.stdout


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_passes_on_the_example(repository: Repository, hook: dict[str, Any]) -> None:
    done = subprocess.run(
        shlex.split(hook["entry"]),
        cwd=repository.clone,
        env=repository.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pipelines_install_this_version() -> None:
    version = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]
    assert {GITHUB["env"]["PODKEYS"], GITLAB["variables"]["PODKEYS"]} == {f"podkeys=={version}"}


def test_both_pipelines_have_the_same_jobs() -> None:
    assert tuple(GITHUB["jobs"]) == JOBS
    assert all(job in GITLAB for job in JOBS)
