"""`podkeys policies replay` on the audit log of a real server."""

import gzip
import json
import urllib.error
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import click
import click.testing
import pytest

import podkeys
from demo import openbao
from policies.names import MARK
from policies.review import auditlog

OLD = """
path "kv1/a" { capabilities = ["create", "read", "update"] }
path "kv1/" { capabilities = ["list"] }
path "kv1/limited" { capabilities = ["update", "create"] allowed_parameters = { "colour" = ["red"] "size" = [] } }
"""
GENERATED = f"{MARK}\n# source: shop.yaml\n"
NEW = """

# secret a
path "kv1/a" {
  capabilities = ["read", "update"]
}

# secret never
path "kv1/never" {
  capabilities = ["read"]
}

# secret b
path "kv1/b" {
  capabilities = ["read"]
}

# secret limited
path "kv1/limited" {
  capabilities = ["create", "update"]
  allowed_parameters = { "colour" = ["blue"] "size" = [] }
}
"""
CANARY = "canary-5f2d81"


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a token of the policy `shop` did."""
    log = tmp_path_factory.mktemp("audit") / "audit.log"
    with openbao.running(log) as server:
        server.call("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        server.call("PUT", "sys/policies/acl/shop", {"policy": OLD})
        server.call("POST", "sys/auth/userpass", {"type": "userpass"})
        server.call("POST", "auth/userpass/users/shop", {"password": CANARY})
        server.call("POST", "auth/userpass/login/shop", {"password": CANARY}, token="")
        body = {"policies": ["shop"], "no_default_policy": True, "type": "batch"}
        token = server.call("POST", "auth/token/create", body)["auth"]["client_token"]
        server.call("PUT", "kv1/a", {"v": CANARY}, token=token)
        server.call("PUT", "kv1/a", {"v": CANARY}, token=token)
        server.call("GET", "kv1/a", token=token)
        server.call("LIST", "kv1/", token=token)
        server.call("GET", "sys/internal/ui/mounts/kv1/a", token=token)  # as `bao kv get` asks first
        server.call("PUT", "kv1/limited", {"colour": "red"}, token=token)
        server.call("PUT", "kv1/limited", {"size": CANARY}, token=token)
        with pytest.raises(urllib.error.HTTPError):
            server.call("GET", "kv1/b", token=token)
        yield log


@pytest.fixture
def against(tmp_path: Path) -> Path:
    (tmp_path / "shop.hcl").write_text(GENERATED + NEW)
    (tmp_path / "mail.hcl").write_text('path "kv1/mail" { capabilities = ["read"] }')
    return tmp_path


def call(*arguments: str | Path, given: bytes | None = None) -> click.testing.Result:
    words = ["policies", "replay", *map(str, arguments)]
    return click.testing.CliRunner().invoke(podkeys.cli, words, standalone_mode=False, input=given)


def test_it_says_what_breaks_what_opens_and_what_was_never_used(audit_log: Path, against: Path) -> None:
    result = call(audit_log, "--against", against, "--json")
    found = json.loads(result.output)
    assert result.return_value == 1
    assert [(one["operation"], one["path"], one["count"]) for one in found["breaks"]] == [
        ("create", "kv1/a", 1),
        ("list", "kv1/", 1),
    ]
    assert [(one["operation"], one["path"]) for one in found["opens"]] == [("read", "kv1/b")]
    assert [(one["operation"], one["path"]) for one in found["hidden"]] == [("create", "kv1/limited")]
    assert found["unused"] == [
        {
            "file": "shop.hcl",
            "line": 11,
            "path": "kv1/never",
            "roleFile": "shop.yaml",
            "entry": "secret never",
            "places": ["shop.yaml: secret never"],
        }
    ]
    assert found["silentPolicies"] == ["mail"]
    assert found["requests"] == 7
    assert found["wrongLines"] == 0


def test_the_text_leads_to_the_role_file_and_shows_no_value(audit_log: Path, against: Path) -> None:
    result = call(audit_log, "--against", against)
    assert (
        "Would break: 2\n  1 x create kv1/a: the deciding stanza lacks the capability; with shop\n"
        in result.output
    )
    assert "Granted and not used: 1\n  shop.hcl:11: kv1/never (shop.yaml: secret never)\n" in result.output
    assert "Policies whose tokens did nothing: 1\n  mail\n" in result.output
    assert CANARY not in result.output
    assert "hmac-" not in result.output


@pytest.mark.parametrize(
    ("head", "entry"),
    [
        (GENERATED.replace("\n", "\r\n"), "secret never"),
        ("# source: shop.yaml\n\n", ""),
        (f"{MARK}\n# \u2028 \x0b\n", ""),
        (f"{GENERATED}# owner: \u2028 \x0b\n", "secret never"),
    ],
    ids=["other line ends", "not generated", "without a role file", "odd line ends in the header"],
)
def test_an_entry_is_named_as_generation_wrote_it_alone(
    audit_log: Path, tmp_path: Path, head: str, entry: str
) -> None:
    """Invariant: nobody is sent to a role file by a comment that anybody may have written."""
    text = NEW.replace("\n", "\r\n") if "\r" in head else NEW
    (tmp_path / "shop.hcl").write_bytes((head + text).encode())
    [found] = json.loads(call(audit_log, "--against", tmp_path, "--json").output)["unused"]
    assert (found["path"], found["entry"], found["roleFile"]) == (
        "kv1/never",
        entry,
        "shop.yaml" if entry else "",
    )


ROLE = """apiVersion: podkeys.dev/v1
kind: ServiceRole
metadata: {name: shop, owner: team-shop}
spec:
  identity:
    ttl: 1h
  secrets:
  - {name: a, path: kv1/a, engine: kv1}
  - name: never
    path: kv1/never
  - {name: other, path: kv1/never}
  databases: [{name: orders, path: database/creds/orders}]
  certificates:
  - {name: serving}
"""
OWN_TOKEN = """
# the agent: its token lives on while the pod does
path "auth/token/renew-self" {
  capabilities = ["update"]
}
"""


def granted_for(path: str, entry: str) -> str:
    return f'\n# {entry}\npath "{path}" {{\n  capabilities = ["read"]\n}}\n'


def unused_places(audit_log: Path, against: Path) -> list[list[str]]:
    found = json.loads(call(audit_log, "--against", against, "--json").output)["unused"]
    return [one["places"] for one in found if one["path"] != "kv1/b"]


def test_the_line_of_the_role_file_to_delete_is_named(
    audit_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of two entries with one path, for a part of the tree, and from inside the tree."""
    monkeypatch.chdir(tmp_path)
    own = Path("generated", "east")
    own.mkdir(parents=True)
    asked = (
        "secret never; secret other",
        "database orders",
        "certificate serving",
        "identity of web",
        "secret gone",
    )
    stanzas = "".join(granted_for(f"kv1/{number}", entry) for number, entry in enumerate(asked))
    (own / "shop.hcl").write_text(GENERATED + NEW.partition("# secret never")[0] + stanzas.lstrip())
    Path("roles").mkdir()
    Path("roles", "shop.yaml").write_text(ROLE)
    expected = [
        ["roles/shop.yaml:9: secret never", "roles/shop.yaml:11: secret other"],
        ["roles/shop.yaml:12: database orders"],
        ["roles/shop.yaml:14: certificate serving"],
        ["roles/shop.yaml:5: identity of web"],
        ["shop.yaml: secret gone"],
    ]
    assert unused_places(audit_log, Path("generated")) == expected
    assert unused_places(audit_log, own) == expected
    assert "kv1/1 (roles/shop.yaml:12: database orders)\n" in call(audit_log, "--against", "generated").output
    monkeypatch.chdir("generated")
    assert unused_places(audit_log, Path())[1] == [f"{tmp_path}/roles/shop.yaml:12: database orders"]
    assert unused_places(audit_log, Path("east"))[1] == ["../roles/shop.yaml:12: database orders"]


@pytest.mark.parametrize(
    "role", ["", "spec: [", "spec: {secrets: [never, {name: [x]}, {}], identity: }", "- spec"]
)
def test_a_role_file_that_can_not_be_read_has_no_lines(audit_log: Path, tmp_path: Path, role: str) -> None:
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "shop.hcl").write_text(GENERATED + NEW)
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "shop.yaml").write_text(role)
    assert unused_places(audit_log, tmp_path / "generated") == [["shop.yaml: secret never"]]


@pytest.mark.parametrize("source", ["../secret.yaml", "{top}/secret.yaml", "x" * 900, "."])
def test_a_header_leads_to_no_file_outside_the_roles(audit_log: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.yaml").write_text(ROLE)
    (tmp_path / "roles").mkdir()
    (tmp_path / "generated").mkdir()
    named = source.format(top=tmp_path)
    (tmp_path / "generated" / "shop.hcl").write_text(f"{MARK}\n# source: {named}\n" + NEW)
    assert unused_places(audit_log, tmp_path / "generated") == [[f"{named}: secret never"]]


def test_what_every_agent_may_do_with_its_own_token_is_not_called_unused(
    audit_log: Path, tmp_path: Path
) -> None:
    """No role file can be without it; whoever wrote it by hand can."""
    (tmp_path / "shop.hcl").write_text(GENERATED + NEW + OWN_TOKEN)
    for form in ("--json", "--dialect=openbao-2.6"):
        assert "renew-self" not in call(audit_log, "--against", tmp_path, form).output
    (tmp_path / "shop.hcl").write_text(NEW + OWN_TOKEN)
    for form in ("--json", "--dialect=openbao-2.6"):
        assert "renew-self" in call(audit_log, "--against", tmp_path, form).output


def test_the_policies_that_the_server_had_break_nothing(audit_log: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(OLD)
    found = json.loads(call(audit_log, "--against", tmp_path, "--json").output)
    assert (found["breaks"], found["opens"]) == ([], [])


def test_what_may_have_been_used_is_not_said_to_be_unused(audit_log: Path, tmp_path: Path) -> None:
    """A certificate's names are HMACed, so that each request for one depends on what the log hides."""
    (tmp_path / "shop.hcl").write_text(NEW)
    asked = [
        line for line in audit_log.read_bytes().splitlines(keepends=True) if b'"path":"kv1/limited"' in line
    ]
    found = json.loads(call("-", "--against", tmp_path, "--json", given=asked[0]).output)
    assert [one["path"] for one in found["hidden"]] == ["kv1/limited"]
    assert "kv1/limited" not in [one["path"] for one in found["unused"]]


def test_a_log_comes_by_standard_input_too(audit_log: Path, against: Path) -> None:
    text = audit_log.read_bytes()
    assert (
        call("-", "--against", against, "--json", given=text).output
        == call(audit_log, "--against", against, "--json").output
    )


def test_broken_lines_are_counted_and_a_file_of_them_is_refused(
    audit_log: Path, against: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"type": "request"\n\x00\xff\n[]\n' + audit_log.read_bytes())
    assert json.loads(call(log, "--against", against, "--json").output)["wrongLines"] == 3
    log.write_bytes(b"no log\n" * 2000)
    result = call(log, "--against", against)
    assert isinstance(result.exception, click.ClickException)
    assert "expected a JSON object a line" in result.exception.message


@pytest.mark.parametrize("text", ["", "kind: Pod\nmetadata: {}\n", '{"json": "of another kind"}\n'])
def test_a_file_without_any_entry_is_no_log_of_unused_access(
    tmp_path: Path, against: Path, text: str
) -> None:
    """Invariant: nothing is called unused by a log that holds nothing."""
    log = tmp_path / "audit.log"
    log.write_text(text)
    result = call(log, "--against", against)
    assert isinstance(result.exception, click.ClickException)
    assert f"got {len(text.splitlines())} lines and no entry of an audit log" in result.exception.message


@pytest.mark.parametrize("entries", [1, 50_000])
def test_of_a_packed_log_it_is_said_how_it_is_unpacked(tmp_path: Path, against: Path, entries: int) -> None:
    """However many lines it would be taken for; and from standard input, too."""
    log = tmp_path / "audit log.gz"
    log.write_bytes(gzip.compress(b"".join(b'{"n": %d}\n' % number for number in range(entries))))
    for result in (call(log, "--against", against), call("-", "--against", against, given=log.read_bytes())):
        assert isinstance(result.exception, click.ClickException)
        assert "got what gzip packed" in result.exception.message
    assert f"zcat '{log}' | podkeys policies replay - " in str(call(log, "--against", against).exception)


def test_a_log_that_is_not_there_is_said_in_words(against: Path) -> None:
    result = call("nowhere.log", "--against", against)
    assert isinstance(result.exception, click.ClickException)
    assert "nowhere.log: can't be read: No such file or directory" in result.exception.message


def test_a_line_without_end_takes_no_memory_without_end() -> None:
    longest = auditlog.LONGEST
    file = BytesIO(b"x" * (2 * longest + 5) + b"\nshort\n")
    assert list(auditlog.lines(file)) == [b"\n", b"short\n"]
