"""What servers and their releases do differently, as data.

Sources: the change logs of OpenBao and Vault; CVE-2026-63131 for `slash_late`.
"""

from dataclasses import dataclass

_EVERYWHERE = frozenset({
    "policy", "capabilities", "allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl",
    "max_wrapping_ttl", "mfa_methods", "comment",
})  # fmt: skip
_OPENBAO = _EVERYWHERE | {"pagination_limit", "expiration", "list_scan_response_keys_filter_path"}
_VAULT = _EVERYWHERE | {"control_group", "subscribe_event_types"}
_CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "sudo", "patch"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """`attributes` and `capabilities`: what a stanza may say.

    `slash_late`: for LIST of `a/b/`, rules with wildcards for `a/b/` are asked before those for `a/b`; older servers did
    it the other way round, so that a broader grant could win over a denial. `duplicates`: an attribute may be set twice.
    `any_case`: `Deny` is `deny`. `blocked`: what a template may not put into a path.
    """

    name: str
    attributes: frozenset[str]
    capabilities: frozenset[str]
    slash_late: bool = True
    duplicates: bool = True
    any_case: bool = False
    blocked: tuple[str, ...] = ()


OPENBAO_2_7 = Dialect(
    "openbao-2.7",
    _OPENBAO | {"control_group"},
    _CAPABILITIES | {"scan"},
    blocked=("/", "*", "+"),
)
OPENBAO_2_6 = Dialect("openbao-2.6", _OPENBAO, _CAPABILITIES | {"scan"}, blocked=("/", "*", "+"))
OPENBAO_2_5 = Dialect("openbao-2.5", _OPENBAO, _CAPABILITIES | {"scan"}, slash_late=False)
VAULT_2_0_4 = Dialect("vault-2.0.4", _VAULT, _CAPABILITIES | {"subscribe", "recover"}, duplicates=False)
VAULT_2_0_3 = Dialect("vault-2.0.3", _VAULT, _CAPABILITIES | {"subscribe", "recover"})
VAULT_2_0 = Dialect("vault-2.0", _VAULT, _CAPABILITIES | {"subscribe", "recover"}, slash_late=False)
VAULT_2_2_2 = Dialect(
    "vault-2.2.2", _VAULT, _CAPABILITIES | {"subscribe", "recover"}, duplicates=False, any_case=True
)

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        OPENBAO_2_7,
        OPENBAO_2_6,
        OPENBAO_2_5,
        VAULT_2_2_2,
        VAULT_2_0_4,
        VAULT_2_0_3,
        VAULT_2_0,
    )
}
NEWEST = OPENBAO_2_7
