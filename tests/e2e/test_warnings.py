"""What kubectl shows at once to whoever applies a workload whose pods would be refused, on a real API server and webhook."""

import json

import pytest

from tests.e2e.kubectl import Json, kubectl
from tests.e2e.workloads import template, workload

pytestmark = pytest.mark.usefixtures("installation")
KINDS = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]


def warnings(manifest: Json) -> list[str]:
    """Those of kubectl that are ours."""
    done = kubectl("apply", "--dry-run=server", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    return [line for line in done.stderr.splitlines() if line.startswith("Warning: ") and "podkeys: " in line]


@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_shows_why_the_pods_of_a_workload_would_be_refused(kind: str) -> None:
    asked = template({"inject": "true", "secrets": "nosuch", "nonsense": "x"})
    said = warnings(workload(kind, "warned", asked))
    assert len(said) == 2
    assert all(line.startswith("Warning: podkeys: its pods will be refused: ") for line in said)
    assert any('podkeys.dev/secrets: got "nosuch"' in line for line in said)
    assert any("podkeys.dev/nonsense" in line for line in said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_whose_pods_are_injected_or_not_ours_is_applied_in_silence(kind: str) -> None:
    assert warnings(workload(kind, "quiet", template({"inject": "true", "secrets": "card"}))) == []
    assert warnings(workload(kind, "quiet", template({}))) == []


def test_where_nothing_is_injected_the_missing_label_is_named() -> None:
    """By the API server itself, as the webhook isn't asked there."""
    asked = template({"inject": "true", "secrets": "card"})
    (said,) = warnings(workload("Deployment", "homeless", asked, "default"))
    assert "namespace default is not labelled podkeys.dev/injection=enabled" in said
