"""What rules of lint find and leave alone beyond the examples of their pages."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.acl.language import representatives
from policies.acl.paths import Pattern, pattern
from policies.review.lint.overlap import Heads, overlap
from policies.review.lint.run import found
from policies.review.lint.settings import Settings
from tests.policies.lint_pages import Example, examples, looked_at

ROLE: dict[str, Any] = json.loads(examples("PK401")[1].files["auth/jwt/role/shop.json"])["data"]


def allowing(path: str, *capabilities: str) -> str:
    return f'path "{path}" {{ capabilities = {json.dumps(capabilities)} }}\n'


def role(**changes: object) -> str:
    return json.dumps(
        {"data": {name: value for name, value in {**ROLE, **changes}.items() if value is not None}}
    )


def kubernetes(**changes: object) -> str:
    bound = {
        "bound_service_account_names": ["api"],
        "bound_service_account_namespaces": ["shop"],
        "audience": "vault",
    }
    return role(
        user_claim=None, role_type=None, bound_subject=None, bound_audiences=None, **{**bound, **changes}
    )


def ids(folder: Path, files: dict[str, str]) -> set[str]:
    tree = looked_at(Example(files).written(folder))
    return {finding.rule.id for finding in found(tree, Settings())}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (allowing("sys/*", "update"), {"PK104", "PK105", "PK106"}),
        (allowing("sys/*", "update") + allowing("sys/policies/*", "deny") + allowing("sys/policy/*", "deny"), {"PK105", "PK106"}),
        (allowing("sys/*", "update") + allowing("sys/policies/*", "read") + allowing("sys/policy/*", "read"), {"PK105", "PK106"}),
        (allowing("sys/policies/acl/+", "update") + allowing("sys/policies/acl/+", "deny"), set()),
        (allowing("sys/policies/acl/shop", "read"), set()),
        (allowing("sys/policies/password/+", "update"), {"PK104"}),
        (allowing("sys/auth/own", "update", "sudo"), {"PK105"}),
        (allowing("auth/*", "update"), {"PK107", "PK109"}),
        (allowing("auth/token/*", "update"), {"PK107", "PK109"}),
        (allowing("identity/*", "read"), set()),
        (allowing("identity/entity/id/+", "update"), {"PK108"}),
        (allowing("+/data/shop", "deny"), set()),
        (allowing("s*", "read"), {"PK101"}),
        (allowing("kv/data/+", "update"), {"PK102"}),
        (allowing("kv/data/{{identity.entity.id}}/*", "create", "update"), set()),
        (allowing("kv/metadata/{{identity.entity.id}}/*", "list"), set()),
        (allowing("secrets/data/shop", "read") + allowing("secrets/shop", "read"), {"PK110"}),
        (allowing("plain/shop", "read", "update", "create"), set()),
        (allowing("kv/config", "read"), set()),
        (allowing("kv/destroy/shop", "update"), {"PK111"}),
        (allowing("kv/metadata/shop", "delete"), {"PK111"}),
        (allowing("ca/sign/shop", "update") + allowing("ca/roles/shop", "update"), {"PK112"}),
        (allowing("ca/issuer/+/sign/shop", "update"), {"PK112"}),
        (allowing("keys/encrypt/shop", "update") + allowing("keys/+/*", "read"), {"PK113"}),
        (allowing("rds/creds/shop", "read") + allowing("rds/config/shop", "update"), {"PK114"}),
        (allowing("kv/data/shop", "create") + allowing("kv/data/shop", "update"), set()),
        (allowing("kv/data/shop/*", "deny") + allowing("kv/data/+/card", "read"), set()),
        (allowing("kv/data/+/card", "deny") + allowing("kv/data/shop/*", "read"), {"PK202"}),
        (allowing("kv/data/x{{identity.entity.id}}", "deny"), {"PK204"}),
        (allowing("kv/data/x{{identity.entity.id}}", "read"), {"PK205"}),
        (allowing("kv/data/shop**", "read"), {"PK207"}),
        (allowing("//kv/data/shop", "read"), {"PK209"}),
        (allowing("/kv/data/shop", "read"), set()),
        (allowing("kv/data/{{identity.entity.nme}}", "read"), {"PK210"}),
        (allowing("kv/data/{{ identity.groups.names.a b.id }}", "read"), set()),
        ('path "kv/data/shop" {\n capabilities = ["read"]\n capabilities = ["list"]\n}', {"PK211"}),
        ('{"path": {"*": {"capabilities": ["read"]}}}', {"PK101"}),
        ("path", {"PK001"}),
    ],
)  # fmt: skip
def test_a_policy_alone(policy: str, expected: set[str], tmp_path: Path) -> None:
    assert ids(tmp_path, {"shop.hcl": policy}) == expected


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (role(), set()),
        (role(bound_subject=None), {"PK401", "PK402"}),
        (role(bound_subject=None, bound_claims={"repository": "shop/api"}), set()),
        (role(bound_subject="repo:shop/api", bound_audiences=None), set()),
        (kubernetes(), set()),
        (kubernetes(bound_service_account_names="*"), {"PK401"}),
        (kubernetes(bound_service_account_namespaces=[], bound_service_account_namespace_selector="{}"), {"PK402"}),
        (kubernetes(bound_service_account_namespaces=[], bound_service_account_namespace_selector="null"), {"PK402"}),
        (kubernetes(bound_service_account_namespaces=[], bound_service_account_namespace_selector='{"team": "payments"}'), {"PK402"}),
        (kubernetes(bound_service_account_namespaces=[], bound_service_account_namespace_selector="matchLabels: {since: 2030-13-45}"), set()),
        (role(user_claim=None, role_type=None, bound_service_account_namespace_selector="{}"), set()),
        (kubernetes(bound_service_account_names=["a", "b"], bound_service_account_namespace_selector='{"matchLabels": {"a": "b"}}'), {"PK406"}),
        (kubernetes(bound_service_account_names=["a", "b"]), set()),
        (kubernetes(bound_service_account_namespaces="shop, sho*"), {"PK407"}),
        (kubernetes(audience=""), {"PK405"}),
        (role(token_policies="Shop"), set()),
        (role(token_policies=None, policies=["shop", "gone"]), {"PK404"}),
        (role(token_policies=["shop", "ROOT"]), {"PK403"}),
        (role(token_ttl="0", token_max_ttl=0), {"PK408"}),
        (role(token_max_ttl=0), {"PK409"}),
        (role(token_max_ttl=0, token_explicit_max_ttl=3600), set()),
        (role(token_max_ttl=0, token_type="batch"), set()),
        (role(token_period="1h"), {"PK409", "PK410"}),
        (role(token_period="1h", token_explicit_max_ttl="24h", token_no_default_policy=False), {"PK411"}),
    ],
)  # fmt: skip
def test_an_auth_role_alone(login: str, expected: set[str], tmp_path: Path) -> None:
    files = {"shop.hcl": allowing("kv/data/shop", "read"), "auth/some/role/shop.json": login}
    assert ids(tmp_path, files) == expected


def test_a_pattern_of_namespaces_is_shown_where_it_stands(tmp_path: Path) -> None:
    login = kubernetes(bound_service_account_namespaces=["sho*"])
    files = {"shop.hcl": allowing("kv/data/shop", "read"), "auth/some/role/shop.json": login}
    [hit] = [one.hit for one in found(looked_at(Example(files).written(tmp_path)), Settings())]
    assert login[hit.column - 1 :].startswith('"bound_service_account_namespaces"')


def test_a_missing_policy_is_shown_where_the_role_names_its_policies(tmp_path: Path) -> None:
    """By the old name of the field, too."""
    login = role(token_policies=None, policies=["shop", "gone"])
    files = {"shop.hcl": allowing("kv/data/shop", "read"), "auth/some/role/shop.json": login}
    [hit] = [one.hit for one in found(looked_at(Example(files).written(tmp_path)), Settings())]
    assert login[hit.column - 1 :].startswith('"policies"')


def test_what_is_no_auth_role_of_kubernetes_still_gives_tokens(tmp_path: Path) -> None:
    files = {
        "shop.hcl": allowing("kv/data/shop", "delete"),
        "auth/approle/role/shop.json": '{"data": {"token_policies": ["shop"]}}',
    }
    assert ids(tmp_path, files) == {"PK408", "PK411"}


def test_policies_of_one_token_are_looked_at_together(tmp_path: Path) -> None:
    """A denial in one is undone, and a control group passed by, by the other."""
    held = examples("PK201")[1].files["shop.hcl"]
    files = {
        "shop.hcl": held + allowing("kv/data/mail/*", "deny"),
        "more.hcl": allowing("kv/data/shop", "read") + allowing("kv/data/mail/smtp", "read"),
        "auth/some/role/shop.json": role(token_policies=["shop", "more"]),
    }
    assert ids(tmp_path / "together", files) == {"PK201", "PK202"}
    del files["auth/some/role/shop.json"]
    assert ids(tmp_path / "apart", files) == set()


def test_what_an_entity_gives_is_looked_at_together_with_its_login(tmp_path: Path) -> None:
    alias = {"mount_path": "auth/some/", "mount_type": "jwt", "name": ROLE["bound_subject"]}
    entity = {"id": "1", "name": "shop", "policies": ["more"], "aliases": [alias]}
    files = {
        "shop.hcl": allowing("kv/data/mail/*", "deny"),
        "more.hcl": allowing("kv/data/mail/smtp", "read"),
        "auth/some/role/shop.json": role(token_policies=["shop"]),
        "identity/entity/id/1.json": json.dumps({"data": entity}),
    }
    assert "PK202" in ids(tmp_path / "together", files)
    del files["identity/entity/id/1.json"]
    assert "PK202" not in ids(tmp_path / "apart", files)


def test_what_two_roles_share_is_told_once(tmp_path: Path) -> None:
    files = {
        "shop.hcl": allowing("kv/data/shop/*", "deny") + allowing("kv/data/shop/card", "read"),
        "auth/some/role/shop.json": role(),
        "auth/some/role/other.json": role(bound_subject="system:serviceaccount:shop:other"),
    }
    tree = looked_at(Example(files).written(tmp_path))
    assert [finding.rule.id for finding in found(tree, Settings())] == ["PK202"]


def test_a_generated_name_of_another_namespace_is_its_own(tmp_path: Path) -> None:
    files = {
        "shop.hcl": allowing("pki/sign/podkeys.mail.mail.serving", "update"),
        "mail.hcl": allowing("kv/data/smtp", "read"),
        "auth/some/role/shop.json": role(),
        "auth/some/role/mail.json": role(
            bound_subject="system:serviceaccount:mail:api", token_policies=["mail"]
        ),
    }
    assert ids(tmp_path, files) == {"PK117"}


def test_a_prefix_is_shared_where_another_policy_names_something_below_it(tmp_path: Path) -> None:
    files = {
        "shop.hcl": allowing("kv/metadata/shop/*", "list"),
        "mail.hcl": allowing("kv/data/mail/smtp", "read"),
    }
    assert ids(tmp_path / "own", files) == set()
    files["mail.hcl"] += allowing("kv/data/shop/card", "read")
    assert ids(tmp_path / "shared", files) == {"PK115"}


def test_a_catalog_says_what_is_of_version_one(tmp_path: Path) -> None:
    policy = {"shop.hcl": allowing("kv/reports/sftp", "read")}
    catalog = {
        "catalog/shop.json": '{"cluster": "east", "sftp": {"engine": "kv1", "env": false, "path": "kv/reports/sftp"}}'
    }
    assert ids(tmp_path / "unknown", policy) == {"PK110"}
    assert ids(tmp_path / "known", policy | catalog) == set()


@pytest.mark.parametrize("number", [100, 101])
def test_more_patterns_than_can_be_compared_are_told_instead_of_passed_by(
    number: int, tmp_path: Path
) -> None:
    many = "".join(allowing(f"+/service-{one}/+", "read") for one in range(number))
    tree = looked_at(Example({"shop.hcl": many}).written(tmp_path))
    messages = [finding.hit.message for finding in found(tree, Settings()) if finding.rule.id == "PK210"]
    assert messages == (
        [] if number == 100 else ["got 101 patterns with + in one policy, expected at most 100 to compare"]
    )


def test_a_policy_of_very_many_stanzas_is_looked_at_without_comparing_each_with_each(tmp_path: Path) -> None:
    """Of the processor's time, not of the clock's: each with each would take hours."""
    many = "".join(
        allowing(f"kv/metadata/service-{one}/*", "list") + allowing(f"kv/data/service-{one}/*", "deny")
        for one in range(20_000)
    )
    start = time.process_time()
    assert ids(tmp_path, {"shop.hcl": many}) == {"PK211"}  # as so many lists aren't compared, which is told
    assert time.process_time() - start < 300


_PARTS = st.sampled_from(["a", "b", "ab", "+", "", "a*", "*", "+a"])
_PATTERNS = st.lists(_PARTS, min_size=1, max_size=4).map("/".join).map(pattern)


@given(_PATTERNS, _PATTERNS)
def test_an_overlap_is_a_path_that_both_match_and_is_found_where_there_is_one(
    first: Pattern | None, second: Pattern | None
) -> None:
    """The oracle walks all classes of paths."""
    if first is None or second is None:
        return
    path = overlap(first, second)
    assert overlap(second, first) == path
    assert path is None or list(Heads([second]).near(first)) == [0]
    raw = [*representatives([first, second]), b""]
    both = [one for one in raw if first.matches(one) and second.matches(one)]
    if path is None:
        assert [one for one in both if not one.startswith(b"/")] == []
    else:
        assert first.matches(path.encode())
        assert second.matches(path.encode())


BOUNDARY = examples("PK119")[1].files["boundaries/shop.yaml"]
HEADER, GOOD = examples("PK119")[1].files["shop.hcl"].split("\n\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"kv/data/shop/card": "kv/data/shopping/card"}, 'got "kv/data/shopping/card", outside {}:9, expected in east/shop what is below kv/data/shop'),
        ({"kv/data/shop/card": "kv/data/shop"}, ""),
        ({"kv/data/shop/card": "auth/token/renew-self"}, ""),
        ({"kv/data/shop/card": "pki/sign/podkeys.shop.shop.serving"}, "got a certificate, outside {}:5, expected none"),
        ({"team-shop": "team-mail"}, "got the owner 'team-mail', outside {}:7, expected one of team-shop"),
        ({"podkeys.east.shop": "podkeys.east.mail"}, "got a policy for east/mail, expected a namespace that a boundary names"),
    ],
)  # fmt: skip
def test_a_generated_policy_is_held_to_the_boundary_of_its_namespace(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    text = f"{HEADER}\n\n{GOOD}"
    for old, new in changes.items():
        text = text.replace(old, new)
    tree = looked_at(Example({"shop.hcl": text, "boundaries/shop.yaml": BOUNDARY}).written(tmp_path))
    messages = [finding.hit.message for finding in found(tree, Settings()) if finding.rule.id == "PK119"]
    assert len(messages) == bool(message)
    assert message.format(tmp_path / "boundaries" / "shop.yaml") in "".join(messages)


SIGNING = """\
path "pki/sign/podkeys.shop.shop.serving" {
  capabilities = ["update"]
  allowed_parameters = { "alt_names" = ["shop.shop,shop.shop.svc"], "csr" = [], "ttl" = ["3600s"] }
  required_parameters = ["alt_names", "csr"]
}
"""
SVID = SIGNING.replace(
    '"alt_names" = ["shop.shop,shop.shop.svc"]', '"uri_sans" = ["spiffe://x/ns/shop/sa/s"]'
)
ANY, SHOP = "certificates: {services: all, maxTTL: 1h}", "certificates: {services: [shop], maxTTL: 1h}"


@pytest.mark.parametrize(
    ("limits", "text", "message"),
    [
        (ANY, SIGNING, ""),
        (SHOP, SIGNING, ""),
        (SHOP, SIGNING.replace("shop.shop.svc", "till.shop.svc"), "got till.shop.svc, outside {}:10, expected names of shop in shop"),
        (ANY, SIGNING.replace("shop.shop.svc", "till.mail.svc"), "got till.mail.svc, outside {}:10, expected names of any Service in shop"),
        (ANY, SIGNING.replace("alt_names", "common_name"), "got any name, outside {}:10"),
        (ANY.replace("1h", "59m"), SIGNING, "got 3600s, outside {}:10, expected at most 59m"),
        (ANY, SIGNING.replace('"3600s"', ""), "got any life, outside {}:10, expected at most 1h"),
        (ANY, SIGNING.replace('"csr" = []', '"csr" = [], "ip_sans" = []'), "got addresses of pods, outside {}:10, expected none"),
        (ANY.replace("1h", "1h, podIP: true"), SIGNING.replace('"csr" = []', '"csr" = [], "ip_sans" = []'), ""),
        ("identity: {maxTTL: 1h}", SVID, ""),
        ("identity: {maxTTL: 30m}", SVID, "got 3600s, outside {}:10, expected at most 30m"),
        (ANY, SVID, "got an identity, outside {}:5, expected none"),
    ],
)  # fmt: skip
def test_what_a_generated_policy_lets_be_signed_is_held_to_the_boundary(
    limits: str, text: str, message: str, tmp_path: Path
) -> None:
    files = {"shop.hcl": f"{HEADER}\n\n{text}", "boundaries/shop.yaml": f"{BOUNDARY}  {limits}\n"}
    tree = looked_at(Example(files).written(tmp_path))
    messages = [finding.hit.message for finding in found(tree, Settings()) if finding.rule.id == "PK119"]
    assert len(messages) == bool(message)
    assert message.format(tmp_path / "boundaries" / "shop.yaml") in "".join(messages)


def test_the_servers_own_default_policy_needs_no_auth_role(tmp_path: Path) -> None:
    files = {name: allowing("kv/data/shop", "read") for name in ("default.hcl", "shop.hcl", "old.hcl")}
    tree = looked_at(Example({**files, "auth/jwt/role/shop.json": role()}).written(tmp_path))
    unowned = [finding.hit.file for finding in found(tree, Settings()) if finding.rule.id == "PK213"]
    assert unowned == ["old.hcl"]
