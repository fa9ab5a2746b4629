"""PK120, PK216 and PK217 by the policies beside a generated one, and by the server that is asked."""

from pathlib import Path

import pytest

from policies.acl.dialects import DIALECTS
from policies.review.lint.run import found
from policies.review.lint.settings import Settings
from tests.policies.lint_pages import Example, examples, looked_at

WEB = "pki/sign/podkeys.shop.shop.web"
GENERATED = examples("PK120")[1].files["shop.hcl"]
OF_MAIL = GENERATED.replace("podkeys.east.shop.shop", "podkeys.east.mail.mail")


def allowing(path: str, *capabilities: str, more: str = "") -> str:
    listed = ", ".join(f'"{one}"' for one in capabilities)
    return f'path "{path}" {{\n  capabilities = [{listed}]\n{more}}}\n'


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (allowing("pki/sign/*", "update"), {"PK120"}),
        (allowing("pki/sign/podkeys.*", "create", "update"), {"PK120"}),
        (allowing("pki/+/podkeys.shop.shop.web", "update"), {"PK112"}),
        (allowing(WEB, "update"), {"PK120"}),
        (allowing(WEB, "update", more='  allowed_parameters = { "csr" = [] }\n'), {"PK120"}),
        (allowing("pki/sign/{{identity.entity.id}}", "update"), {"PK120"}),
        (OF_MAIL, {"PK120"}),
        (allowing(WEB, "read", "list"), set()),
        (allowing(WEB, "deny"), set()),
        (allowing("pki/sign/*", "update") + allowing(WEB, "deny"), set()),
        (allowing("pki/sign/operators", "update"), set()),
        (allowing("other/sign/*", "update"), set()),
        (allowing("pki/issue/podkeys.shop.shop.web", "update"), {"PK112"}),
        (allowing("pki/*", "update"), {"PK102", "PK112"}),
        (allowing("*", "update"), {"PK101"}),
    ],
)  # fmt: skip
def test_another_policy_beside_the_generated_one(other: str, expected: set[str], tmp_path: Path) -> None:
    files = {"shop.hcl": GENERATED, "other.hcl": other}
    hits = list(found(looked_at(Example(files).written(tmp_path)), Settings()))
    ids = {one.rule.id for one in hits if one.hit.file == "other.hcl"}
    assert ids & {"PK101", "PK102", "PK112", "PK120"} == expected
    assert not [one for one in hits if one.hit.file == "shop.hcl"]


@pytest.mark.parametrize("limits", ["", 'allowed_parameters = { "*" = [] }'])
def test_a_generated_stanza_that_lost_its_limits(limits: str, tmp_path: Path) -> None:
    head, _, rest = GENERATED.partition("  allowed_parameters")
    text = head + limits + rest[rest.index("  required_parameters") :]
    (hit,) = found(looked_at(Example({"shop.hcl": text}).written(tmp_path)), Settings())
    assert hit.rule.id == "PK120"
    assert "without a limit on its parameters" in hit.hit.message


def test_two_clusters_whose_mounts_have_one_name_are_on_two_servers(tmp_path: Path) -> None:
    files = {"east/shop.hcl": GENERATED, "west/shop.hcl": GENERATED.replace("podkeys.east", "podkeys.west")}
    assert list(found(looked_at(Example(files).written(tmp_path)), Settings())) == []


def test_a_finding_names_the_stanza_whose_limits_are_passed_by(tmp_path: Path) -> None:
    bad, _ = examples("PK120")
    (hit,) = found(looked_at(bad.written(tmp_path)), Settings())
    assert f'got update on "pki/sign/*", which reaches {WEB}, which shop.hcl:5 limits' in hit.hit.message


TEMPLATE = "kv/data/{{identity.entity.metadata.team}}/*"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (allowing(TEMPLATE, "read"), {"openbao-2.5": {"PK217"}, "vault-1.21": {"PK217"}, "vault-2.0": {"PK217"}, "vault-2.0.1": {"PK216"}}),
        (allowing("kv/data/{{identity.entity.id}}/*", "read"), {}),
        (allowing("kv/data/{{time.now}}", "read"), {}),
        (allowing("kv/data/{{identity.groups.names.ops.name}}/*", "read"), {}),
        (allowing("kv/data/shop/*", "read"), {}),
    ],
)  # fmt: skip
def test_a_template_is_told_where_the_server_does_not_guard_it(
    policy: str, expected: dict[str, set[str]], tmp_path: Path
) -> None:
    """What no entity can set to a wildcard or to a slash needs no guard."""
    folder = Example({"shop.hcl": policy}).written(tmp_path)
    everywhere = {
        name: {one.rule.id for one in found(looked_at(folder, dialect=dialect), Settings())}
        & {"PK216", "PK217"}
        for name, dialect in DIALECTS.items()
    }
    newer = {name: {"PK216"} for name in ("vault-2.0.3", "vault-2.0.4", "vault-2.2.2") if expected}
    assert {name: ids for name, ids in everywhere.items() if ids} == expected | newer
