"""Which gains somebody answers for: marked in whatever form a change is told, with why, who and until when."""

import json
import subprocess
from pathlib import Path
from typing import Any

import click.testing
import pytest

import podkeys
from policies.apply.show import plain

ONE = 'path "kv/a" { capabilities = ["read"] }\n'
TWO = 'path "kv/b" { capabilities = ["read"] }\n'
NEWS = "the *shop* moves <b>in</b> | here"
NOW = "2030-01-31T12:00:00Z"


def call(*words: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(podkeys.cli, ["policies", *words], standalone_mode=False)


def waiver(until: str, reason: str = NEWS, **place: str) -> dict[str, str]:
    return {"id": "new-access", "reason": reason, "owner": "team-shop", "until": until, **place}


def role(*accounts: str) -> str:
    bound = {"bound_service_account_names": accounts, "bound_service_account_namespaces": ["shop"]}
    return json.dumps({"path": "auth/k8s/role/shop", "data": {"token_policies": ["p"], **bound}})


def written(*, policies: str, login: str) -> None:
    Path("new/p.hcl").write_text(policies)
    Path("new/role.json").write_text(login)


def waivers(*given: dict[str, str]) -> None:
    Path("podkeys-lint.yaml").write_text(json.dumps({"waivers": given}))


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`new` gains kv/b and a second login over what is committed, and over `old`."""
    monkeypatch.chdir(tmp_path)
    for folder in ("old", "new"):
        Path(folder).mkdir()
    written(policies=ONE, login=role("web"))
    for name in ("p.hcl", "role.json"):
        Path("old", name).write_bytes(Path("new", name).read_bytes())
    who = ("-c", "user.name=reviewer", "-c", "user.email=reviewer@example.com")
    for words in (("init", "-q"), ("add", "new"), ("commit", "-q", "-m", "reviewed"), ("tag", "reviewed")):
        subprocess.run(["git", *who, *words], check=True)
    written(policies=ONE + TWO, login=role("web", "till"))


def diffed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("diff", "old", "new", "--no-new-access", "--json").stdout)
    return found


def audited() -> dict[str, Any]:
    result = call("audit", "--policies", "new", "--out", "report", "--since", "reviewed", "--now", NOW)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(Path("report/audit.json").read_text())["since"]
    return found


@pytest.mark.parametrize("told", [diffed, audited])
def test_a_gain_is_marked_with_its_waiver_and_one_without_with_none(told: Any) -> None:  # noqa: ANN401 - either
    waivers(waiver("2999-01-01", subject="k8s/shop", path="kv/b"))
    found = told()
    expected = {"id": "new-access", "reason": NEWS, "owner": "team-shop", "until": "2999-01-01", "line": 1}
    assert [one["waiver"] for one in found["access"]] == [expected]
    assert [one["waiver"] for one in found["logins"]] == [None]
    assert call("diff", "old", "new", "--no-new-access").return_value == 1


@pytest.mark.parametrize("told", [diffed, audited])
def test_a_waiver_without_a_path_marks_logins_too_and_of_two_the_longer_counts(told: Any) -> None:  # noqa: ANN401
    waivers(*(waiver(until, subject="k8s/shop") for until in ("2998-01-01", "2999-01-01", "2020-01-01")))
    found = told()
    untils = [one["waiver"]["until"] for one in (*found["access"], *found["logins"])]
    assert untils == ["2999-01-01", "2999-01-01"]
    assert call("diff", "old", "new", "--no-new-access").return_value == 0


def test_what_is_lost_is_no_gain_that_a_waiver_covers() -> None:
    written(policies="", login=role())
    waivers(waiver("2999-01-01", subject="k8s/shop"))
    assert [one["waiver"] for one in diffed()["access"]] == [None]
    assert "Gains that a waiver covers" not in call("diff", "old", "new").stdout


def test_a_report_of_another_day_counts_the_waivers_of_that_day() -> None:
    waivers(waiver("2030-01-31", subject="k8s/shop"))
    assert audited()["access"][0]["waiver"]["until"] == "2030-01-31"
    waivers(waiver("2030-01-30", subject="k8s/shop"))
    assert audited()["access"][0]["waiver"] is None


def test_people_see_it_in_the_text_the_page_and_the_markdown() -> None:
    """Invariant: a reason is text, whatever it holds."""
    reason = f"{NEWS}\u202e"
    waivers(waiver("2999-01-01", reason, subject="k8s/shop"))
    said = f"waived until 2999-01-01 by team-shop: {plain(reason)}"
    output = call("diff", "old", "new", "--no-new-access").stdout
    assert (
        f"Gains that a waiver covers: 2\n    k8s/shop: kv/b, {said}\n    k8s/shop: who may log in, " in output
    )
    audited()
    page = Path("report/audit.html").read_text()
    escaped = said.replace("<", "&lt;").replace(">", "&gt;")
    assert page.count(f"<small>{escaped}</small>") == 2
    lines = Path("report/audit.md").read_text().splitlines()
    [gain] = [line for line in lines if line.startswith("| k8s/shop | kv/b | read; waived until 2999")]
    assert r"the \*shop\* moves \<b\>in\</b\> \| here" in gain
    assert any("till in shop; web in shop; waived until 2999-01-01" in line for line in lines)
