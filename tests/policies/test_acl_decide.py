"""Decisions by hand: what deciding stanza, what reason, which dialect; where the live server is the oracle, it is asked."""

import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from demo.openbao import Server
from policies.acl.decide import Operation, Reason, Request, capabilities, decide
from policies.acl.dialects import (
    DIALECTS,
    NEWEST,
    OPENBAO_2_5,
    OPENBAO_2_6,
    VAULT_1_21,
    VAULT_2_2_2,
    Dialect,
)
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy
from policies.acl.protected import needs_sudo
from policies.acl.rules import Rules
from policies.acl.templates import Alias, Group, Identity

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GROUP = 'control_group = { factor "ops" { controlled_capabilities = ["read"] identity { group_names = ["g"] approvals = 1 } } }'


def test_a_policy_that_is_refused_is_told_through_context_managers_too() -> None:
    """They set the traceback of what passes them."""
    with pytest.raises(PolicyError, match=r"shop\.hcl:1:7"), _a_context():
        parse_policy("path {", "shop.hcl")


@contextmanager
def _a_context() -> Iterator[None]:
    yield


def test_the_deciding_stanza_and_those_that_lost_have_their_places() -> None:
    text = 'path "kv/*" { capabilities = ["read"] }\n\n# closer\n  path "kv/+/card" { capabilities = ["deny"] }\n'
    decision = decide([parse_policy(text, "shop.hcl")], Request(Operation.READ, "kv/shop/card"))
    assert decision.reason is Reason.DENIED
    assert decision.deciding
    assert [(s.policy, s.line, s.column) for s in decision.deciding.stanzas] == [("shop.hcl", 4, 3)]
    assert [str(rule.pattern) for rule in decision.lost] == ["kv/*"]


def test_listing_falls_back_to_the_path_without_its_slash() -> None:
    policy = parse_policy('path "kv/shop" { capabilities = ["list"] }', "p")
    assert decide([policy], Request(Operation.LIST, "kv/shop/")).allowed
    assert decide([policy], Request(Operation.READ, "kv/shop/")).reason is Reason.NO_MATCH


def test_older_servers_let_a_broad_grant_win_over_a_closer_denial_when_listing() -> None:
    policy = parse_policy(
        'path "kv/+" { capabilities = ["list"] }\npath "kv/shop/*" { capabilities = ["deny"] }', "p"
    )
    assert capabilities([policy], "kv/shop/", NEWEST) == ["deny"]
    assert capabilities([policy], "kv/shop/", OPENBAO_2_5) == ["list"]


@pytest.mark.parametrize(
    ("text", "refusing"),
    [
        (
            'path "a" { capabilities = ["read"] capabilities = ["list"] }',
            {name for name in DIALECTS if name.startswith("vault")},
        ),
        ('path "a" { capabilities = ["scan"] }', {name for name in DIALECTS if name.startswith("vault")}),
        (
            'path "a" { capabilities = ["recover"] }',
            {name for name in DIALECTS if name.startswith("openbao")},
        ),
        ('path "a" { capabilities = ["Deny"] }', set(DIALECTS)),
        (f'path "a" {{ capabilities = ["read"] {GROUP} }}', {"openbao-2.5", "openbao-2.6"}),
        (
            'path "a" { capabilities = ["list"] expiration = "2030-01-31T00:00:00Z" }',
            {name for name in DIALECTS if name.startswith("vault")},
        ),
        ('path "a" { pagination_limit = 5 }', {name for name in DIALECTS if name.startswith("vault")}),
    ],
)
def test_dialects_refuse_what_their_servers_refuse(text: str, refusing: set[str]) -> None:
    found = set()
    for name, dialect in DIALECTS.items():
        try:
            parse_policy(text, "p", dialect=dialect)
        except PolicyError:
            found.add(name)
    assert found == refusing


@pytest.mark.parametrize(
    ("path", "vault"),
    [("kv/shop", "deny"), ("kv/SHOP", "deny"), ("KV/Mail/x", "deny"), ("kv/eu/CARD", "deny"), ("kv/Eu", "read"), ("kv/other", "read")],
)  # fmt: skip
def test_a_denial_is_one_in_any_case_where_the_server_says_so(path: str, vault: str) -> None:
    """CVE-2026-93335: an engine may take two cases for one name."""
    text = """
path "*" { capabilities = ["read"] }
path "kv/shop" { capabilities = ["deny"] }
path "kv/mail/*" { capabilities = ["deny"] }
path "kv/+/card" { capabilities = ["deny"] }
path "kv/eu" { capabilities = ["deny"] }
path "kv/Eu" { capabilities = ["read"] }
"""
    policy = parse_policy(text, "p", dialect=VAULT_2_2_2)
    assert capabilities([policy], path, VAULT_2_2_2) == [vault]
    assert capabilities([policy], path.lower(), OPENBAO_2_6) == ["read" if path == "kv/other" else "deny"]
    if path != path.lower():
        assert capabilities([policy], path, OPENBAO_2_6) == ["read"]


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ('path "a" {\n  capabilites = ["read"]\n}', 2, 3, "got capabilites"),
        ('path "a" {\n  capabilities = ["raed"]\n}', 1, 6, "got the capability raed"),
        ('path "a" {\n  capabilities = ["read"\n}', 3, 1, "expected , or ]"),
        ('path "a/+*" { }', 1, 6, "no +*"),
        ('path "a', 1, 6, "not closed"),
        ('\ufeffpath "a" { }', 1, 1, "begins nothing in HCL"),
        ('path "a" { }\n\0', 2, 1, "not allowed in a policy"),
        ('path "a" { capabilities = "read" }', 1, 27, "expected a list"),
        ('{"path": {"a": {"capabilities": "read"}}}', 1, 33, "expected a list"),
        ("path " * 3, 1, 16, "expected { or ="),
        ("x = " + "[" * 300, 1, 205, "nested deeper"),
        ('{"path":' * 300, 1, 1601, "nested deeper"),
    ],
)
def test_a_refusal_names_its_place_and_what_was_expected(
    text: str, line: int, column: int, said: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "shop.hcl")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert said in str(caught.value)


def test_bytes_that_are_no_utf8_are_refused_with_their_place() -> None:
    with pytest.raises(PolicyError, match="p:2:7: got the byte 0xff"):
        parse_policy(b'path "a" { }\npath "\xff" { }', "p")


def test_an_expired_stanza_grants_nothing_and_denies_nothing() -> None:
    text = 'path "a" { capabilities = ["deny"] expiration = "2026-05-31T23:59:59Z" }\npath "*" { capabilities = ["read"] }'
    policy = parse_policy(text, "p")
    assert capabilities([policy], "a", now=NOW) == ["read"]
    assert capabilities([policy], "a", now=datetime(2026, 5, 31, tzinfo=UTC)) == ["deny"]


def test_a_templated_path_is_filled_from_the_identity_or_dropped() -> None:
    text = """
path "kv/{{identity.entity.name}}/*" { capabilities = ["read"] }
path "kv/{{ identity.entity.aliases.auth_jwt_1.metadata.team }}" { capabilities = ["list"] }
path "kv/{{identity.groups.names.ops.id}}" { capabilities = ["update"] }
"""
    policy = parse_policy(text, "p")
    known = Identity(
        "e1", "shop", aliases=[Alias("auth_jwt_1", metadata={"team": "pay"})], groups=[Group("g1", "ops")]
    )
    assert capabilities([policy], "kv/shop/card", identity=known) == ["read"]
    assert capabilities([policy], "kv/pay", identity=known) == ["list"]
    assert capabilities([policy], "kv/g1", identity=known) == ["update"]
    assert len(list(Rules([policy]))) == 0


def test_a_value_with_a_wildcard_or_slash_ends_all_that_its_token_can_do_in_newer_servers() -> None:
    text = (
        'path "kv/{{identity.entity.name}}" { capabilities = ["read"] }\npath "a" { capabilities = ["read"] }'
    )
    policy = parse_policy(text, "p")
    for name in ("*", "a/b", "+"):
        for path in (f"kv/{name}", "a"):
            assert capabilities([policy], path, OPENBAO_2_6, identity=Identity("e", name)) == ["deny"]
    decision = decide([policy], Request(Operation.READ, "a"), identity=Identity("e", "a/b"))
    assert (decision.reason, decision.about) == (Reason.TEMPLATE, "kv/{{identity.entity.name}}")
    assert capabilities([policy], "kv/other", OPENBAO_2_5, identity=Identity("e", "*")) == ["read"]
    assert capabilities([policy], "kv/other", VAULT_1_21, identity=Identity("e", "*")) == ["read"]


@pytest.mark.parametrize("team", ["mail", "mail/smtp", "*", ""])
def test_the_server_too_refuses_all_where_a_value_may_not_stand_in_a_path(
    bao: Server, dialect: Dialect, team: str
) -> None:
    refused = any(text in team for text in dialect.blocked)
    text = 'path "kv/{{identity.entity.metadata.team}}" {}\npath "auth/token/lookup-self" { capabilities = ["read"] }'
    bao.call("PUT", "sys/policies/acl/by-hand", {"policy": text})
    entity = bao.call("POST", "identity/entity", {"metadata": {"team": team}})["data"]["id"]
    accessor = bao.call("GET", "sys/auth")["data"]["token/"]["accessor"]
    alias = {"name": "by-hand", "canonical_id": entity, "mount_accessor": accessor}
    bao.call("POST", "identity/entity-alias", alias)
    bao.call("POST", "auth/token/roles/by-hand", {"allowed_entity_aliases": ["by-hand"]})
    body = {"policies": ["by-hand"], "no_default_policy": True, "entity_alias": "by-hand"}
    token = bao.call("POST", "auth/token/create/by-hand", body)["auth"]["client_token"]
    assert status(bao, "auth/token/lookup-self", token) == (400 if refused else 200)
    request = Request(Operation.READ, "auth/token/lookup-self")
    known = Identity(entity, metadata={"team": team})
    policy = parse_policy(text, "p", dialect=dialect)
    assert decide([policy], request, dialect, identity=known).allowed is not refused
    for path in (f"identity/entity/id/{entity}", "auth/token/roles/by-hand", "sys/policies/acl/by-hand"):
        bao.call("DELETE", path)


def test_a_plain_grant_beside_a_constrained_one_is_constrained() -> None:
    """What a reviewer must be told: joining two policies can take something away."""
    free = parse_policy('path "a" { capabilities = ["update"] }', "free")
    tied = parse_policy('path "a" { capabilities = ["update"] allowed_parameters = { "x" = [] } }', "tied")
    request = Request(Operation.WRITE, "a", exists=True, parameters={"y": "1"})
    assert decide([free], request).allowed
    assert decide([free, tied], request).reason is Reason.NOT_ALLOWED


@pytest.fixture
def own_token(bao: Server) -> Iterator[str]:
    """A token whose policy `by-hand` a test writes."""
    body = {"policies": ["by-hand"], "no_default_policy": True, "type": "batch"}
    yield bao.call("POST", "auth/token/create", body)["auth"]["client_token"]
    bao.call("DELETE", "sys/policies/acl/by-hand")


def test_root_protected_paths_need_sudo_as_the_server_says(bao: Server, own_token: str) -> None:
    for path in ("sys/audit", "sys/leases", "sys/rotate", "sys/mounts", "sys/policies/acl"):
        text = f'path "{path}" {{ capabilities = ["read", "list"] }}'
        bao.call("PUT", "sys/policies/acl/by-hand", {"policy": text})
        refused = status(bao, path, own_token) == 403
        assert needs_sudo(path) == refused, path
        decision = decide([parse_policy(text, "p")], Request(Operation.READ, path))
        assert (decision.reason is Reason.SUDO) == refused


@pytest.mark.openbao_only("the control groups of HashiCorp Vault are Enterprise's; Community holds nothing")
def test_a_control_group_holds_the_operations_of_its_factors(bao: Server, own_token: str) -> None:
    """The server answers 200 and hands out nothing; a wrapping token only where the group has a ttl."""
    text = f'path "sys/policies/acl" {{ capabilities = ["read", "list"] {GROUP} }}'
    bao.call("PUT", "sys/policies/acl/by-hand", {"policy": text})
    policy = parse_policy(text, "p")
    assert decide([policy], Request(Operation.READ, "sys/policies/acl")).reason is Reason.HELD
    assert decide([policy], Request(Operation.LIST, "sys/policies/acl")).allowed
    assert not bao.call("GET", "sys/policies/acl", token=own_token)["data"]
    assert bao.call("LIST", "sys/policies/acl", token=own_token)["data"]


def status(bao: Server, path: str, token: str) -> int:
    try:
        bao.call("GET", path, token=token)
    except urllib.error.HTTPError as error:
        return error.code
    return 200
