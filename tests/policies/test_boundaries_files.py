"""Boundary files: what is refused in them, where they are looked for, and what the command shows of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

import podkeys
from policies.errors import ProblemsError
from tests.policies import role_texts
from tests.policies.role_texts import BOUNDARY, CLUSTER, ROLE

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "deploy" / "example"
COMMANDS = re.findall(
    r"```console\n\$ podkeys (.*)\n((?s:.*?))```", (TOP / "docs" / "boundaries.md").read_text()
)


def call(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(podkeys.cli, ["policies", *map(str, arguments)])


def generate(base: Path, *flags: str | Path) -> click.testing.Result:
    where = [
        f"--{name}={base / folder}"
        for name, folder in (("clusters", "clusters"), ("roles", "roles"), ("out", "generated"))
    ]
    return call("generate", *where, *flags)


def problems(base: Path, boundaries: dict[str, str]) -> list[str]:
    where = role_texts.folders(base, {"r.yaml": ROLE}, {"east.yaml": CLUSTER}, boundaries)
    with pytest.raises(ProblemsError) as caught:
        role_texts.generate(where)
    return [str(problem).replace(f"{base}/", "") for problem in caught.value.problems]


MISTAKES = [
    ("kind: Boundary", "kind: ServiceRole", "2:7: kind: got 'ServiceRole', expected Boundary"),
    ("name: payments}", "name: all}", "3:18: metadata.name: got 'all', expected another name"),
    ("  owners: [team-payments]\n", "", "5:3: spec: got no owners, expected namespaces, clusters, owners"),
    ("owners: [team-payments]", "owners: []", "7:11: spec.owners: got an empty list, expected at least one item"),
    ("owners: [team-payments]", "owners: all", "7:11: spec.owners: got 'all', expected a list, such as [all]"),
    ("owners: [team-payments]", "owners: ['*']", "7:12: spec.owners[0]: got '*', expected a team"),
    ("namespaces: [payments]", "namespaces: all", "5:15: spec.namespaces: got 'all', expected a list"),
    ("namespaces: [payments]", "namespaces: ['pay*']", "spec.namespaces[0]: got 'pay*', expected a name"),
    ("namespaces: [payments]", "namespaces: [payments, payments]", "spec.namespaces[1]: got 'payments' again, expected it once"),
    ("clusters: [east]", "clusters: [eats]", "6:14: spec.clusters[0]: got 'eats', expected a cluster that has a file; did you mean east?"),
    ("clusters: [east]", "clusters: [all]", "6:14: spec.clusters[0]: got 'all', expected another name"),
    ("clusters: [east]", "clusters: east", "6:13: spec.clusters: got 'east', expected a list, such as [east]"),
    ("clusters: [east]", "clusters: !x all", "spec.clusters: got the !x all, expected a list"),
    ("{path: kv/payments}", "{path: kv}", "9:12: spec.secrets[0].path: got 'kv', expected MOUNT/PATH"),
    ("{path: kv/payments}", "{path: kv/payments/*}", "expected one path, without the wildcards"),
    ("{path: kv/payments}", "{path: kv/data/payments}", "expected what `vault kv get` takes, without data/"),
    ("{path: kv/payments}", "{}", "9:5: spec.secrets[0]: got no path and no mount, expected path, or mount for all of a mount"),
    ("{path: kv/payments}", "{engine: kv1}", "9:5: spec.secrets[0]: got no path and no mount"),
    ("{path: kv/payments}", "kv/payments", "9:5: spec.secrets[0]: got 'kv/payments', expected a mapping with path, mount, engine, env"),
    ("{path: kv/payments}", "{path: kv/payments, name: x}", "spec.secrets[0]: unknown key: got 'name', expected one of path, mount"),
    ("{path: kv/payments}", '{path: "kv/{cluster}-{namespace}"}', "spec.secrets[0].path: got 'kv/{cluster}-{namespace}', expected at most one placeholder between two slashes"),
    ("{path: kv/payments}", '{mount: "{cluster}{namespace}"}', "spec.secrets[0].mount: got '{cluster}{namespace}', expected at most one placeholder"),
    ("creds/payments-orders", "roles/payments-orders", "11:12: spec.databases[0].path: got 'database/roles/payments-orders', expected MOUNT/creds/ROLE, or MOUNT/creds"),
    ("database/creds/payments-orders", "database", "got 'database', expected MOUNT/creds/ROLE, or MOUNT/creds"),
    ("creds/payments-orders", "creds/pay*", "got 'database/creds/pay*', expected one path, without the wildcards"),
    ("creds/payments-orders", '"creds/{cluster}{namespace}"', "broken YAML"),
    ("database/creds/payments-orders", '"database/creds/{cluster}.{namespace}"', "expected at most one placeholder"),
    ("services: [payments]", "services: ['*']", "12:29: spec.certificates.services[0]: got '*', expected a name"),
    ("maxTTL: 1h, podIP", "podIP", "12:17: spec.certificates: got no maxTTL, expected services, maxTTL"),
    ("maxTTL: 1h, podIP", "maxTTL: forever, podIP", "spec.certificates.maxTTL: got 'forever', expected a duration"),
    ("podIP: true", "podIP: yes", "spec.certificates.podIP: got the boolean yes, expected true or false"),
    ("identity: {maxTTL: 1h}", "identity: {ttl: 1h}", "spec.identity: unknown key: got 'ttl', expected maxTTL"),
    ("  identity:", "  identiy:", "spec: unknown key: got 'identiy', expected one of namespaces, clusters, owners"),
    ("  owners:", "  owners: [team-web]\n  owners:", "spec: duplicate key: got owners again, expected it once"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_in_a_boundary_is_named_with_its_place(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    """And it alone: roles are not blamed for a boundary that can't be read."""
    text = BOUNDARY.replace(right, wrong)
    assert text != BOUNDARY
    found = problems(tmp_path, {"b.yaml": text})
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("boundaries/b.yaml:") for problem in found), found


def test_a_namespace_has_one_boundary_in_a_cluster(tmp_path: Path) -> None:
    other = BOUNDARY.replace("name: payments", "name: other").replace("[payments]\n", "[web, payments]\n")
    found = problems(tmp_path, {"a.yaml": BOUNDARY, "b.yaml": other.replace("[east]", "all")})
    assert found == [
        f"boundaries/b.yaml:5:21: spec.namespaces[1]: got 'payments' again, expected it in one boundary for each cluster: "
        f"{tmp_path}/boundaries/a.yaml:5 has it; join the two".replace(f"{tmp_path}/", "")
    ]


def test_two_boundaries_of_a_namespace_for_two_clusters_are_two(tmp_path: Path) -> None:
    west = CLUSTER.replace("east", "west")
    other = (
        BOUNDARY.replace("name: payments", "name: west")
        .replace("[east]", "[west]")
        .replace("kv/payments", "kv/x")
    )
    files = ({"r.yaml": ROLE}, {"a.yaml": CLUSTER, "b.yaml": west}, {"a.yaml": BOUNDARY, "b.yaml": other})
    assert role_texts.generate(role_texts.folders(tmp_path, *files)).roles == 1
    both = {
        "r.yaml": ROLE.replace(
            "  secrets:", "  - {cluster: west, namespace: payments, serviceAccounts: [a]}\n  secrets:"
        )
    }
    with pytest.raises(ProblemsError, match=r"b\.yaml:9, expected in west/payments a path at or below kv/x"):
        role_texts.generate(role_texts.folders(tmp_path, both, *files[1:]))


def test_two_boundaries_have_two_names(tmp_path: Path) -> None:
    other = BOUNDARY.replace("[payments]\n", "[web]\n")
    assert (
        "b.yaml:3:18: metadata.name: got 'payments' again"
        in problems(tmp_path, {"a.yaml": BOUNDARY, "b.yaml": other})[0]
    )
    nameless = [text.replace("name: payments", "name: P") for text in (BOUNDARY, other)]
    assert "again" not in str(problems(tmp_path, dict(zip(("a.yaml", "b.yaml"), nameless, strict=True))))


def test_all_mistakes_of_roles_and_boundaries_come_at_once(tmp_path: Path) -> None:
    sound = BOUNDARY.replace("kv/payments", "kv/web").replace("team-payments]", "team-web]")
    found = problems(
        tmp_path,
        {
            "a.yaml": sound,
            "b.yaml": BOUNDARY.replace("name: payments", "name: b").replace("[payments]\n", "[B]\n"),
        },
    )
    assert [text.partition(": got")[0] for text in found] == [
        "boundaries/b.yaml:5:16: spec.namespaces[0]",
        "roles/r.yaml:3:35: metadata.owner",
        "roles/r.yaml:8:26: spec.secrets[0].path",
    ]


ALREADY_WRONG = {
    "an unknown cluster": ("roles/r.yaml", "cluster: east", "cluster: eats"),
    "a mount": ("roles/r.yaml", "path: kv/payments/stripe", "path: stripe, mount: kv/"),
    "an owner": ("roles/r.yaml", "owner: team-payments", "owner: '*'"),
    "the cluster's file": ("clusters/east.yaml", "method: jwt", "method: oidc"),
    "the boundary's name": ("boundaries/b.yaml", "name: payments", "name: Payments"),
}


@pytest.mark.parametrize("case", ALREADY_WRONG)
def test_what_is_wrong_already_is_not_called_outside_too(case: str, tmp_path: Path) -> None:
    """One mistake, one message."""
    file, right, wrong = ALREADY_WRONG[case]
    where = role_texts.folders(tmp_path, {"r.yaml": ROLE}, {"east.yaml": CLUSTER}, {"b.yaml": BOUNDARY})
    assert role_texts.generate(where).roles == 1
    (tmp_path / file).write_text((tmp_path / file).read_text().replace(right, wrong))
    with pytest.raises(ProblemsError) as caught:
        role_texts.generate(where)
    assert [problem.file for problem in caught.value.problems] == [f"{tmp_path}/{file}"], str(caught.value)


def test_a_link_among_the_boundaries_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hvs.CAESIJ")
    (tmp_path / "boundaries").mkdir()
    (tmp_path / "boundaries" / "b.yaml").symlink_to("../secret")
    found = problems(tmp_path, {})
    assert found == [
        "boundaries/b.yaml: got a symbolic link, expected the file itself; put it here in the link's place"
    ]


def test_without_boundaries_everything_is_allowed_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ROLE.replace("name: payments,", "name: b,").replace("namespace: payments,", "namespace: b,")
    role_texts.folders(tmp_path, {"a.yaml": ROLE, "b.yaml": other}, {"c.yaml": CLUSTER})
    monkeypatch.chdir(tmp_path)
    result = call("generate")
    assert result.exit_code == 0
    assert (
        result.stderr
        == "Note: there is no folder boundaries/, so a role may claim any path and any Service (docs/boundaries.md).\n"
    )
    assert json.loads(call("generate", "--json").stdout)["roles"] == 2
    result = call("boundaries")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Note: there is no folder boundaries/")
    assert json.loads(call("boundaries", "--json").stdout) == {"boundaries": []}


def test_the_folder_boundaries_counts_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_texts.folders(
        tmp_path, {"r.yaml": ROLE}, {"c.yaml": CLUSTER}, {"b.yaml": BOUNDARY.replace("kv/payments", "kv/x")}
    )
    monkeypatch.chdir(tmp_path)
    result = call("generate")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "roles/r.yaml:8:26: spec.secrets[0].path: got 'kv/payments/stripe', outside boundaries/b.yaml:9, "
        "expected in east/payments a path at or below kv/x\n1 problem; nothing was written."
    )  # fmt: skip
    assert not (tmp_path / "generated").exists()


@pytest.mark.parametrize("what", ["an empty folder", "a link to nowhere", "a file", "named and missing"])
def test_boundaries_that_cant_be_found_close_everything(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was emptied, moved or misspelt must not open what it closed."""
    role_texts.folders(tmp_path, {"r.yaml": ROLE}, {"c.yaml": CLUSTER})
    monkeypatch.chdir(tmp_path)
    if what == "an empty folder":
        (tmp_path / "boundaries").mkdir()
    elif what == "a link to nowhere":
        (tmp_path / "boundaries").symlink_to("nowhere")
    elif what == "a file":
        (tmp_path / "boundaries").touch()
    flags = ["--boundaries", "boundaries"] if what == "named and missing" else []
    for command in ("generate", "boundaries"):
        result = call(command, *flags)
        assert result.exit_code == 1
        assert result.stderr.startswith("boundaries: got no ")
    assert not (tmp_path / "generated").exists()


def test_the_example_lies_inside_its_boundaries() -> None:
    result = generate(EXAMPLE, "--boundaries", EXAMPLE / "boundaries", "--check")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_each_command_of_the_document_prints_what_is_written(command: str, output: str) -> None:
    words = [sys.executable, "-m", "podkeys", *command.split()]
    done = subprocess.run(words, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert done.stdout == output, done.stderr


def test_the_document_shows_the_command() -> None:
    assert len(COMMANDS) == 1


def test_boundaries_are_json_on_request_and_their_mistakes_too(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(BOUNDARY)
    assert json.loads(call("boundaries", "--json", "--boundaries", tmp_path).stdout)["boundaries"] == [
        {
            "name": "payments",
            "file": f"{tmp_path}/b.yaml",
            "namespaces": ["payments"],
            "clusters": ["east"],
            "owners": ["team-payments"],
            "secrets": [{"path": "kv/payments", "engine": "kv2", "env": False}],
            "databases": [{"path": "database/creds/payments-orders"}],
            "certificates": {"services": ["payments"], "maxTTL": "1h", "podIP": True},
            "identity": {"maxTTL": "1h"},
        }
    ]
    (tmp_path / "b.yaml").write_text(BOUNDARY.replace("kv/payments", "kv//payments"))
    result = call("boundaries", "--json", "--boundaries", tmp_path)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"][0]["line"] == 9


def test_a_boundary_that_allows_nothing_is_shown_as_that(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(BOUNDARY[: BOUNDARY.index("  secrets")])
    assert re.search(
        r"^payments +east +team-payments +nothing +\S+b.yaml:7$",
        call("boundaries", "--boundaries", tmp_path).stdout,
        re.MULTILINE,
    )
