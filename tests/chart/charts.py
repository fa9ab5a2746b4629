"""The chart as Helm renders it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parent.parent.parent / "deploy" / "chart"
IMAGE = "registry.example.com/podkeys:0.1.0"
NO_HELM = "no helm on PATH, and the chart is rendered by it (https://helm.sh/docs/intro/install)"

Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("helm"):
        pytest.skip(NO_HELM)
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


def render(*arguments: str, image: str = IMAGE) -> str:
    """What `helm template` prints. Keys and certificates are new each time."""
    result = helm(
        "template", "podkeys", str(CHART), "--namespace=podkeys-system", f"--set=image={image}", *arguments
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def manifests(*arguments: str) -> dict[tuple[str, str], Manifest]:
    """By kind and name."""
    found = yaml.safe_load_all(render(*arguments))
    return {(item["kind"], item["metadata"]["name"]): item for item in found if item}


def masked(text: str) -> str:
    """Without what is new in each rendering (certificates, keys, when they were made), in an order of its own."""
    text = "---\n".join(sorted(text.split("---\n"), key=lambda part: part.partition("\n")[0]))
    text = re.sub(r"((?:ca\.crt|tls\.crt|tls\.key|caBundle): )[A-Za-z0-9+/=]{40,}", r"\1(base64)", text)
    return re.sub(r'(podkeys\.dev/issued-at: )"[0-9]+"', r'\1"(seconds)"', text)
