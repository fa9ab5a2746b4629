"""Pods of shapes found in the wild: each with what the webhook makes of it, or its refusal.

`make golden` rewrites the expected files; the diff is to be read.
"""

import os
from pathlib import Path

import jsonpatch
import jsonpointer
import pytest

from tests.webhook.admissions import CATALOG, SETTINGS, Json, operations
from webhook.inject import answer, mutated
from webhook.manifests import Manifest, dump, read

CASES = sorted(path.parent for path in Path(__file__).parents[1].glob("testdata/*/pod.yaml"))
REWRITE = os.environ.get("PODKEYS_GOLDEN") == "rewrite"

golden = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def admitted(case: Path) -> tuple[Manifest, Json]:
    (manifest,) = read((case / "pod.yaml").read_text())
    return manifest, answer(manifest, CATALOG, SETTINGS)


def shown(manifest: Manifest, response: Json) -> str:
    """As comments what is said to the pod's author, then the pod."""
    if not response["allowed"]:
        lines = response["status"]["message"].splitlines()
        return "".join(
            f"# {line}\n" for line in [f"refused, {response['auditAnnotations']['reason']}", *lines]
        )
    said = [response["auditAnnotations"]["reason"], *response.get("warnings", ())]
    return "".join(f"# {line}\n" for line in said) + dump(mutated(manifest.pod, response))


@golden
def test_golden_pod_comes_out_as_expected(case: Path) -> None:
    got = shown(*admitted(case))
    expected = case / "expected.yaml"
    if REWRITE:
        expected.write_text(got)
    assert got == expected.read_text()


@golden
def test_golden_patch_is_what_jsonpatch_computes(case: Path) -> None:
    """An independent diff of before and after, applied, gives the same pod."""
    manifest, response = admitted(case)
    after = mutated(manifest.pod, response)
    assert jsonpatch.make_patch(manifest.pod, after).apply(manifest.pod) == after
    assert all(operation["op"] == "add" for operation in operations(response))


@golden
def test_golden_patch_replaces_nothing(case: Path) -> None:
    """`add` to a field that is there replaces it: only absent and null ones may be added whole."""
    manifest, response = admitted(case)
    value = manifest.pod
    for operation in operations(response):
        parent, _, last = operation["path"].rpartition("/")
        holder = jsonpointer.resolve_pointer(value, parent)
        assert isinstance(holder, list) or holder.get(last.replace("~1", "/")) is None
        value = jsonpatch.apply_patch(value, [operation])


def test_there_are_at_least_thirty_golden_pods() -> None:
    assert len(CASES) >= 30
