"""One role in one place → its files and its entry in the catalog. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from policies import catalog, names
from policies.generate import logins, pki
from policies.generate.hcl import OWN_TOKEN, Header, Stanza, policy
from policies.roles.checks import api_path, expand
from policies.roles.types import Cluster, RunsAs, ServiceRole

_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class RoleFiles:
    """`files` are by path relative to the tree; `entry` is the role as the catalog of its namespace holds it."""

    files: dict[str, bytes]
    entry: catalog.Role


def generate(cluster: Cluster, role: ServiceRole, place: RunsAs) -> RoleFiles:
    folder = f"{place.cluster}/{place.namespace}/{role.name}"
    entry = _entry(cluster, role, place)
    written = [("policy.hcl", _role_policy(cluster, role, place, entry))]
    for account in place.service_accounts:
        written += _account_files(cluster, role, place, entry.service_accounts[account])
    for certificate in role.certificates:
        path = _pki_role(entry.certificates[certificate.name].sign)
        written.append(
            (f"pki.{certificate.name}.json", _json(role, path, pki.serving_role(cluster, place, certificate)))
        )
    return RoleFiles({f"{folder}/{name}": content for name, content in written}, entry)


def dumps(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The bytes of `catalog.to_bytes`, many times faster."""
    return orjson.dumps(value, option=_INDENTED)


def _account_files(
    cluster: Cluster, role: ServiceRole, place: RunsAs, account: catalog.ServiceAccount
) -> Iterator[tuple[str, bytes]]:
    login = logins.login(cluster, role, place, account.name)
    yield f"auth.{account.name}.json", _json(role, logins.path(cluster, account.auth_role), login)
    if role.identity and account.identity:
        sign = account.identity.sign
        stanza = pki.identity_stanza(cluster, place, account.name, role.identity.ttl, sign)
        name = names.identity_policy(place.cluster, place.namespace, role.name, account.name)
        yield f"policy.{account.name}.hcl", policy(_header(role, place, name), [stanza])
        fields = pki.identity_role(cluster, place, account.name, role.identity)
        yield f"identity.{account.name}.json", _json(role, _pki_role(sign), fields)


def _pki_role(sign: str) -> str:
    """Where the role stands that `MOUNT/sign/ROLE` uses."""
    mount, _, name = sign.rpartition("/sign/")
    return f"{mount}/roles/{name}"


def _role_policy(cluster: Cluster, role: ServiceRole, place: RunsAs, entry: catalog.Role) -> bytes:
    stanzas = [
        Stanza(
            f"{'database' if secret.engine == 'database' else 'secret'} {secret.name}", secret.path, "read"
        )
        for secret in entry.secrets.values()
    ]
    for certificate in role.certificates:
        sign = entry.certificates[certificate.name].sign
        stanzas.append(pki.serving_stanza(cluster, place, certificate, sign))
    if logins.needs_service_token(role):
        stanzas += OWN_TOKEN
    name = names.role_policy(place.cluster, place.namespace, role.name)
    return policy(_header(role, place, name), stanzas)


def _header(role: ServiceRole, place: RunsAs, name: str) -> Header:
    """The digest is of what the role is here: another cluster's lines don't change it."""
    here = orjson.dumps(
        [role.name, role.owner, place, role.secrets, role.databases, role.certificates, role.identity],
        option=orjson.OPT_SORT_KEYS,
    )
    return Header(name, role.source, role.owner, hashlib.sha256(here).hexdigest())


def _json(role: ServiceRole, path: str, fields: dict[str, Any]) -> bytes:
    return dumps({"generatedFrom": role.source, "path": path, "data": fields})


def _entry(cluster: Cluster, role: ServiceRole, place: RunsAs) -> catalog.Role:
    secrets = [
        catalog.Secret(entry.name, entry.engine, expand(api_path(entry), place), entry.env)
        for entry in role.secrets
    ]
    secrets += [catalog.Secret(entry.name, "database", expand(entry.path, place)) for entry in role.databases]
    accounts = [_account(cluster, role, place, name) for name in place.service_accounts]
    return catalog.Role(
        name=role.name,
        source=role.source,
        owner=role.owner,
        service_accounts={
            account.name: account for account in sorted(accounts, key=lambda account: account.name)
        },
        secrets={secret.name: secret for secret in sorted(secrets, key=lambda secret: secret.name)},
        certificates=_certificates(cluster, role, place),
    )


def _account(cluster: Cluster, role: ServiceRole, place: RunsAs, name: str) -> catalog.ServiceAccount:
    identity = None
    if role.identity:
        signer = names.identity_pki_role(place.namespace, role.name, name)
        sign = f"{cluster.identity_mount}/sign/{signer}"
        identity = catalog.Identity(sign, pki.svid_id(cluster, place, name), role.identity.ttl)
    return catalog.ServiceAccount(name, names.auth_role(place.namespace, role.name, name), identity)


def _certificates(cluster: Cluster, role: ServiceRole, place: RunsAs) -> dict[str, catalog.Certificate]:
    found = {}
    for entry in sorted(role.certificates, key=lambda entry: entry.name):
        signer = names.serving_pki_role(place.namespace, role.name, entry.name)
        found[entry.name] = catalog.Certificate(
            name=entry.name,
            sign=f"{cluster.serving_mount}/sign/{signer}",
            dns_names=pki.dns_names(cluster, place, entry),
            pod_ip=entry.pod_ip,
            key=entry.key,
            ttl_seconds=entry.ttl,
            usages=entry.usages,
            revoke=entry.revoke,
        )
    return found
