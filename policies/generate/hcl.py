"""Policies as text: concrete paths, the fewest capabilities, and above each stanza the entry that asked for it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from policies.names import MARK


@dataclass(frozen=True, slots=True)
class Stanza:
    """`allowed`: parameter → its allowed values, none for any; with it, other parameters are refused. `denied`: values that none may have."""

    asked_by: str
    path: str
    capability: str
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    denied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """`digest` is of the parsed role, so that a changed comment changes no policy."""

    policy: str
    source: str
    owner: str
    digest: str


OWN_TOKEN = (
    Stanza("the agent: its token lives on while the pod does", "auth/token/renew-self", "update"),
    Stanza("the agent: its leases end with the pod", "auth/token/revoke-self", "update"),
    Stanza("the agent: how long its token still lives", "auth/token/lookup-self", "read"),
    Stanza("the agent: database accounts live on while the pod does", "sys/leases/renew", "update"),
)


def policy(header: Header, stanzas: Iterable[Stanza]) -> bytes:
    top = (
        f"{MARK} by `podkeys policies generate`: change the role file, not this one\n"
        f"# policy: {header.policy}\n"
        f"# source: {header.source}\n"
        f"# owner:  {header.owner}\n"
        f"# digest: sha256:{header.digest}\n"
    )
    return (top + "".join(f"\n{_text(stanza)}" for stanza in _joined(stanzas))).encode()


def _joined(stanzas: Iterable[Stanza]) -> list[Stanza]:
    """Two entries may read one path; a policy says each path once."""
    found: dict[str, Stanza] = {}
    for stanza in stanzas:
        other = found.get(stanza.path)
        asked_by = f"{other.asked_by}; {stanza.asked_by}" if other else stanza.asked_by
        found[stanza.path] = replace(stanza, asked_by=asked_by)
    return list(found.values())


def _text(stanza: Stanza) -> str:
    lines = [
        f"# {stanza.asked_by}",
        f"path {_quoted(stanza.path)} {{",
        f'  capabilities = ["{stanza.capability}"]',
    ]
    for attribute, parameters in (
        ("allowed_parameters", stanza.allowed),
        ("denied_parameters", stanza.denied),
    ):
        if parameters:
            lines.append(f"  {attribute} = {{")
            lines += [f"    {_quoted(name)} = {_list(values)}" for name, values in sorted(parameters.items())]
            lines.append("  }")
    if stanza.required:
        lines.append(f"  required_parameters = {_list(stanza.required)}")
    return "\n".join([*lines, "}", ""])


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, values))}]"


def _quoted(text: str) -> str:
    """Paths and names hold no quote, backslash or brace (the parser saw to it); JSON's quotes are HCL's then."""
    return json.dumps(text)
