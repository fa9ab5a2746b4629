"""Dashboard and alerts: what they ask for is there, and each alert has its runbook."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, manifests
from tests.webhook.serving import Webhook, post, review, serving

HERE = Path(__file__).parent
EVERYTHING = f"--values={HERE / 'everything.yaml'}"
VAULT = f"--values={HERE / 'vault.yaml'}"
OPERATE = CHART.parents[1] / "docs" / "operate.md"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with serving(tmp_path_factory.mktemp("webhook")) as found:
        yield found


def rules(values: str = EVERYTHING) -> list[dict[str, Any]]:
    groups = manifests(values)["PrometheusRule", "podkeys-webhook"]["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    text = manifests(EVERYTHING)["ConfigMap", "podkeys-dashboard"]["data"]["podkeys.json"]
    found: dict[str, Any] = json.loads(text)
    return found


def test_each_metric_of_dashboard_and_alerts_is_exposed_by_a_real_webhook(webhook: Webhook) -> None:
    with webhook.connect() as connection:
        assert post(connection, review("one"))[0] == 200
    text = webhook.page("/metrics")[1]
    exposed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    exposed |= {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    queries = [rule["expr"] for rule in rules()]
    queries += [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\b(?:podkeys|process)_\w+", query)}
    assert len(asked) > 10
    assert asked <= exposed


def test_the_dashboards_panels_do_not_overlap() -> None:
    """Grafana moves those that do, each time it loads."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_each_alert_leads_to_its_own_section_of_the_runbooks() -> None:
    sections = {found.lower() for found in re.findall(r"^### (\w+)$", OPERATE.read_text(), re.MULTILINE)}
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "https://wiki.example.com/podkeys/operate"
        assert anchor == rule["alert"].lower()
        assert anchor in sections
    assert {rule["alert"].lower() for rule in rules()} == {
        name for name in sections if name.startswith("podkeys")
    }


def test_a_short_lived_certificate_is_not_reported_while_it_is_renewed_in_time() -> None:
    """Vault's is renewed at half of its life, ± 10 %."""
    for values, life in ((EVERYTHING, 2419200), (VAULT, 86400)):
        found = {
            rule["alert"]: int(rule["expr"].split("<")[1]) for rule in rules(values) if "<" in rule["expr"]
        }
        assert 0 < found["PodkeysCertificateEndsSoon"] < found["PodkeysCertificateEnds"] < 0.4 * life


def test_prometheus_understands_the_alerts(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("no promtool on PATH (Debian's package prometheus has it)")
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(manifests(EVERYTHING)["PrometheusRule", "podkeys-webhook"]["spec"]))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
