"""Where a template could be filled in so that somebody may, nobody is told no."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from policies.review.cli import can, explain, who_can

NAME = "{{identity.entity.name}}"


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
