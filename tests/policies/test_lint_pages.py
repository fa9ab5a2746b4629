"""Each rule's page: its bad example is found, its good one isn't, and the table has it."""

import re
from pathlib import Path

import pytest

from policies.review.lint.catalogue import RULES
from policies.review.lint.finding import Rule
from policies.review.lint.run import found
from policies.review.lint.settings import Settings
from tests.policies.lint_pages import PAGES, dialect, examples, looked_at

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example" / "generated"


def named(rule: Rule) -> str:
    return rule.id


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_bad_example_of_a_page_is_found_by_its_rule_alone(rule: Rule, tmp_path: Path) -> None:
    bad, _ = examples(rule.id)
    tree = looked_at(bad.written(tmp_path), dialect=dialect(rule.id))
    findings = list(found(tree, Settings()))
    assert {finding.rule.id for finding in findings} == {rule.id}
    for finding in findings:
        hit = finding.hit
        line = (tmp_path / hit.file).read_text().splitlines()[hit.line - 1]
        assert hit.column <= len(line) + 1
        assert "got" in hit.message
        assert "expected" in hit.message
        assert hit.fix


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_nothing_is_found_in_the_good_example_of_a_page(rule: Rule, tmp_path: Path) -> None:
    _, good = examples(rule.id)
    findings = list(found(looked_at(good.written(tmp_path), dialect=dialect(rule.id)), Settings()))
    assert findings == []


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_page_begins_with_the_title_and_severity_of_its_rule(rule: Rule) -> None:
    text = (PAGES / f"{rule.id}.md").read_text()
    assert text.startswith(f"# {rule.id}: {rule.title}\n\nSeverity: {rule.severity}.\n")


def test_the_table_has_all_rules_in_their_order() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE
    )
    assert rows == [(rule.id, str(rule.severity), rule.title) for rule in RULES]
    assert {path.stem for path in PAGES.glob("PK*.md")} == {rule.id for rule in RULES}


def test_what_podkeys_generates_is_clean() -> None:
    """Inside the example's boundaries, too: looked at from above, its folder of boundaries is read."""
    assert list(found(looked_at(EXAMPLE), Settings())) == []
    assert list(found(looked_at(EXAMPLE.parent), Settings())) == []
