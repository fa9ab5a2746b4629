"""What servers and their releases do differently, as data.

Sources: the change logs of OpenBao and Vault; CVE-2026-63131 for `slash_late`, CVE-2026-93335 for `denies_any_case`; Vault's documentation of policies for `blocked`; the
source of Vault 1.21.4 (vault/policy.go, vault/acl.go) for `duplicates`, `each_item`, `controls_granted` and
`controls_joined`.
"""

from dataclasses import dataclass, replace

_EVERYWHERE = frozenset({
    "policy", "capabilities", "allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl",
    "max_wrapping_ttl", "mfa_methods", "comment",
})  # fmt: skip
_OPENBAO = _EVERYWHERE | {"pagination_limit", "expiration", "list_scan_response_keys_filter_path"}
_VAULT = _EVERYWHERE | {"control_group", "subscribe_event_types"}
_CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "sudo", "patch"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """`attributes` and `capabilities`: what a stanza may say. `since`: the first version of the product that decides so.

    `slash_late`: for LIST of `a/b/`, rules with wildcards for `a/b/` are asked before those for `a/b`; older servers did
    it the other way round, so that a broader grant could win over a denial. `duplicates`: an attribute may be set twice.
    `denies_any_case`: a denial of a path is one of it in any case; what a rule of that very case says goes before. `blocked`: what a template may not put into a path.
    `each_item`: where the values of a parameter are limited, each item of a list is compared, and each part of a text with
    commas; an empty one has none to compare, and passes. `controls_granted`: a control group holds only what its stanza grants.
    `controls_joined`: of stanzas with one pattern, all control groups count, in whatever order; else only the first stanza's.
    """

    name: str
    product: str
    since: tuple[int, ...]
    attributes: frozenset[str]
    capabilities: frozenset[str]
    slash_late: bool = True
    duplicates: bool = True
    denies_any_case: bool = False
    blocked: tuple[str, ...] = ()
    each_item: bool = False
    controls_granted: bool = False
    controls_joined: bool = False


OPENBAO_2_5 = Dialect("openbao-2.5", "OpenBao", (2, 5), _OPENBAO, _CAPABILITIES | {"scan"}, slash_late=False)
OPENBAO_2_6 = replace(OPENBAO_2_5, name="openbao-2.6", since=(2, 6), slash_late=True, blocked=("/", "*", "+"))
OPENBAO_2_7 = replace(OPENBAO_2_6, name="openbao-2.7", since=(2, 7), attributes=_OPENBAO | {"control_group"})
VAULT_1_21 = Dialect(
    "vault-1.21",
    "HashiCorp Vault",
    (1, 21),
    _VAULT,
    _CAPABILITIES | {"subscribe", "recover"},
    slash_late=False,
    duplicates=False,
    each_item=True,
    controls_granted=True,
    controls_joined=True,
)
VAULT_2_0 = replace(VAULT_1_21, name="vault-2.0", since=(2, 0))
VAULT_2_0_1 = replace(VAULT_2_0, name="vault-2.0.1", since=(2, 0, 1), blocked=("*", "+"))
VAULT_2_0_3 = replace(VAULT_2_0_1, name="vault-2.0.3", since=(2, 0, 3), slash_late=True)
VAULT_2_0_4 = replace(VAULT_2_0_3, name="vault-2.0.4", since=(2, 0, 4))
VAULT_2_2_2 = replace(VAULT_2_0_4, name="vault-2.2.2", since=(2, 2, 2), denies_any_case=True)

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        OPENBAO_2_7,
        OPENBAO_2_6,
        OPENBAO_2_5,
        VAULT_2_2_2,
        VAULT_2_0_4,
        VAULT_2_0_3,
        VAULT_2_0_1,
        VAULT_2_0,
        VAULT_1_21,
    )
}
NEWEST = OPENBAO_2_7


def of_server(product: str, version: tuple[int, ...]) -> tuple[Dialect, str]:
    """The dialect of a server, and a note where its version is not one of those that are known; else empty.

    Raises KeyError for a product that no dialect is of.
    """
    known = sorted((one for one in DIALECTS.values() if one.product == product), key=lambda one: one.since)
    if not known:
        raise KeyError(product)
    oldest, newest = known[0], known[-1]
    if version < oldest.since:
        return oldest, f"is older than {_dotted(oldest.since)}, the oldest that is known"
    chosen = next(one for one in reversed(known) if one.since <= version)
    newer = version[:2] > newest.since[:2]
    return chosen, f"is newer than {_dotted(newest.since)}, the newest that is known" if newer else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
