"""The bytes of the catalog's files → its types, or what is wrong with them. Standard library only."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from certs.profiles import KEY_TYPES, USAGES, KeyType, Usage
from policies.catalog import (
    AUTH_METHODS,
    ENGINES,
    PLATFORMS,
    VERSION,
    AuthMethod,
    Certificate,
    Cluster,
    Engine,
    Identity,
    Manifest,
    NamespaceCatalog,
    Platform,
    Role,
    Secret,
    ServiceAccount,
)

T = TypeVar("T")

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half a character: it can't be written again
_SHOWN = 80  # characters of what a message quotes


class CatalogError(ValueError):
    """A catalog file is not what the generator writes. The message says where, what was got and expected."""


def parse_namespace(content: bytes) -> NamespaceCatalog:
    """A namespace file's bytes → its catalog. Raises CatalogError."""
    top = _document(content)
    namespace = _take(top, "namespace", str, "")
    roles = _take(top, "roles", dict, "")
    return NamespaceCatalog(
        _take(top, "cluster", str, ""),
        namespace,
        {name: _role(name, _object(roles, name, "roles")) for name in sorted(roles)},
    )


def parse_manifest(content: bytes) -> Manifest:
    """The manifest's bytes → digests by file name. Raises CatalogError."""
    top = _document(content)
    files = _take(top, "files", dict, "")
    return Manifest(
        _take(top, "cluster", str, ""), {name: _take(files, name, str, "files") for name in files}
    )


def parse_cluster(content: bytes) -> Cluster:
    """The bytes of `cluster.json` → the cluster. Raises CatalogError."""
    top = _document(content)
    vault, auth, pki = (_object(top, name, "") for name in ("vault", "auth", "pki"))
    text = _take(top, "minKubeletVersion", str, "")
    version = _VERSION.fullmatch(text)
    if version is None:
        raise CatalogError(f"minKubeletVersion: got {_shown(text)}, expected a version such as 1.35")
    return Cluster(
        name=_take(top, "cluster", str, ""),
        vault_address=_take(vault, "address", str, "vault"),
        vault_namespace=_take(vault, "namespace", str, "vault"),
        ca_pem=_take(vault, "caPEM", str, "vault"),
        auth_method=cast("AuthMethod", _one_of(auth, "method", AUTH_METHODS, "auth")),
        auth_mount=_take(auth, "mount", str, "auth"),
        audience=_take(auth, "audience", str, "auth"),
        serving_mount=_take(pki, "serving", str, "pki"),
        identity_mount=_take(pki, "identity", str, "pki"),
        min_kubelet=(int(version[1]), int(version[2])),
        platform=cast("Platform", _one_of(top, "platform", PLATFORMS, "")),
    )


def _role(name: str, item: Mapping[str, Any]) -> Role:
    at = f"roles.{_short(name)}"
    accounts, secrets, certificates = (
        _object(item, key, at) for key in ("serviceAccounts", "secrets", "certificates")
    )
    return Role(
        name=name,
        source=_take(item, "source", str, at),
        owner=_take(item, "owner", str, at),
        service_accounts={n: _account(n, _object(accounts, n, at), at) for n in sorted(accounts)},
        secrets={n: _secret(n, _object(secrets, n, at), at) for n in sorted(secrets)},
        certificates={n: _certificate(n, _object(certificates, n, at), at) for n in sorted(certificates)},
    )


def _account(name: str, item: Mapping[str, Any], at: str) -> ServiceAccount:
    at = f"{at}.serviceAccounts.{_short(name)}"
    identity = None
    if "identity" in item:
        found = _object(item, "identity", at)
        identity = Identity(
            _take(found, "sign", str, at),
            _take(found, "spiffeID", str, at),
            _take(found, "ttlSeconds", int, at),
        )
    return ServiceAccount(name, _take(item, "authRole", str, at), identity)


def _secret(name: str, item: Mapping[str, Any], at: str) -> Secret:
    at = f"{at}.secrets.{_short(name)}"
    engine = cast("Engine", _one_of(item, "engine", ENGINES, at))
    env = engine != "database" and _take(item, "env", bool, at)
    return Secret(name, engine, _take(item, "path", str, at), env)


def _certificate(name: str, item: Mapping[str, Any], at: str) -> Certificate:
    at = f"{at}.certificates.{_short(name)}"
    usages = _texts(item, "usages", at)
    if not set(usages) <= set(USAGES):
        raise CatalogError(f"{at}.usages: got {_short(str(usages))}, expected some of {list(USAGES)}")
    return Certificate(
        name=name,
        sign=_take(item, "sign", str, at),
        dns_names=_texts(item, "dnsNames", at),
        pod_ip=_take(item, "podIP", bool, at),
        key=cast("KeyType", _one_of(item, "key", KEY_TYPES, at)),
        ttl_seconds=_take(item, "ttlSeconds", int, at),
        usages=cast("tuple[Usage, ...]", usages),
        revoke=_take(item, "revoke", bool, at),
    )


def _document(content: bytes) -> dict[str, Any]:
    if _SURROGATE.search(content):
        raise CatalogError(
            "got the escape of a surrogate, expected UTF-8, as `podkeys policies generate` writes it"
        )
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CatalogError(
            f"got no JSON ({error}), expected what `podkeys policies generate` writes"
        ) from None
    if not isinstance(value, dict):
        raise CatalogError(f"got a {type(value).__name__}, expected a JSON object")
    if value.get("version") != VERSION:
        raise CatalogError(
            f"version: got {_shown(value.get('version'))}, expected {VERSION}; generate with this release"
        )
    return value


def _shown(value: object) -> str:
    """A list or an object could be as large as the file, and deeper than repr goes."""
    return type(value).__name__ if isinstance(value, list | dict) else _short(repr(value))


def _short(text: str) -> str:
    """On one line of a log."""
    plain = ascii(text)[1:-1] if not text.isprintable() else text
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 3]}..."


def _take(item: Mapping[str, Any], key: str, kind: type[T], at: str) -> T:
    value = item.get(key)
    if type(value) is not kind:  # exact: bool is an int too
        where = f"{at}.{_short(key)}" if at else _short(key)
        got = "nothing" if key not in item else type(value).__name__
        raise CatalogError(f"{where}: got {got}, expected {kind.__name__}")
    return value


def _object(item: Mapping[str, Any], key: str, at: str) -> dict[str, Any]:
    return _take(item, key, dict, at)


def _texts(item: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
    values = _take(item, key, list, at)
    if not all(isinstance(value, str) for value in values):
        raise CatalogError(f"{at}.{key}: expected a list of strings")
    return tuple(values)


def _one_of(item: Mapping[str, Any], key: str, allowed: tuple[str, ...], at: str) -> str:
    value = _take(item, key, str, at)
    if value not in allowed:
        raise CatalogError(f"{at}.{key}: got {_shown(value)}, expected one of {', '.join(allowed)}")
    return value
