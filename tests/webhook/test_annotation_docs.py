"""docs/annotations.md is executed: each example is admitted, or refused with just the words that follow it."""

import re
from pathlib import Path

import pytest
import yaml

from tests.webhook.admissions import injected, pod, refusal
from webhook.annotations import OPTIONS, READERS, STATUS

PAGE = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```(?:\n```text\n(.*?)\n```)?", PAGE, re.DOTALL)


@pytest.mark.parametrize(("annotations", "said"), EXAMPLES)
def test_each_example_does_what_the_page_says(annotations: str, said: str) -> None:
    value = pod()
    value["metadata"]["annotations"] = yaml.safe_load(annotations)
    if said:
        assert refusal(value) == said
    else:
        assert injected(value)


@pytest.mark.parametrize("name", ["inject", *READERS, *(f"{option}.<name>" for option in OPTIONS), STATUS])
def test_each_annotation_has_a_section_with_an_example(name: str) -> None:
    _, found, section = PAGE.partition(f"## `podkeys.dev/{name}`\n")
    assert found
    assert name == STATUS or "```yaml" in section.partition("\n## ")[0]
