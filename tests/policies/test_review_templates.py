"""Where a template could be filled in so that somebody may, nobody is told no."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from policies.acl.decide import Operation, Request, decided
from policies.acl.dialects import OPENBAO_2_7, VAULT_1_21, VAULT_2_0_1, Dialect
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.review.cli import can, explain, who_can
from policies.review.inventory import Inventory, PolicyFile
from policies.review.subjects import Policies, Reading
from policies.review.templated import could

NAME = "{{identity.entity.name}}"
TEAM, SITE = "{{identity.entity.metadata.team}}", "{{identity.entity.metadata.site}}"


@pytest.mark.parametrize(
    ("stanza", "path", "dialect", "known"),
    [
        (f"kv/data/{NAME}", "kv/data/bob", "openbao-2.7", False),
        (f"kv/data/{NAME}", "kv/data/bob/card", "openbao-2.7", True),
        (f"kv/data/{NAME}", "kv/data/bob/card", "vault-2.2.2", False),
        (f"kv/data/{NAME}/*", "kv/data/bob/card/old", "openbao-2.7", False),
        (f"kv/data/+/x-{NAME}", "kv/data/shop/x-bob", "openbao-2.7", False),
        (f"kv/data/+/x-{NAME}", "kv/data/shop/y-bob", "openbao-2.7", True),
        ("kv/data/{{identity.groups.names.ops.name}}", "kv/data/ops", "openbao-2.7", False),
        ("kv/data/{{identity.groups.names.ops.name}}", "kv/data/dev", "openbao-2.7", True),
        ("kv/data/{{nothing.that.is.filled}}", "kv/data/dev", "openbao-2.7", True),
    ],
)
def test_a_template_that_could_be_filled_in_makes_a_no_unknown(
    tmp_path: Path, stanza: str, path: str, dialect: str, *, known: bool
) -> None:
    (tmp_path / "shop.hcl").write_text(f'path "{stanza}" {{ capabilities = ["read"] }}\n')
    where = ["--policies", str(tmp_path), "--dialect", dialect]
    answer = CliRunner().invoke(can, ["shop", "read", path, *where], standalone_mode=False)
    assert (answer.output, answer.return_value) == ("no\n" if known else "unknown\n", 1)
    every = CliRunner().invoke(who_can, ["read", path, *where], standalone_mode=False)
    assert every.return_value == int(known)
    assert ("unknown: " in every.output) is not known


def test_the_template_is_named_with_what_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(f'\npath "kv/data/{NAME}" {{ capabilities = ["read"] }}\n')
    asked = ["shop", "read", "kv/data/bob", "--policies", str(tmp_path)]
    words = (
        f"whoever has kv/data/{NAME} at shop.hcl:2, which may be this path: filled in is the entity's name"
    )
    assert CliRunner().invoke(explain, asked).output.endswith(f"unknown: {words}\n")
    (found,) = json.loads(CliRunner().invoke(can, [*asked, "--json"]).output)
    assert found["unknown"] == [words]


def test_a_template_that_grants_something_else_leaves_a_no_a_no(tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(f'path "kv/data/{NAME}" {{ capabilities = ["list"] }}\n')
    asked = ["shop", "read", "kv/data/bob", "--policies", str(tmp_path)]
    assert CliRunner().invoke(can, asked).output == "no\n"


_TEMPLATES = (
    f"kv/{TEAM}/*", f"kv/{TEAM}", f"kv/a{TEAM}", f"kv/+{TEAM}/x", f"kv/{TEAM}+/x", f"{TEAM}/data/x", f"kv/{TEAM}{SITE}", f"kv/+/{TEAM}/x*",
)  # fmt: skip
_VALUES = ("", "a", "+", "*", "a*", "+/b", "a/b", "/", "a/", "/+", "a/*", "x")
_PATHS = (
    "kv/a",
    "kv/a/b",
    "kv/a/b/c",
    "kv/mail/x",
    "kv/a/mail/x",
    "kv/mail",
    "a/data/x",
    "mail/data/x",
    "kv/x/y/xyz",
    "kv//x",
)
_LOOSE: tuple[tuple[str, ...], ...] = ((), ("slashes",), ("wildcards",), ("slashes", "wildcards"))


@pytest.mark.parametrize("loose", _LOOSE, ids="-".join)
@pytest.mark.parametrize("dialect", [OPENBAO_2_7, VAULT_1_21, VAULT_2_0_1], ids=lambda one: str(one.name))
def test_whatever_a_template_is_filled_with_nobody_is_told_no_for_what_it_grants(
    dialect: Dialect, loose: tuple[str, ...]
) -> None:
    """Invariant: a value with which the server grants a path makes its stanza one of those that could."""
    granted = 0
    for template, path in itertools.product(_TEMPLATES, _PATHS):
        text = f'path "{template}" {{ capabilities = ["read"] }}'
        policy = replace(parse_policy(text, "p", dialect=dialect), loose=loose)
        file = PolicyFile("p", "p", text.encode(), loose)
        inventory = Inventory({"p": file}, ())
        known = list(could(inventory, Policies(inventory, Reading(dialect)), ["p"], ("read", path)))
        for team, site in itertools.product(_VALUES, ("", "b", "*")):
            values = {TEAM.strip("{}"): team, SITE.strip("{}"): site}
            filled = Rules([policy], dialect=dialect, values=values)
            if decided(filled, Request(Operation.READ, path)).allowed:
                granted += 1
                assert known, (template, path, team, site)
    assert granted > 20


def test_what_a_server_without_a_guard_may_fill_in_is_said(tmp_path: Path) -> None:
    (tmp_path / "shop.hcl").write_text(f'path "kv/data/{TEAM}/*" {{ capabilities = ["read"] }}\n')
    words = ["shop", "read", "kv/data/mail/smtp", "--policies", str(tmp_path), "--dialect"]
    meanings = {
        name: CliRunner().invoke(explain, [*words, name]).output.rpartition("filled in is ")[2]
        for name in ("openbao-2.7", "vault-1.21", "vault-2.0.1")
    }
    assert meanings == {
        "openbao-2.7": "the entity's metadata team\n",
        "vault-1.21": "the entity's metadata team, with slashes and wildcards in it, too\n",
        "vault-2.0.1": "the entity's metadata team, with slashes in it, too\n",
    }
