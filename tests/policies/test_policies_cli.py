"""`podkeys policies generate` and `new` as a user calls them."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest
import yaml

import podkeys
from tests.policies import role_texts
from tests.policies.role_texts import CLUSTER, ROLE

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"


def call(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        podkeys.cli, ["policies", *map(str, arguments)], standalone_mode=False
    )


def generate(base: Path, *flags: str) -> click.testing.Result:
    where = [
        f"--{name}={base / folder}"
        for name, folder in (("clusters", "clusters"), ("roles", "roles"), ("out", "generated"))
    ]
    return call("generate", *where, *flags)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    role_texts.folders(tmp_path, {"payments.yaml": ROLE}, {"east.yaml": CLUSTER})
    return tmp_path


def test_the_committed_example_is_current() -> None:
    result = generate(EXAMPLE, "--check")
    assert result.return_value == 0, result.output


def test_the_examples_pods_use_what_the_roles_declare() -> None:
    for path in (EXAMPLE / "pods").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["kind"] in {"Pod", "Deployment", "CronJob"}


def test_a_tree_is_written_then_current(base: Path) -> None:
    assert generate(base).stdout == "1 role, 1 cluster: 12 files written, 0 removed, 0 current\n"
    assert generate(base).stdout == "1 role, 1 cluster: 0 files written, 0 removed, 12 current\n"
    assert generate(base, "--check").return_value == 0


def test_check_writes_nothing_and_lists_what_is_stale(base: Path) -> None:
    result = generate(base, "--check")
    assert result.return_value == 1
    assert "stale: east/payments/payments/policy.hcl" in result.output
    assert not (base / "generated").exists()
    generate(base)
    (base / "generated/east/payments/payments/policy.hcl").write_text("changed by hand")
    (base / "roles/more.yaml").write_text(ROLE.replace("name: payments,", "name: more,"))
    generate(base)
    (base / "roles/more.yaml").unlink()
    result = generate(base, "--check")
    assert result.return_value == 1
    assert "no longer generated: east/payments/more/policy.hcl" in result.output
    assert (base / "generated/east/payments/more/policy.hcl").exists()


def test_mistakes_are_printed_and_nothing_is_written(base: Path) -> None:
    (base / "roles/payments.yaml").write_text(ROLE.replace("kv/payments", "/kv"))
    result = generate(base)
    assert isinstance(result.exception, SystemExit)
    assert result.exception.code == 1
    assert "payments.yaml:8:26: spec.secrets[0].path: got '/kv/stripe'" in result.stderr
    assert "1 problem; nothing was written." in result.stderr
    assert not (base / "generated").exists()


def test_the_result_and_the_mistakes_are_json_on_request(base: Path) -> None:
    result = json.loads(generate(base, "--json").stdout)
    assert (result["roles"], result["clusters"], len(result["changed"]), result["removed"]) == (1, 1, 12, [])
    (base / "roles/payments.yaml").write_text(ROLE.replace("kv/payments", "/kv"))
    problem = json.loads(generate(base, "--json").stdout)["problems"][0]
    assert (problem["line"], problem["column"]) == (8, 26)


def test_a_service_account_of_several_roles_is_named_as_its_pods_must_choose(base: Path) -> None:
    assert "podkeys.dev/role" not in generate(base).stderr
    for name in ("loans", "more", "rates"):
        (base / f"roles/{name}.yaml").write_text(ROLE.replace("name: payments,", f"name: {name},"))
    assert (
        "service account payments-api of payments on east stands in loans.yaml, more.yaml, payments.yaml, rates.yaml: "
        "its pods are refused unless podkeys.dev/role says"
    ) in generate(base).stderr
    (base / "roles/rates.yaml").unlink()
    assert "stands in loans.yaml, more.yaml, payments.yaml:" in generate(base, "--check").stderr
    result = generate(base, "--json")
    assert json.loads(result.stdout)["sharedServiceAccounts"][0] == {
        "cluster": "east",
        "namespace": "payments",
        "serviceAccount": "payments-api",
        "files": ["loans.yaml", "more.yaml", "payments.yaml"],
    }
    assert "podkeys.dev/role" not in result.stderr


def test_a_symbolic_link_ends_the_command_with_a_sentence(base: Path) -> None:
    (base / "generated").mkdir()
    (base / "generated" / "east").symlink_to(base)
    assert "got a symbolic link" in str(generate(base).exception)


def test_a_new_role_file_passes_generation(base: Path) -> None:
    assert call("new", "orders", "--cluster", "east", "-o", base / "roles" / "orders.yaml").exit_code == 0
    assert generate(base).stdout.startswith("2 roles, ")


def test_a_new_role_file_with_all_its_comments_taken_off_passes_too(base: Path) -> None:
    text = call("new", "orders", "--cluster", "east", "--namespace", "shop", "--owner", "team-a").output
    opened = text.replace("# env: true ", "env: true #").replace("  # databases:", "  databases:")
    opened = opened.replace("  # - name: orders", "  - name: orders").replace("  #   path:", "    path:")
    opened = opened.replace("  # identity:", "  identity:")
    (base / "roles" / "orders.yaml").write_text(opened)
    assert generate(base).stdout.startswith("2 roles, "), opened
    entry = json.loads((base / "generated/east/catalog/shop.json").read_text())["roles"]["orders"]
    assert set(entry["secrets"]) == {"settings", "orders"}
    assert entry["secrets"]["settings"]["env"] is True
    assert "identity" in entry["serviceAccounts"]["orders"]


def test_new_keeps_a_file_that_exists(base: Path) -> None:
    path = base / "roles" / "payments.yaml"
    assert "exists already and is kept" in str(call("new", "payments", "-o", path).exception)
    assert path.read_text() == ROLE


def test_new_makes_the_folder_that_it_writes_to(tmp_path: Path) -> None:
    path = tmp_path / "roles" / "team" / "payments.yaml"
    assert call("new", "payments", "-o", path).exit_code == 0
    assert path.read_text().startswith("# What this service may have")
    (tmp_path / "file").touch()
    wrong = call("new", "payments", "-o", tmp_path / "file" / "x.yaml").exception
    assert "can't be written: " in str(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Payments"], "NAME: got 'Payments', expected a name"),
        (["all"], "NAME: got 'all', expected another name"),
        (["payments", "--namespace", "a.b"], "--namespace: got 'a.b'"),
        (["payments", "--cluster", "East"], "--cluster: got 'East'"),
        (["payments", "--owner", "x\ny"], "--owner: got 'x\\ny'"),
    ],
)
def test_new_refuses_what_generation_would(arguments: list[str], message: str) -> None:
    assert message in str(call("new", *arguments).exception)


def test_help_lists_all_commands_without_loading_those_that_speak_to_a_server() -> None:
    code = "import sys, podkeys; podkeys.cli(['policies', '--help'], standalone_mode=False); print('hvac' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.endswith("False\n")
    assert all(f"\n  {name} " in output for name in ("apply", "generate", "new", "plan"))


def test_long_work_shows_progress_on_a_terminal_alone(tmp_path: Path) -> None:
    roles = {
        f"r{n}.yaml": ROLE.replace("name: payments,", f"name: r{n},").replace(
            "namespace: payments", f"namespace: n{n % 20}"
        )
        for n in range(600)
    }
    role_texts.folders(tmp_path, roles, {"east.yaml": CLUSTER})
    command = [sys.executable, "-m", "podkeys", "policies", "generate"]
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as screen:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            check=True,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | {"PYTHONPATH": str(EXAMPLE.parents[1])},
        )
        os.close(theirs)
        assert b"\r250 of 600 role files" in screen.read1(4096)
    assert done.stdout.startswith(b"600 roles, 1 cluster: ")
