"""YAML that isn't a plain small document is refused clearly, and in bounded time."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import ProblemsError
from policies.roles import role
from policies.roles.document import MAX_BYTES, load
from policies.roles.folder import Clusters, read_clusters, read_roles, sources
from tests import permissions
from tests.policies.role_texts import ROLE

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(97 + i)}: &{chr(97 + i)} [{','.join([f'*{chr(96 + i)}'] * 9)}]\n" for i in range(1, 20)
)

REFUSED = {
    "empty": (b"", "f: got an empty file, expected one YAML document"),
    "a comment alone": (b"# nothing\n", "f: got an empty file"),
    "a byte order mark": (b"\xef\xbb\xbfa: 1\n", "f:1:1: got a byte order mark, expected plain UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "f:1:1: got a byte order mark"),
    "Latin-1": (b"a: 1\nb: caf\xe9\n", "f:2:1: got the byte 0xe9, expected UTF-8 text"),
    "a tab": (b"a:\n\tb: 1\n", "f:2:1: got a tab, expected spaces"),
    "a NUL": (b"a: 1\nb: \x00\n", "f:2:1: got a character that YAML does not allow"),
    "two documents": (b"a: 1\n---\nb: 1\n", "f:2:1: got a second document, expected one"),
    "a list": (b"- a\n", "f:1:1: got a list, expected a document that begins with apiVersion and kind"),
    "a word": (b"hello\n", "f:1:1: got 'hello', expected a document"),
    "an anchor": (b"a: &x 1\n", "f:1:4: got the anchor or alias 'x', expected the value itself"),
    "an alias bomb": (BOMB.encode(), "f:1:4: got the anchor or alias 'a'"),
    "a merge": (b"a: &x {b: 1}\nc: {<<: *x}\n", "got the anchor or alias 'x'"),
    "an unclosed list": (b"a: [1\n", "got broken YAML"),
    "a colon in a value": (b"a: b: c\n", "f:1:5: got broken YAML (mapping values are not allowed"),
    "deep lists": (b"a: " + b"[" * 100_000, "got broken YAML (exceeded maximum nesting depth)"),
    "deep blocks": (b"- " * 100_000, "got broken YAML (exceeded maximum nesting depth)"),
    "deep keys": (b"? " * 100_000, "got broken YAML (exceeded maximum nesting depth)"),
    "too large": (b"a: " + b"x" * MAX_BYTES, f"f: got more than {MAX_BYTES} bytes, expected a small file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_place(case: str) -> None:
    content, message = REFUSED[case]
    start = time.monotonic()
    with pytest.raises(ProblemsError) as caught:
        load("f", content)
    assert str(caught.value).find(message) == 0 or f" {message}" in str(caught.value)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("depth", [50, 900])
def test_a_deep_value_that_yaml_allows_is_refused_where_it_stands(depth: int) -> None:
    text = ROLE.replace("kv/payments/stripe", "[" * depth + "]" * depth)
    found = role.parse("f", "f", load("f", text.encode())).fields.problems
    assert str(found[0]) == "f:8:26: spec.secrets[0].path: got a list, expected a text"


def test_a_value_with_an_ampersand_in_quotes_is_only_a_value() -> None:
    assert load("f", b'a: "x & *y"\nb: x&y\n').value[0][1].value == "x & *y"


def test_a_long_value_is_cut_in_the_message() -> None:
    found = role.parse(
        "f", "f", load("f", ROLE.replace("team-payments", "x" * 5000).encode())
    ).fields.problems
    assert len(str(found[0])) < 300


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!secret"])
def test_tags_make_nothing_but_a_wrong_value(tag: str) -> None:
    found = role.parse(
        "f", "f", load("f", ROLE.replace("team-payments", f"{tag} x").encode())
    ).fields.problems
    assert "metadata.owner: got" in str(found[0])


@pytest.mark.parametrize("tag", ["", "!x ", "!x%1B%0A ", "!<tag:yaml.org,2002:%1B%0A> "])
def test_what_a_file_says_cannot_break_the_line_of_a_message_or_the_terminal(tag: str) -> None:
    """Neither an escape sequence nor a line that a continuous integration would obey."""
    wrong = f'{tag}"\\e]0;x\\n::warning::\\u202e"'
    found = role.parse("f", "f", load("f", ROLE.replace("team-payments", wrong).encode())).fields.problems
    assert found
    assert all(str(problem).isprintable() for problem in found)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        document = load("f", content)
    except ProblemsError:
        return
    assert role.parse("f", "f", document).fields.problems


@given(st.data())
def test_a_role_file_with_any_piece_replaced_is_read_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ROLE)))
    end = data.draw(st.integers(start, min(len(ROLE), start + 20)))
    text = ROLE[:start] + data.draw(st.text(max_size=10)) + ROLE[end:]
    try:
        draft = role.parse("f", "f", load("f", text.encode()))
    except ProblemsError:
        return
    assert all(problem.line > 0 for problem in draft.fields.problems)


def test_a_file_that_cant_be_read_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("nowhere")
    (tmp_path / "bad\nname.yaml").write_text(ROLE)
    assert len(sources(tmp_path)) == 2
    found, problems = read_roles(tmp_path, sources(tmp_path), Clusters({}, complete=False))
    assert not found
    assert {str(problem).removeprefix(f"{tmp_path}/") for problem in problems} == {
        "bad\\nname.yaml: got the file name 'bad\\nname.yaml', expected letters, digits and . _ - only; rename the file",
        "link.yaml: got a symbolic link, expected the file itself; put it here in the link's place",
    }


def test_the_name_of_a_cluster_file_cannot_break_a_line_either(tmp_path: Path) -> None:
    (tmp_path / "bad\n::warning::.yaml").write_text("x")
    assert "bad\\n::warning::.yaml: got the file name" in str(read_clusters(tmp_path)[1][0])


@pytest.mark.parametrize("kind", ["roles", "clusters"])
def test_a_link_out_of_the_folder_is_refused_and_what_it_leads_to_not_said(tmp_path: Path, kind: str) -> None:
    """Whoever may propose a file could else read a token of the machine that checks it, in its log."""
    (tmp_path / "token").write_text("hvs.CAESIJ")
    (tmp_path / kind).mkdir()
    (tmp_path / kind / "link.yaml").symlink_to("../token")
    where = tmp_path / kind
    clusters = Clusters({}, complete=False)
    found = read_clusters(where)[1] if kind == "clusters" else read_roles(where, sources(where), clusters)[1]
    assert "got a symbolic link" in str(found[0])
    assert "hvs" not in str(found)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_files_is_a_problem(tmp_path: Path, *, exists: bool) -> None:
    with pytest.raises(ProblemsError, match=r"no \*\.yaml file" if exists else "no such folder"):
        sources(tmp_path if exists else tmp_path / "nowhere")


def test_a_link_to_a_folder_is_refused_not_passed_over(tmp_path: Path) -> None:
    """Passed over, the roles in it would count as removed, and their generated files would go."""
    (tmp_path / "roles" / "team").mkdir(parents=True)
    (tmp_path / "roles" / "a.yaml").write_text(ROLE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "roles" / "team" / "b").symlink_to("../../elsewhere")
    with pytest.raises(ProblemsError, match=r"roles/team/b: got a symbolic link, expected the folder itself"):
        sources(tmp_path / "roles")


def test_a_folder_that_cant_be_looked_into_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ROLE)
    (tmp_path / "team").mkdir(mode=0)
    wanted = r"team: can't be read: Permission denied; check its permissions"
    with permissions.held(), pytest.raises(ProblemsError, match=wanted):
        sources(tmp_path)
