"""A live server is decided as what it is: its product and version, and not a default."""

import json
import tempfile
from pathlib import Path

import click.testing
import pytest

import podkeys
from policies.acl.dialects import VAULT_1_21
from policies.review.dialect import decide, notes
from tests.policies.recording import OPENBAO, VAULT, plain

# LIST of x/y/ is denied by newer servers alone, and a policy that says something twice is taken by OpenBao alone.
LISTS = 'path "x/*" { capabilities = ["list"] }\npath "x/+/" { capabilities = ["deny"] }\n'
QUESTIONS = {
    "can": ("shop", "list", "x/y/"),
    "explain": ("shop", "list", "x/y/"),
    "who-can": ("list", "x/y/"),
    "reach": ("shop",),
    "lint": ("--severity=PK115=off",),
    "test": (),
    "drift": (),
}
TEST = (
    "apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n"
    "- {subject: shop, operation: list, path: x/y/, expected: allowed}\n"
)


def ask(question: str, health: dict[str, object], *more: str) -> click.testing.Result:
    data: dict[str, object] = {
        "sys/auth": {},
        "sys/policies/acl": {"keys": ["shop"]},
        "sys/policies/acl/shop": {"policy": LISTS},
    }
    with plain(data, health) as server, tempfile.TemporaryDirectory() as name:
        examples = Path(name) / "tests.yaml"
        examples.write_text(TEST)
        files = {"test": (str(examples),), "drift": ("--policies", name)}.get(question, ())
        words = ["policies", question, *QUESTIONS[question], *files, "--address", server.address, *more]
        return click.testing.CliRunner().invoke(
            podkeys.cli, words, env={"BAO_TOKEN": "canary"}, standalone_mode=False
        )


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_decided_as_the_server_that_is_asked(question: str) -> None:
    """It says which on standard error, and in each part of its JSON."""
    for health, name, product in (
        (OPENBAO, "openbao-2.7", "OpenBao 2.7.2"),
        (VAULT, "vault-1.21", "HashiCorp Vault 1.21.4"),
    ):
        result = ask(question, health, "--json")
        assert f"Decided as {name} does; the server is {product}\n" in result.stderr, result.output
        assert "Note" not in result.stderr
        document = json.loads(result.stdout)
        parts = document if isinstance(document, list) else [document]
        assert {part["dialect"] for part in parts} == ({name} if parts else set())


def test_what_servers_decide_otherwise_is_answered_otherwise() -> None:
    assert ask("can", OPENBAO).stdout == "no\n"
    assert ask("can", VAULT).stdout == "yes\n"
    assert ask("who-can", OPENBAO, "--json").stdout == "[]\n"
    assert [one["subject"] for one in json.loads(ask("who-can", VAULT, "--json").stdout)] == ["shop"]
    assert (ask("test", OPENBAO).return_value, ask("test", VAULT).return_value) == (1, 0)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_dialect_that_is_given_wins_and_it_is_said_that_the_server_has_another(question: str) -> None:
    result = ask(question, VAULT, "--dialect", "openbao-2.7")
    assert "Note: got --dialect openbao-2.7, expected vault-1.21 for HashiCorp Vault 1.21.4" in result.stderr
    assert "Decided as openbao-2.7 does; the server is HashiCorp Vault 1.21.4" in result.stderr
    same = ask(question, VAULT, "--dialect", "vault-1.21")
    assert "Note" not in same.stderr
    assert ask("can", VAULT, "--dialect", "openbao-2.7").stdout == "no\n"


def test_a_version_that_is_not_known_is_decided_as_the_nearest_and_noted() -> None:
    for version, name, noted in (
        ("3.0.0", "openbao-2.7", "OpenBao 3.0.0 is newer than 2.7"),
        ("2.4.0", "openbao-2.5", "OpenBao 2.4.0 is older than 2.5"),
    ):
        result = ask("can", OPENBAO | {"version": version})
        assert f"Note: {noted}, the " in result.stderr
        assert f"Decided as {name} does" in result.stderr


def test_a_folder_is_decided_as_the_newest_openbao_and_nothing_is_said() -> None:
    assert decide(None, None).name == "openbao-2.7"
    assert decide("vault-1.21", None) is VAULT_1_21
    assert list(notes("vault-1.21", None)) == []
