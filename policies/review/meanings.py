"""What it means to have a path, by the usual forms of the engines' APIs. Pure.

A policy says no word about what engine stands at a mount, so a form that fits several is taken for the one that gives the most.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from policies.acl.rules import DENY, Rule


class Meaning(StrEnum):
    BUT_NOT = "but not"
    OWN_TOKEN = "renews and ends its own token"  # noqa: S105 - a meaning, no token
    EVERY_TOKEN = "uses what every token may"  # noqa: S105
    SERVER = "administers the server"
    ENGINES = "administers engines"
    CREDENTIALS = "makes credentials"
    SIGNS = "signs certificates"
    KEYS = "uses keys"
    WRITES = "writes"
    READS = "reads secrets"


_WRITING = frozenset({"create", "update", "patch", "delete"})
_CALLS = frozenset({"create", "update", "patch"})


@dataclass(frozen=True, slots=True)
class _Form:
    """`capabilities`: the path means this with any of them; empty for whichever."""

    meaning: Meaning
    path: str
    capabilities: frozenset[str] = frozenset()


# The first that fits. A mount may have several segments; a wildcard stands for itself.
_FORMS = (
    _Form(Meaning.OWN_TOKEN, r"auth/token/(renew|revoke|lookup)-self|sys/leases/renew"),
    # What the built-in policy `default` gives besides.
    _Form(
        Meaning.EVERY_TOKEN,
        r"sys/(capabilities-self|internal/ui/resultant-acl|renew|leases/lookup|wrapping/(wrap|lookup|unwrap)"
        r"|tools/hash(/[^/]*)?|control-group/request)|cubbyhole/.*",
    ),
    _Form(
        Meaning.CREDENTIALS,
        r"auth/token/create.*|auth/.+/role/[^/]+/(custom-)?secret-id|auth/.+/login(/.*)?|identity/oidc/token/.*",
    ),
    _Form(Meaning.SERVER, r"(sys|auth|identity)(/.*)?|"),
    # Key-value version 2: whatever its secrets are called.
    _Form(Meaning.WRITES, r"[^/]+(/.*)?/(data|metadata|delete|undelete|destroy|subkeys)/.*", _WRITING),
    _Form(Meaning.READS, r"[^/]+(/.*)?/(data|metadata|subkeys)/.*"),
    # All of a mount that has the usual name of its engine: its settings, too.
    _Form(Meaning.ENGINES, r"[^/]*(pki|spiffe|transit|database)[^/]*/[*+].*", _CALLS),
    _Form(Meaning.CREDENTIALS, r"[^/]*database[^/]*/[*+].*"),
    _Form(
        Meaning.KEYS,
        r"[^/]*transit[^/]*/(sign|encrypt|decrypt|rewrap|datakey|hmac|verify|random|hash)(/.*)?"
        r"|[^/]+(/.*)?/(encrypt|decrypt|rewrap|datakey|hmac|verify)/.*",
        _CALLS,
    ),
    _Form(Meaning.CREDENTIALS, r"[^/]+(/.*)?/(creds|static-creds|token|sts|code)/.*"),
    _Form(Meaning.CREDENTIALS, r"[^/]+(/.*)?/(roleset|static-account)/[^/]+/(token|key)"),
    _Form(
        Meaning.SIGNS,
        r"[^/]+(/.*)?/(sign|sign-verbatim|sign-intermediate|sign-self-issued|issue|issuers?|root|intermediate|acme)(/.*)?",
        _WRITING,
    ),
    _Form(
        Meaning.ENGINES,
        r"[^/]+(/.*)?/(config|roles|static-roles|library|roleset|static-account|keys|rotate-root|rotate-role|reset|restore)(/.*)?"
        r"|[^/]+(/.*)?/(revoke|tidy|crl/rotate)",
        _WRITING,
    ),
)
_COMPILED = tuple((form, re.compile(form.path)) for form in _FORMS)


def meaning(rule: Rule) -> Meaning:
    had = rule.capabilities - DENY
    if not had:
        return Meaning.BUT_NOT
    path = str(rule.pattern)
    for form, fits in _COMPILED:
        if (had & form.capabilities or not form.capabilities) and fits.fullmatch(path):
            return form.meaning
    if path in ("*", "+") or path.startswith(("*", "+/")):
        return Meaning.SERVER
    return Meaning.WRITES if had & _WRITING else Meaning.READS
