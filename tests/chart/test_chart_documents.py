"""Each `helm` command of the documents is one that the chart takes."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.chart.charts import CHART, helm

DOCS = CHART.parents[1] / "docs"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
# of `helm install` and `helm upgrade` alone
NOT_OF_TEMPLATE = {"--wait", "--reset-then-reuse-values", "--force-conflicts"}
VALUES_THAT_STAND = Path(__file__).parent / "vault.yaml"


def commands() -> list[str]:
    """Those that install or upgrade, in one line each."""
    found = []
    for name in ("install.md", "operate.md"):
        for block in re.findall(r"```sh\n(.*?)```", (DOCS / name).read_text(), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.strip() for line in lines if re.match(r"\s*helm (install|upgrade) ", line)]
    return found


@pytest.mark.parametrize("command", commands())
def test_a_documented_command_renders(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the files that it names; an upgrade has the values of before, here those of tests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").symlink_to(CHART.parent)
    (tmp_path / "clusters").mkdir()
    for name in re.findall(r"=(\S+\.pem)", command):
        (tmp_path / name).write_text(PEM)
    vault = yaml.safe_load(VALUES_THAT_STAND.read_text())["certificate"]["vault"]
    (tmp_path / "vault-values.yaml").write_text(yaml.safe_dump({"certificate": {"vault": vault}}))
    _, verb, *words = shlex.split(command)
    of_the_chart = {"certificate.from=chart", "certificate.from=cert-manager", "certificate.caBundle="} & {
        *words
    }
    before = ["--set=image=podkeys"] if of_the_chart else [f"--values={VALUES_THAT_STAND}"]
    given = [word for word in words if word not in NOT_OF_TEMPLATE]
    result = helm("template", *given[:2], *(before if verb == "upgrade" else ()), *given[2:])
    assert result.returncode == 0, result.stderr


def test_the_documents_have_commands_for_each_way() -> None:
    assert len(commands()) >= 10
    for way in (
        "certificate.from=vault",
        "certificate.from=chart",
        "certificate.from=cert-manager",
        "values-openshift.yaml",
    ):
        assert any(way in command for command in commands())
