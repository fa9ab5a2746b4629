"""The agent's settings: one JSON document in one environment variable. Standard library only.

The webhook writes it, the agent executes it and derives nothing: every path, name and file stands here.
Named tuples, here and in the whole agent: two dozen dataclasses would add a tenth to the start of every pod.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

VERSION = 1
VARIABLE = "PODKEYS_CONFIG"
POD_UID_VARIABLE = "PODKEYS_POD_UID"  # fieldRef metadata.uid
POD_IPS_VARIABLE = "PODKEYS_POD_IPS"  # fieldRef status.podIPs: comma-separated, at most one of each family
MAX_BYTES = 96 * 1024  # Linux ends one variable at 128 KiB; doubled dollar signs need room
ENV_FILE = "variables"  # in the folder `env`: NAME='value' lines, read by the kubelet


class ConfigError(ValueError):
    """The settings are not what this release writes. The message never holds a value."""


class Vault(NamedTuple):
    """`ca_pem` empty: the system's roots. `namespace` empty: the root namespace."""

    address: str
    namespace: str
    ca_pem: str


class Login(NamedTuple):
    """`auth/MOUNT/login` with the role and the projected token: the same call for jwt and kubernetes."""

    mount: str
    role: str
    token_file: str


class Folders(NamedTuple):
    files: str
    env: str
    state: str
    termination_log: str


class Read(NamedTuple):
    """`engine` is kv1, kv2 or database; `path` is the API path below /v1/."""

    engine: str
    path: str


class File(NamedTuple):
    """One rendered file. `source` names a read; `format` is json, dotenv, properties or raw.

    `key`, when not empty, writes that one value and nothing else. `template`, when not empty, is text in which
    `{{ key }}` is substituted. `path` is relative to the folder `files`; `mode` is octal text such as 0440.
    """

    path: str
    source: str
    format: str
    mode: str
    key: str = ""
    template: str = ""


class Variable(NamedTuple):
    """One environment variable: `name` gets the value `key` of the read `source`."""

    name: str
    source: str
    key: str


class CertificateFiles(NamedTuple):
    """File names in a certificate's folder. `combined` (key, then chain) empty: not written."""

    chain: str
    key: str
    ca: str
    combined: str = ""


class Certificate(NamedTuple):
    """One certificate to have signed: `sign` is the API path, `mount` the PKI mount whose issuers are trusted.

    `spiffe_id` empty: a serving certificate. `pod_ip`: the pod's addresses are added.
    `revoke`: the server ends it with the token that asked for it.
    """

    folder: str
    mount: str
    sign: str
    key: str
    usages: tuple[str, ...]
    ttl_seconds: int
    mode: str
    files: CertificateFiles
    dns_names: tuple[str, ...] = ()
    pod_ip: bool = False
    spiffe_id: str = ""
    revoke: bool = False


class OnChange(NamedTuple):
    """After a change of files: POST to http://127.0.0.1:PORT/PATH."""

    port: int
    path: str


class AgentConfig(NamedTuple):
    """`deadline_seconds` bounds the whole of init; `poll_seconds` is the sidecar's period for static secrets.

    `sidecar`: whether one runs in this pod, so that init knows whether to leave the token to it.
    """

    vault: Vault
    login: Login
    folders: Folders
    deadline_seconds: int
    poll_seconds: int
    sidecar: bool
    reads: Mapping[str, Read]
    files: tuple[File, ...] = ()
    env: tuple[Variable, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    on_change: OnChange | None = None


def to_json(config: AgentConfig) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII. The same settings give the same bytes."""
    return json.dumps(_to_dict(config), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> AgentConfig:
    """The variable's text → settings. Raises ConfigError, which names the field and never its value."""
    if len(text.encode(errors="surrogateescape")) > MAX_BYTES:
        raise ConfigError(f"got more than {MAX_BYTES} bytes")
    try:
        top = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("got no JSON, expected what the webhook writes") from None
    if not isinstance(top, dict) or top.get("version") != VERSION:
        raise ConfigError(f"got another version than {VERSION}: webhook and agent must be the same release")
    vault, login, folders = (_take(top, name, dict) for name in ("vault", "login", "folders"))
    reads = _take(top, "reads", dict)
    config = AgentConfig(
        vault=Vault(_take(vault, "address", str), _take(vault, "namespace", str), _take(vault, "caPEM", str)),
        login=Login(_take(login, "mount", str), _take(login, "role", str), _take(login, "tokenFile", str)),
        folders=Folders(*(_take(folders, name, str) for name in ("files", "env", "state", "terminationLog"))),
        deadline_seconds=_take(top, "deadlineSeconds", int),
        poll_seconds=_take(top, "pollSeconds", int),
        sidecar=_take(top, "sidecar", bool),
        reads={name: _read(_take(reads, name, dict)) for name in sorted(reads)},
        files=tuple(_file(item) for item in _items(top, "files")),
        env=tuple(_variable(item) for item in _items(top, "env")),
        certificates=tuple(_certificate(item) for item in _items(top, "certificates")),
        on_change=_on_change(_take(top, "onChange", dict)) if "onChange" in top else None,
    )
    used = {item.source for item in config.files} | {item.source for item in config.env}
    if not used <= set(config.reads):
        raise ConfigError(
            f"files or env use {', '.join(sorted(used - set(config.reads)))}, which is not under reads"
        )
    return config


def _to_dict(config: AgentConfig) -> dict[str, Any]:
    vault, login, folders = config.vault, config.login, config.folders
    document: dict[str, Any] = {
        "version": VERSION,
        "deadlineSeconds": config.deadline_seconds,
        "pollSeconds": config.poll_seconds,
        "sidecar": config.sidecar,
        "vault": {"address": vault.address, "namespace": vault.namespace, "caPEM": vault.ca_pem},
        "login": {"mount": login.mount, "role": login.role, "tokenFile": login.token_file},
        "folders": {
            "files": folders.files,
            "env": folders.env,
            "state": folders.state,
            "terminationLog": folders.termination_log,
        },
        "reads": {name: {"engine": read.engine, "path": read.path} for name, read in config.reads.items()},
        "files": [_file_dict(item) for item in config.files],
        "env": [{"name": item.name, "from": item.source, "key": item.key} for item in config.env],
        "certificates": [_certificate_dict(item) for item in config.certificates],
    }
    if config.on_change:
        document["onChange"] = {"port": config.on_change.port, "path": config.on_change.path}
    return document


def _file_dict(item: File) -> dict[str, str]:
    document = {"path": item.path, "from": item.source, "format": item.format, "mode": item.mode}
    if item.key:
        document["key"] = item.key
    if item.template:
        document["template"] = item.template
    return document


def _certificate_dict(item: Certificate) -> dict[str, Any]:
    names = item.files
    return {
        "folder": item.folder,
        "mount": item.mount,
        "sign": item.sign,
        "key": item.key,
        "usages": list(item.usages),
        "ttlSeconds": item.ttl_seconds,
        "mode": item.mode,
        "files": {"chain": names.chain, "key": names.key, "ca": names.ca, "combined": names.combined},
        "dnsNames": list(item.dns_names),
        "podIP": item.pod_ip,
        "spiffeID": item.spiffe_id,
        "revoke": item.revoke,
    }


def _read(item: Mapping[str, Any]) -> Read:
    return Read(_take(item, "engine", str), _take(item, "path", str))


def _file(item: Mapping[str, Any]) -> File:
    return File(
        path=_take(item, "path", str),
        source=_take(item, "from", str),
        format=_take(item, "format", str),
        mode=_take(item, "mode", str),
        key=_take(item, "key", str) if "key" in item else "",
        template=_take(item, "template", str) if "template" in item else "",
    )


def _variable(item: Mapping[str, Any]) -> Variable:
    return Variable(*(_take(item, name, str) for name in ("name", "from", "key")))


def _certificate(item: Mapping[str, Any]) -> Certificate:
    names = _take(item, "files", dict)
    return Certificate(
        folder=_take(item, "folder", str),
        mount=_take(item, "mount", str),
        sign=_take(item, "sign", str),
        key=_take(item, "key", str),
        usages=_texts(item, "usages"),
        ttl_seconds=_take(item, "ttlSeconds", int),
        mode=_take(item, "mode", str),
        files=CertificateFiles(*(_take(names, name, str) for name in ("chain", "key", "ca", "combined"))),
        dns_names=_texts(item, "dnsNames"),
        pod_ip=_take(item, "podIP", bool),
        spiffe_id=_take(item, "spiffeID", str),
        revoke=_take(item, "revoke", bool),
    )


def _on_change(item: Mapping[str, Any]) -> OnChange:
    return OnChange(_take(item, "port", int), _take(item, "path", str))


def _take(item: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = item.get(key)
    if type(value) is not kind:  # exact: bool is an int too
        raise ConfigError(
            f"{key}: expected {kind.__name__}, got {'nothing' if value is None else type(value).__name__}"
        )
    return value


def _items(item: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    values = _take(item, key, list)
    if not all(isinstance(value, dict) for value in values):
        raise ConfigError(f"{key}: expected a list of objects")
    return values


def _texts(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _take(item, key, list)
    if not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{key}: expected a list of strings")
    return tuple(values)
