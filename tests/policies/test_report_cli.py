"""`podkeys policies audit` as a reviewer calls it: three files, the same bytes each time, whatever the policies hold."""

import html.parser
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import click.testing
import pytest
from markdown_it import MarkdownIt

import podkeys
from policies.apply.show import plain

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
NOW = "2030-01-31T12:00:00Z"
POLICY = "eu-nl-prod-a/payments/payments/policy.hcl"
NASTY = "<script>alert(1)</script> `x` **b** | c & [a](https://example.com) ![i](x) \u202e \\ {{7*7}} \"' </style>"


def call(*arguments: str | Path) -> click.testing.Result:
    words = ["policies", "audit", *map(str, arguments)]
    return click.testing.CliRunner().invoke(podkeys.cli, words, standalone_mode=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit `reviewed` of the example's generated tree."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE / "generated", tmp_path / "generated")
    git("init", "-q")
    commit("reviewed")
    git("tag", "reviewed")
    return Path("generated")


def git(*words: str) -> str:
    who = ("-c", "user.name=reviewer", "-c", "user.email=reviewer@example.com")
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout


def commit(message: str) -> None:
    git("add", ".")
    git("commit", "-q", "-m", message)


def audited(*arguments: str | Path) -> dict[str, Any]:
    result = call("--out", "report", "--now", NOW, *arguments)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(Path("report/audit.json").read_text())
    return found


class Elements(html.parser.HTMLParser):
    """Names of elements, attributes by element, and the text of all that isn't code of the page itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        if self.names[-1:] not in (["script"], ["style"]):
            self.text += data


def test_the_report_of_the_example_says_who_can_read_what(folder: Path) -> None:
    found = audited("--policies", folder)
    assert (found["commit"], found["edited"]) == (git("rev-parse", "HEAD").strip(), False)
    assert [cluster["name"] for cluster in found["clusters"]] == ["eu-de-prod-b", "eu-nl-prod-a"]
    [payments] = [one for one in found["services"] if one["name"] == "payments-api"]
    assert (payments["owner"], payments["roleFile"], payments["namespace"]) == (
        "team-payments",
        "payments.yaml",
        "payments",
    )
    assert [secret["path"] for secret in payments["secrets"] if secret["read"]] == [
        "database/creds/payments-orders",
        "kv/data/eu-nl-prod-a/shared/smtp",
        "kv/data/payments/stripe",
    ]
    for ending in ("html", "md"):
        text = Path(f"report/audit.{ending}").read_text()
        assert text.count("payments-api") > 1
        assert "2030-01-31" in text
    assert {"since": None, "usage": None}.items() <= found.items()


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Invariant: a report can be made again and compared, wherever it is written to."""
    audited("--policies", folder)
    assert call("--out", tmp_path / "deep" / "again", "--now", NOW, "--policies", folder).return_value == 0
    for ending in ("html", "md", "json"):
        again = tmp_path / "deep" / "again" / f"audit.{ending}"
        assert again.read_bytes() == Path(f"report/audit.{ending}").read_bytes()


def test_since_shows_gains_losses_and_other_logins(folder: Path) -> None:
    root = folder / "eu-nl-prod-a"
    policy = root / "payments" / "payments" / "policy.hcl"
    policy.write_text(policy.read_text().replace("payments/stripe", "payments/stripe-live"))
    login = root / "web" / "storefront" / "auth.storefront.json"
    login.write_text(
        login.read_text().replace("system:serviceaccount:web:storefront", "system:serviceaccount:web:other")
    )
    found = audited("--policies", folder, "--since", "reviewed")
    assert found["edited"]
    api = [one for one in found["since"]["access"] if one["subject"].endswith("payments-api")]
    assert {(one["witness"], *one["gained"], *one["lost"]) for one in api} == {
        ("kv/data/payments/stripe", "read"),
        ("kv/data/payments/stripe-live", "read"),
    }
    assert [(one["before"], one["after"]) for one in found["since"]["logins"]] == [
        (["storefront in web"], ["other in web"])
    ]
    assert "stripe-live" in Path("report/audit.html").read_text()
    commit("changed")
    assert audited("--policies", folder, "--since", "HEAD")["since"]["access"] == []


def test_since_reads_the_commit_itself_whatever_attributes_hide(folder: Path) -> None:
    """Invariant: a line in .gitattributes can't hide what was reviewed, and with it what changed."""
    Path(".gitattributes").write_text("*.hcl export-ignore\n*.json export-ignore\n")
    commit("hidden")
    assert audited("--policies", folder, "--since", "HEAD")["since"]["access"] == []


@pytest.mark.parametrize("ref", ["nowhere", "--output=owned", "HEAD:generated", ""])
def test_since_names_what_is_no_commit(folder: Path, ref: str) -> None:
    result = call("--out", "report", "--policies", folder, f"--since={ref}")
    assert isinstance(result.exception, click.ClickException)
    assert f"got {ref!r}, expected a commit, tag or branch" in result.exception.message
    assert not Path("owned").exists()


def test_since_without_git_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = call("--out", "report", "--policies", folder, "--since", "reviewed")
    assert isinstance(result.exception, click.ClickException)
    assert "got no git on PATH" in result.exception.message


def test_since_a_commit_whose_files_are_not_here_says_so(folder: Path) -> None:
    """A clone may lack some; nothing is compared with half of a commit."""
    digest = git("rev-parse", f"HEAD:generated/{POLICY}").strip()
    Path(".git", "objects", digest[:2], digest[2:]).unlink()
    result = call("--out", "report", "--policies", folder, "--since", "reviewed")
    assert isinstance(result.exception, click.ClickException)
    assert "expected a complete clone" in result.exception.message


def test_since_a_commit_without_the_folder_says_so(folder: Path) -> None:
    shutil.copytree(folder, "elsewhere")
    result = call("--out", "report", "--policies", "elsewhere", "--since", "reviewed")
    assert isinstance(result.exception, click.ClickException)
    assert "has nothing in elsewhere; expected a commit that has its policies" in result.exception.message


def test_what_lies_outside_a_boundary_is_among_the_findings_as_lint_has_it(folder: Path) -> None:
    def outside() -> list[str]:
        return [
            one["subject"]
            for one in audited("--policies", folder)["lint"]["findings"]
            if one["id"] == "PK119"
        ]

    shutil.copytree(EXAMPLE / "boundaries", "boundaries")
    assert outside() == []
    policy = folder / POLICY
    policy.write_text(policy.read_text().replace("kv/data/payments/stripe", "kv/data/web/smtp"))
    assert outside() == ["podkeys.eu-nl-prod-a.payments.payments"]
    Path("boundaries", "broken.yaml").write_text("kind: Boundary\n")
    assert isinstance(call("--out", "report", "--policies", folder).exception, click.ClickException)


def test_findings_waivers_and_the_end_of_a_waiver_are_in_it(folder: Path) -> None:
    (folder / "all.hcl").write_text('path "kv/*" { capabilities = ["create", "update"] }\n')
    waivers = """waivers:
- {id: PK102, file: all.hcl, reason: the old deployer, owner: team-a, until: 2030-02-01}
- {id: PK213, file: all.hcl, reason: the old deployer, owner: team-b, until: 2030-01-01}
"""
    Path("podkeys-lint.yaml").write_text(waivers)
    found = audited("--policies", folder)["lint"]
    assert [(one["id"], one["waiver"]["owner"]) for one in found["waived"]] == [("PK102", "team-a")]
    notes = {one["id"]: one["note"] for one in found["findings"]}
    assert notes["PK213"] == "the waiver of team-b ended on 2030-01-01"
    page = Path("report/audit.html").read_text()
    assert "the old deployer" in page
    assert "the waiver of team-b ended on 2030-01-01" in page


def test_unused_access_is_in_it_by_an_audit_log(folder: Path) -> None:
    policy = "podkeys.eu-nl-prod-a.payments.payments"
    entry = {
        "type": "request",
        "time": "2030-01-30T00:00:00Z",
        "auth": {
            "policies": [policy],
            "policy_results": {"allowed": True, "granting_policies": [{"name": policy, "type": "acl"}]},
        },
        "request": {"operation": "read", "path": "kv/data/payments/stripe"},
    }
    Path("audit.log").write_text(json.dumps(entry) + "\n")
    found = audited("--policies", folder, "--audit-log", "audit.log")["usage"]
    assert found["requests"] == 1
    assert {(one["path"], one["entry"]) for one in found["unused"]} == {
        ("database/creds/payments-orders", "database orders"),
        ("kv/data/eu-nl-prod-a/shared/smtp", "secret smtp"),
        ("pki-eu-nl-prod-a/sign/podkeys.payments.payments.serving", "certificate serving"),
    }
    assert "secret smtp" in Path("report/audit.md").read_text()


def test_unused_access_leads_to_the_line_of_the_role_file(folder: Path) -> None:
    shutil.copytree(EXAMPLE / "roles", "roles")
    policy = "podkeys.eu-nl-prod-a.payments.payments"
    auth = {
        "policies": [policy],
        "policy_results": {"allowed": True, "granting_policies": [{"name": policy}]},
    }
    entry = {
        "type": "request",
        "auth": auth,
        "request": {"operation": "read", "path": "kv/data/payments/stripe"},
    }
    Path("audit.log").write_text(json.dumps(entry) + "\n")
    found = audited("--policies", folder, "--audit-log", "audit.log")["usage"]["unused"]
    places = [place for one in found for place in one["places"]]
    assert places[0] == "roles/payments.yaml:11: database orders"
    assert places[0] in Path("report/audit.md").read_text()
    assert places[0] in Path("report/audit.html").read_text()


def planted(folder: Path, text: str) -> None:
    """`text` wherever a file may hold any: paths, accounts, a mount's role, owner and source, a waiver, a file's name."""
    harmless = text.replace("\u202e", "")
    header = f"# podkeys.dev/v1 generated\n# owner: {text}\n# source: {text}\n"
    stanza = f'path {json.dumps(text)} {{ capabilities = ["read", "sudo"] }}\n'
    (folder / "nasty.hcl").write_text(header + stanza)
    named = f'path {json.dumps("kv/" + text)} {{ capabilities = ["update"] }}\n'
    (folder / f"{text.replace('/', '')}.hcl").write_text(named)
    bound = {"bound_service_account_names": [text], "bound_service_account_namespaces": [text]}
    document = {
        "path": f"auth/k/role/{text.replace('/', '')}",
        "data": {"token_policies": ["nasty"], **bound},
    }
    (folder / "auth.json").write_text(json.dumps(document))
    waiver = {
        "id": "PK103",
        "file": "nasty.hcl",
        "until": "2031-01-01",
        "reason": harmless,
        "owner": harmless,
    }
    Path("podkeys-lint.yaml").write_text(json.dumps({"waivers": [waiver]}))


def test_hostile_files_put_nothing_into_the_page_but_text(folder: Path) -> None:
    """Invariant: no path, name, owner or reason of a file becomes markup, and none turns or hides what follows it."""
    planted(folder, "harmless {{name}} * x")
    audited("--policies", folder)
    harmless = Elements(Path("report/audit.html").read_text())
    planted(folder, NASTY)
    audited("--policies", folder)
    hostile = Elements(Path("report/audit.html").read_text())
    assert set(hostile.names) == set(harmless.names)
    assert hostile.names.count("script") == hostile.names.count("style") == 1
    assert hostile.attributes == harmless.attributes
    assert hostile.text.count(plain(NASTY)) > 5
    assert "\u202e" not in hostile.text


def test_hostile_files_put_nothing_into_the_markdown_but_text(folder: Path) -> None:
    """Invariant: a cell of a table holds what the file said, whole and as text."""
    planted(folder, NASTY)
    audited("--policies", folder)
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(Path("report/audit.md").read_text())
    inline = [token for token in tokens if token.type == "inline"]
    inner = {part.type for token in inline for part in token.children or ()}
    assert inner <= {"text", "softbreak"}
    assert not [token for token in tokens if token.type in ("html_block", "fence", "code_block")]
    cells = ["".join(part.content for part in token.children or ()) for token in inline]
    assert plain(NASTY) in cells  # the owner
    assert cells.count(NASTY.replace("\u202e", "")) == 2  # a waiver's reason and owner


def test_hostile_files_are_in_the_json_as_they_are(folder: Path) -> None:
    planted(folder, NASTY)
    found = audited("--policies", folder)
    assert NASTY in [secret["path"] for one in found["services"] for secret in one["secrets"]]


def test_bytes_that_are_no_text_do_not_stop_the_report(folder: Path) -> None:
    (folder / "raw.hcl").write_bytes(b'path "kv/data/\xff\x80" { capabilities = ["read"] }\n')
    result = call("--out", "report", "--policies", folder)
    if result.exception is None:
        json.loads(Path("report/audit.json").read_text())
    else:
        assert "raw.hcl" in str(result.exception)


def test_what_cannot_be_read_or_written_says_which_file(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.hcl").write_text('path "kv/a" {')
    result = call("--out", "report", "--policies", folder)
    assert isinstance(result.exception, click.ClickException)
    assert "broken.hcl" in result.exception.message
    (folder / "broken.hcl").unlink()
    (tmp_path / "taken").write_text("")
    result = call("--out", "taken/report", "--policies", folder)
    assert isinstance(result.exception, click.ClickException)
    assert "taken/report: can't be written: Not a directory" in result.exception.message
    result = call("--out", "report", "--policies", folder, "--audit-log", "gone.log")
    assert isinstance(result.exception, click.ClickException)
    assert "gone.log" in result.exception.message
    (folder / "cluster.json").write_text('{"cluster": "eu"}')
    result = call("--out", "report", "--policies", folder)
    assert isinstance(result.exception, click.ClickException)
    assert "cluster.json: got no cluster, server and auth mount" in result.exception.message


def test_a_folder_outside_a_repository_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "shop.hcl").write_text('path "kv/a" { capabilities = ["read"] }')
    found = audited("--policies", "exported")
    assert (found["commit"], found["clusters"]) == ("", [])
    assert [one["namespace"] for one in found["services"]] == ["policies that no auth role has"]
    assert "which is in no commit" in Path("report/audit.md").read_text()


def test_an_empty_folder_is_a_report_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    assert audited("--policies", "exported")["services"] == []
    assert "No policy and no auth role in the folder." in Path("report/audit.html").read_text()
