"""`podkeys policies lint` as a reviewer and as a pipeline call it: severities, waivers, formats, exit codes."""

import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import click.testing
import jsonschema
import pytest

import podkeys
from demo.openbao import Server
from policies.acl.dialects import Dialect
from policies.errors import ProblemsError
from policies.review.lint import settings
from policies.review.lint.catalogue import RULES
from policies.review.lint.finding import Severity
from policies.review.lint.run import Report, lint
from policies.review.lint.sarif import document
from tests.policies.lint_pages import dialect, examples, looked_at

TESTDATA = Path(__file__).parents[1] / "testdata"
SCHEMA = json.loads((TESTDATA / "sarif" / "sarif-schema-2.1.0.json").read_text())
TODAY = date(2026, 11, 25)


def call(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        podkeys.cli, ["policies", "lint", *map(str, arguments)], standalone_mode=False
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`exported` in the current folder: a list of a shared prefix, of medium severity, and a create without update, of low."""
    monkeypatch.chdir(tmp_path)
    text = 'path "kv/metadata/" { capabilities = ["list"] }\n\n  path "kv/data/shop" { capabilities = ["create"] }\n'
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "shop.hcl").write_text(text)
    return Path("exported")


def config(text: str) -> Path:
    path = Path("podkeys-lint.yaml")
    path.write_text(text)
    return path


def waiver(**changes: str) -> str:
    fields = {
        "id": "PK115",
        "subject": "shop",
        "reason": "the backup",
        "owner": "team-shop",
        "until": "2099-01-01",
    }
    return json.dumps({"waivers": [{name: text for name, text in {**fields, **changes}.items() if text}]})


def test_a_finding_has_its_place_what_was_got_and_what_to_do(folder: Path) -> None:
    result = call("--policies", folder)
    lines = result.output.splitlines()
    assert result.return_value == 1
    assert lines[0].startswith('exported/shop.hcl:1:1: PK115 medium got list on "kv/metadata/"')
    assert lines[1].startswith("    fix: read by name")
    assert lines[2].startswith("exported/shop.hcl:3:3: PK116 low got create")
    assert lines[-1] == "2 found: 1 medium, 1 low."


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 1),
        (("--fail-on", "high"), 0),
        (("--fail-on", "low"), 1),
        (("--severity", "PK115=off"), 0),
        (("--severity", "PK115=low"), 0),
        (("--severity", "PK116=critical", "--fail-on", "critical"), 1),
    ],
)
def test_what_fails_is_chosen_by_severity(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    assert call("--policies", folder, *arguments).return_value == code


def test_a_file_beside_says_severities_and_when_to_fail_and_the_command_line_wins(folder: Path) -> None:
    path = config("failOn: high\nseverities: {PK115: high, PK116: off}\n")
    assert "1 found: 1 high." in call("--policies", folder).output
    assert call("--policies", folder).return_value == 1
    assert call("--policies", folder, "--severity", "PK115=medium").return_value == 0
    other = path.rename("other.yaml")
    assert "2 found" in call("--policies", folder).output
    assert "1 found" in call("--policies", folder, "--config", other).output


def test_nothing_found_is_said(folder: Path) -> None:
    (folder / "shop.hcl").write_text("# nothing\n")
    result = call("--policies", folder)
    assert (result.return_value, result.output) == (0, "Nothing found.\n")


def test_a_waiver_covers_its_finding_alone(folder: Path) -> None:
    config(waiver())
    result = call("--policies", folder, "--fail-on", "low")
    assert (result.return_value, result.output.splitlines()[-1]) == (1, "1 found: 1 low; 1 waived.")
    found = json.loads(call("--policies", folder, "--json").output)
    assert [finding["id"] for finding in found["findings"]] == ["PK116"]
    [waived] = found["waived"]
    assert (waived["id"], waived["waiver"]["owner"], waived["waiver"]["until"]) == (
        "PK115",
        "team-shop",
        "2099-01-01",
    )


@pytest.mark.parametrize(
    "changes", [{"subject": "mail"}, {"path": "kv/metadata/shop/"}, {"file": "mail.hcl"}, {"id": "PK101"}]
)
def test_a_waiver_for_something_else_covers_nothing_and_is_told(
    folder: Path, changes: dict[str, str]
) -> None:
    config(waiver(**changes))
    result = call("--policies", folder)
    assert result.return_value == 1
    assert (
        f"podkeys-lint.yaml:1: the waiver of {changes.get('id', 'PK115')} by team-shop covers nothing any more"
        in result.output
    )


def reported(folder: Path, text: str, today: date) -> Report:
    return lint(looked_at(folder), settings.parse("podkeys-lint.yaml", text.encode()), today)


def test_from_the_day_behind_its_last_a_waiver_does_not_cover(folder: Path) -> None:
    text = waiver(until=TODAY.isoformat())
    assert [finding.rule.id for finding in reported(folder, text, TODAY).findings] == ["PK116"]
    late = reported(folder, text, TODAY + timedelta(days=1))
    assert [(finding.rule.id, finding.note) for finding in late.findings] == [
        ("PK115", "the waiver of team-shop ended on 2026-11-25"),
        ("PK116", ""),
    ]
    assert late.fails(Severity.MEDIUM)
    assert not late.unused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("failOn: never", "1:9: failOn: got 'never', expected one of critical, high, medium, low"),
        ("failOn: off", "1:9: failOn: got the boolean off, expected one of critical, high, medium, low"),
        ("severities: {PK999: low}", "1:14: severities: unknown key: got 'PK999'"),
        (
            "severities: {PK115: bad}",
            "1:21: severities.PK115: got 'bad', expected one of critical, high, medium, low, off",
        ),
        ("severities: {PK115: 3}", "got the number 3"),
        ("rules: []", "1:1: unknown key: got 'rules'"),
        (waiver(id="PK000"), "waivers[0].id: got 'PK000', expected an ID of docs/lint"),
        (waiver(until="soon"), "waivers[0].until: got 'soon', expected a day such as 2030-01-31"),
        (waiver(subject=""), "waivers[0]: got neither file nor subject, expected one"),
        (waiver(reason=""), "waivers[0]: got no reason"),
        (waiver(owner=" "), "waivers[0].owner: got ' ', expected a text that says something"),
    ],
)
def test_what_is_wrong_in_the_settings_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        settings.parse("podkeys-lint.yaml", text.encode())
    assert message in str(caught.value)
    assert str(caught.value).startswith("podkeys-lint.yaml:1:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--severity", "PK000=low"),
        ("--severity", "PK115"),
        ("--severity", "PK115=worst"),
        ("--fail-on", "off"),
        ("--json", "--format", "sarif"),
        ("--json", "--format", "text"),
    ],
)
def test_wrong_arguments_are_a_matter_of_usage(folder: Path, arguments: tuple[str, ...]) -> None:
    assert isinstance(call("--policies", folder, *arguments).exception, click.UsageError)


def test_json_twice_is_json(folder: Path) -> None:
    assert (
        call("--policies", folder, "--json", "--format", "json").output
        == call("--policies", folder, "--json").output
    )


@pytest.mark.parametrize("command", [("lint",), ("audit", "--out", "report"), ("diff", "exported")])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("waivers: 3", "podkeys-lint.yaml:1:10: waivers: got the number 3, expected a list, such as [3]"),
        ("", "nowhere.yaml: no such file, expected severities and waivers"),
    ],
)
def test_a_file_of_waivers_that_can_not_be_read_is_no_answer(
    folder: Path, command: tuple[str, ...], text: str, message: str
) -> None:
    """The same words and 64 from each command that takes it: 1 would be findings, or new access."""
    where = ("--config", "nowhere.yaml") if not text else ()
    if text:
        config(text)
    last = (str(folder),) if command[0] == "diff" else ("--policies", str(folder))
    words = ["policies", *command, *last, *where]
    error = click.testing.CliRunner().invoke(podkeys.cli, words, standalone_mode=False).exception
    assert isinstance(error, click.ClickException)
    assert (error.exit_code, error.message) == (64, message)


def test_no_folder_is_no_success(folder: Path) -> None:
    result = call("--policies", folder / "nowhere")
    assert isinstance(result.exception, click.ClickException)
    assert (result.exception.exit_code, "no such folder" in result.exception.message) == (64, True)


def test_a_file_is_no_folder_and_is_said_to_be_one(folder: Path) -> None:
    result = call("--policies", folder / "shop.hcl")
    assert isinstance(result.exception, click.ClickException)
    expected = "exported/shop.hcl: got a file, expected a folder, such as exported, with policies"
    assert result.exception.message.startswith(expected)


def test_a_folder_without_policies_is_no_success(folder: Path) -> None:
    """A gate that looks at the wrong folder must not be green."""
    other = folder / "roles"
    other.mkdir()
    (other / "shop.yaml").write_text("kind: ServiceRole\n")
    result = call("--policies", other)
    assert isinstance(result.exception, click.ClickException)
    assert "got no *.hcl and no *.json file" in result.exception.message


def sarif(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("--policies", folder, "--format", "sarif").output)
    jsonschema.Draft4Validator(SCHEMA).validate(found)
    return found


def test_sarif_is_as_its_schema_says_and_points_to_the_line(folder: Path) -> None:
    config(waiver())
    [run] = sarif(folder)["runs"]
    low, waived = run["results"]
    assert (low["ruleId"], low["level"]) == ("PK116", "note")
    assert run["tool"]["driver"]["rules"][low["ruleIndex"]]["id"] == "PK116"
    place = low["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "exported/shop.hcl"},
        "region": {"startLine": 3, "startColumn": 3},
    }
    assert waived["suppressions"][0]["justification"] == "the backup (team-shop, until 2099-01-01)"


def test_all_rules_and_odd_names_make_valid_sarif(tmp_path: Path) -> None:
    for rule in RULES:
        examples(rule.id)[0].written(tmp_path / rule.id)
    for number, folder in enumerate(sorted(tmp_path.iterdir())):
        Path(folder, f"a b#{number}ü.hcl").write_text('path "*" { capabilities = ["read"] }')
        Path(os.fsencode(folder).decode(), os.fsdecode(b"bad-\xff.hcl")).write_text(
            'path "*" { capabilities = ["read"] }'
        )
        report = lint(looked_at(folder, dialect=dialect(folder.name)), settings.Settings(), TODAY)
        found = json.loads(json.dumps(document(report, "generated", "1.0.0")))
        jsonschema.Draft4Validator(SCHEMA).validate(found)
        assert len(found["runs"][0]["results"]) >= 3


def test_a_fingerprint_stays_when_lines_move(folder: Path) -> None:
    def fingerprints() -> list[str]:
        return [
            result["partialFingerprints"]["subjectAndPath/v1"]
            for result in sarif(folder)["runs"][0]["results"]
        ]

    before = fingerprints()
    path = folder / "shop.hcl"
    path.write_text("# a comment\n\n" + path.read_text())
    assert fingerprints() == before
    assert len(set(before)) == 2


def test_control_characters_do_not_reach_a_terminal(folder: Path) -> None:
    (folder / "shop.hcl").write_text('path "*\\u001b[2K" { capabilities = ["read"] }')
    assert "\x1b[2K" not in call("--policies", folder).output


def test_an_expiration_is_judged_at_the_time_that_is_given(tmp_path: Path) -> None:
    bad, _ = examples("PK203")
    tree = looked_at(bad.written(tmp_path), datetime(2100, 1, 1, tzinfo=UTC))
    assert [finding.rule.id for finding in lint(tree, settings.Settings(), TODAY).findings] == ["PK214"]


def test_the_settings_of_the_documents_are_taken() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lint" / "README.md").read_text()
    blocks = [
        settings.parse("x.yaml", block.encode())
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]
    assert blocks[0].severities == {"PK115": Severity.HIGH, "PK411": Severity.OFF}
    assert blocks[0].fail_on is Severity.HIGH
    assert blocks[1].waivers[0].until == date(2030, 1, 31)


def test_names_that_are_no_text_are_shown_all_the_same(folder: Path) -> None:
    Path(folder, os.fsdecode(b"bad-\xff.hcl")).write_bytes(b'path "*" { capabilities = ["read"] }')
    assert "PK101" in call("--policies", folder).output
    assert "PK101" in call("--policies", folder, "--json").output


def test_without_boundaries_it_is_said_once_of_what_is_generated(folder: Path) -> None:
    assert "no folder boundaries/" not in call("--policies", folder).stderr
    examples("PK118")[1].written(folder)
    result = call("--policies", folder, "--json")
    assert result.stderr.count("no folder boundaries/") == 1
    assert json.loads(result.stdout)["findings"] == []


def test_boundaries_are_read_and_a_broken_one_stops_all(folder: Path) -> None:
    bad, _ = examples("PK119")
    bad.written(Path())
    assert "PK119" in call("--policies", ".").output
    Path("boundaries", "shop.yaml").write_text("kind: Boundary\n")
    result = call("--policies", folder)
    assert isinstance(result.exception, click.ClickException)
    assert "boundaries/shop.yaml:1" in result.exception.message


def test_a_server_is_looked_at_as_a_folder_is(bao: Server, dialect: Dialect, folder: Path) -> None:
    """Its own policy `default` is clean, but for a template where the server fills in wildcards."""
    del folder
    bao.call("PUT", "sys/policies/acl/lint-server", {"policy": 'path "*" { capabilities = ["read"] }'})
    words = ["policies", "lint", "--address", bao.address]
    result = click.testing.CliRunner().invoke(podkeys.cli, words, env={"BAO_TOKEN": bao.root_token})
    bao.call("DELETE", "sys/policies/acl/lint-server")
    assert f'{bao.address}/sys/policies/acl/lint-server:1:1: PK101 critical got "*"' in result.output
    of_default = re.findall(r"sys/policies/acl/default:\d+:\d+: (PK\d+)", result.output)
    assert of_default == ([] if "*" in dialect.blocked else ["PK217"])
