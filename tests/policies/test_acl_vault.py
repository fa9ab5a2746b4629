"""What HashiCorp Vault decides otherwise than OpenBao: each line seen on its server, or in the source of 1.21.4."""

from dataclasses import replace

import pytest

from policies.acl.changes import compared
from policies.acl.decide import Operation, Reason, Request, capabilities, decide
from policies.acl.dialects import DIALECTS, OPENBAO_2_7, VAULT_1_21, VAULT_2_0, VAULT_2_0_3, of_server
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from policies.acl.templates import Identity

LIMITED = """path "pki/sign/shop" {
  capabilities = ["update"]
  allowed_parameters = { "names" = ["a", "b", "c,d"], "any" = [] }
}
path "pki/sign/mail" {
  capabilities = ["update"]
  denied_parameters = { "names" = ["a", "b"] }
}
"""


@pytest.mark.parametrize(
    ("value", "openbao", "vault"),
    [
        ("a", True, True),
        ("x", False, False),
        ("", False, True),
        ([], False, True),
        (["a"], False, True),
        (["a", "b"], False, True),
        (["a", "x"], False, False),
        ("a,b", False, True),
        ("a, b", False, True),
        ("a,x", False, False),
        ("a,a", False, True),
        ("c,d", True, True),
        ("c", False, False),
        (",", False, False),
        (5, False, False),
    ],
)
def test_vault_compares_each_item_with_the_allowed_values_and_none_of_none(
    value: object, *, openbao: bool, vault: bool
) -> None:
    """So an empty text or list passes any list of allowed values there."""
    request = Request(Operation.WRITE, "pki/sign/shop", parameters={"names": value})
    assert _decided(request) == {"openbao-2.7": openbao, "vault-1.21": vault}


@pytest.mark.parametrize(
    ("value", "openbao", "vault"),
    [
        ("a", False, False),
        ("x", True, True),
        ("", True, True),
        ([], True, True),
        (["x", "a"], True, False),
        ("x,a", True, False),
        ("x, a", True, False),
    ],
)
def test_vault_denies_what_has_a_denied_value_among_others(
    value: object, *, openbao: bool, vault: bool
) -> None:
    request = Request(Operation.WRITE, "pki/sign/mail", parameters={"names": value})
    assert _decided(request) == {"openbao-2.7": openbao, "vault-1.21": vault}


def _decided(request: Request) -> dict[str, bool]:
    return {
        dialect.name: decide([parse_policy(LIMITED, "p", dialect=dialect)], request, dialect).allowed
        for dialect in (OPENBAO_2_7, VAULT_1_21)
    }


def test_a_list_passes_a_denial_of_the_path_without_its_slash_until_2_0_3() -> None:
    text = 'path "x/*" { capabilities = ["list"] }\npath "x/+/" { capabilities = ["deny"] }'
    policy = parse_policy(text, "p", dialect=VAULT_1_21)
    assert capabilities([policy], "x/y/", VAULT_1_21) == ["list"]
    assert capabilities([policy], "x/y/", VAULT_2_0) == ["list"]
    assert capabilities([policy], "x/y/", VAULT_2_0_3) == ["deny"]


def test_capabilities_that_only_vault_has_are_shown() -> None:
    policy = parse_policy('path "x" { capabilities = ["subscribe", "recover"] }', "p", dialect=VAULT_1_21)
    assert capabilities([policy], "x", VAULT_1_21) == ["recover", "subscribe"]


def test_a_subscription_is_looked_up_as_a_list_is() -> None:
    """By sys/capabilities: with the last slash of its path, or else without, unlike what is read there."""
    text = 'path "x/y" { capabilities = ["read", "subscribe"] }'
    policy = parse_policy(text, "p", dialect=VAULT_1_21)
    assert capabilities([policy], "x/y/", VAULT_1_21) == ["read", "subscribe"]
    assert decide([policy], Request(Operation.SUBSCRIBE, "x/y/"), VAULT_1_21).allowed
    assert not decide([policy], Request(Operation.READ, "x/y/"), VAULT_1_21).allowed
    nothing, rules = Rules([], dialect=VAULT_1_21), Rules([policy], dialect=VAULT_1_21)
    gains = [(change.witness, set(change.gained)) for change in compared("s", nothing, rules)]
    assert gains == [("x/y", {"read"}), ("x/y", {"subscribe"})]


GROUP = """path "a" {{
  capabilities = ["read", "list"]
  control_group = {{
    factor "ops" {{
      controlled_capabilities = {controlled}
      identity {{
        {groups}
        approvals = 1
      }}
    }}
  }}
}}
"""


@pytest.mark.parametrize(
    ("controlled", "groups", "openbao", "vault"),
    [
        ('["read"]', 'group_names = ["ops"]', True, True),
        ('["update"]', 'group_names = ["ops"]', True, False),
        ('["renew"]', 'group_names = ["ops"]', True, False),
        ("[]", 'group_names = ["ops"]', False, True),
        ('["read"]', 'group_ids = ["1"]', False, True),
    ],
)
def test_a_control_group_of_vault_holds_only_what_its_stanza_grants(
    controlled: str, groups: str, *, openbao: bool, vault: bool
) -> None:
    text = GROUP.format(controlled=controlled, groups=groups)
    assert _taken(text) == {"openbao-2.7": openbao, "vault-1.21": vault}


def test_vault_joins_the_control_groups_of_one_path_in_whatever_order() -> None:
    """vault/acl.go of 1.21.4, NewACL; OpenBao asks nobody once a plain stanza stands before."""
    plain = 'path "a" { capabilities = ["read"] }\n'
    group = GROUP.format(controlled='["read"]', groups='group_names = ["ops"]')
    other = GROUP.format(controlled='["list"]', groups='group_names = ["others"]')
    assert _held(plain + group, Operation.READ) == {"openbao-2.7": False, "vault-1.21": True}
    assert _held(group + plain, Operation.READ) == {"openbao-2.7": True, "vault-1.21": True}
    assert _held(other + group, Operation.READ) == {"openbao-2.7": False, "vault-1.21": True}


def _held(text: str, operation: Operation) -> dict[str, bool]:
    return {
        dialect.name: decide(
            [parse_policy(text, "p", dialect=dialect)], Request(operation, "a"), dialect
        ).reason
        is Reason.HELD
        for dialect in (OPENBAO_2_7, VAULT_1_21)
    }


def test_a_stanza_for_all_events_before_one_for_some_leaves_all() -> None:
    """vault/acl.go of 1.21.4, NewACL: types are only added to types."""
    every = 'path "a" { capabilities = ["subscribe"] }\n'
    some = 'path "a" { capabilities = ["subscribe"] subscribe_event_types = ["kv*"] }\n'
    request = Request(Operation.SUBSCRIBE, "a")
    for text, reason in ((every + some, Reason.GRANTED), (some + every, Reason.EVENTS)):
        policy = parse_policy(text, "p", dialect=VAULT_1_21)
        assert decide([policy], request, VAULT_1_21).reason is reason


def test_what_a_denial_says_of_a_control_group_is_not_looked_at() -> None:
    denial = GROUP.format(controlled='["update"]', groups='group_names = ["ops"]').replace(
        '"read", "list"', '"deny"'
    )
    assert _taken(denial)["vault-1.21"]


def _taken(text: str) -> dict[str, bool]:
    taken = {}
    for dialect in (OPENBAO_2_7, VAULT_1_21):
        try:
            parse_policy(text, "p", dialect=dialect)
            taken[dialect.name] = True
        except PolicyError:
            taken[dialect.name] = False
    return taken


def test_until_2_0_1_a_template_of_vault_is_filled_with_a_wildcard() -> None:
    """An entity whose team is + reads every team's secrets; from then on the server refuses all that its token asks."""
    policy = parse_policy(
        'path "kv/data/{{identity.entity.metadata.team}}/*" { capabilities = ["read"] }', "p"
    )
    somebody = Identity("e1", metadata={"team": "+"})
    wide = {
        name
        for name, dialect in DIALECTS.items()
        if decide([policy], Request(Operation.READ, "kv/data/mail/smtp"), dialect, identity=somebody).allowed
    }
    assert wide == {"openbao-2.5", "vault-1.21", "vault-2.0"}
    slashed = replace(somebody, metadata={"team": "mail/eu"})
    reaching = {
        name
        for name, dialect in DIALECTS.items()
        if decide([policy], Request(Operation.READ, "kv/data/mail/eu/x"), dialect, identity=slashed).allowed
    }
    assert reaching == {name for name in DIALECTS if name not in ("openbao-2.6", "openbao-2.7")}


@pytest.mark.parametrize(
    ("product", "version", "name", "noted"),
    [
        ("OpenBao", (2, 7, 2), "openbao-2.7", ""),
        ("OpenBao", (2, 6, 0), "openbao-2.6", ""),
        ("OpenBao", (2, 5, 9), "openbao-2.5", ""),
        ("OpenBao", (2, 4, 1), "openbao-2.5", "older than 2.5"),
        ("OpenBao", (2, 8, 0), "openbao-2.7", "newer than 2.7"),
        ("HashiCorp Vault", (1, 21, 4), "vault-1.21", ""),
        ("HashiCorp Vault", (1, 20, 4), "vault-1.21", "older than 1.21"),
        ("HashiCorp Vault", (0, 0, 0), "vault-1.21", "older than 1.21"),
        ("HashiCorp Vault", (2, 0, 0), "vault-2.0", ""),
        ("HashiCorp Vault", (2, 0, 2), "vault-2.0.1", ""),
        ("HashiCorp Vault", (2, 0, 3), "vault-2.0.3", ""),
        ("HashiCorp Vault", (2, 1, 1), "vault-2.0.4", ""),
        ("HashiCorp Vault", (2, 2, 9), "vault-2.2.2", ""),
        ("HashiCorp Vault", (2, 3, 0), "vault-2.2.2", "newer than 2.2.2"),
    ],
)
def test_a_servers_dialect_is_the_newest_that_is_not_newer(
    product: str, version: tuple[int, ...], name: str, noted: str
) -> None:
    dialect, note = of_server(product, version)
    assert (dialect.name, noted in note, bool(note)) == (name, True, bool(noted))
