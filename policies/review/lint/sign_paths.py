"""Who else may have something signed with a PKI role of ours. Pure.

What a generated stanza allows as parameters is a limit of its own: OpenBao's PKI roles hold most of it a second time, HashiCorp
Vault's hold neither when a certificate ends nor whose addresses it has.
"""

import re
from collections.abc import Iterator

from policies.acl.paths import Kind, Pattern
from policies.names import policy_place
from policies.review.lint.engine_paths import under
from policies.review.lint.finding import Hit, at
from policies.review.lint.overlap import Heads
from policies.review.lint.reach import CALLS, had, is_open, patterns, reached
from policies.review.lint.tree import Grant, Tree

_SIGN = re.compile(r"(?P<mount>[^+*{]+)/sign/podkeys\.(?P<namespace>[^./+*{]+)\.[^/+*{]+")


def other_grants(tree: Tree) -> Iterator[Hit]:
    """Grants of a sign path of ours besides the generated one, and a generated one without limits."""
    calls = [grant for grant in tree.grants if grant.has(*CALLS) and not grant.denies]
    own = {str(grant.aims): grant for grant in calls if _is_own(grant)}
    aims = patterns(*sorted({*own, *(signer.sign for signer in tree.signers)}))
    exact, heads = frozenset(aims), Heads(aims)
    for grant in calls:
        if _is_own(grant):
            if not _is_limited(grant):
                yield _unlimited(grant)
            continue
        path = reached(grant, _near(grant, exact, heads, aims))
        if path and not _is_covered(grant, path):
            yield _another(grant, path, own.get(path))


def _near(
    grant: Grant, exact: frozenset[Pattern], heads: Heads, aims: tuple[Pattern, ...]
) -> tuple[Pattern, ...]:
    """Those that it may match; a path without wildcards, as most are, matches itself alone."""
    if grant.aims.kind is Kind.EXACT:
        return (grant.aims,) if grant.aims in exact else ()
    return tuple(aims[number] for number in sorted(heads.near(grant.aims)))


def _is_own(grant: Grant) -> bool:
    """Whether the generator wrote it for the namespace that its PKI role is named after."""
    signs = _SIGN.fullmatch(str(grant.aims))
    place = policy_place(grant.of.file.name)
    return bool(signs and place and grant.of.generated and place[1] == signs["namespace"])


def _is_limited(grant: Grant) -> bool:
    allowed = grant.stanza.constraints.allowed or {}
    return bool(allowed) and "*" not in allowed


def _is_covered(grant: Grant, path: str) -> bool:
    """By PK101 or PK112: what reaches all mounts, or signs without any role."""
    signs = _SIGN.fullmatch(path)
    first = grant.aims.stem.partition(b"/")[0]
    wider = under(signs["mount"], "sign-verbatim*") if signs else patterns()
    return is_open(grant.aims) or first == b"+" or reached(grant, wider) is not None


def _unlimited(grant: Grant) -> Hit:
    return at(
        grant,
        f'got "{grant.stanza.path}" without a limit on its parameters, expected allowed_parameters as they are generated: else its '
        "token gets signed whatever the PKI role takes",
        "run `podkeys policies generate`",
    )


def _another(grant: Grant, path: str, own: Grant | None) -> Hit:
    where = f", which {own.of.file.file}:{own.stanza.line} limits" if own else ""
    return at(
        grant,
        f'got {had(grant, CALLS)} on "{grant.stanza.path}", which reaches {path}{where}; expected no other grant of a path that a role '
        "file has signed: whoever has this one asks for other names, addresses or lives",
        "remove the stanza, or name the paths that are really needed; what a workload has signed is declared in its role file",
    )
