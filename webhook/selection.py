"""The request and the catalog → the role and its entries that this pod gets, or what is wrong. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from policies.catalog import Certificate, Cluster, Identity, NamespaceCatalog, Role, Secret, ServiceAccount
from webhook.annotations import OPTIONS, PREFIX, FileOptions, InjectionRequest
from webhook.config import LoadedCatalog
from webhook.layout import IDENTITY, secret_path
from webhook.outcome import Misnamed, Problem, first
from webhook.values import EnvEntry, Names
from webhook.wording import clip, listed, quote

Entry = TypeVar("Entry", Secret, Certificate)

ENV_SINCE = (1, 35)  # the kubelet's fileKeyRef


@dataclass(frozen=True, slots=True)
class SecretFile:
    secret: Secret
    options: FileOptions

    @property
    def path(self) -> str:
        """Relative to the folder of files."""
        return secret_path(self.options.file or self.secret.name)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the pod gets, each in the order of names. `modes` are chosen ones by entry name."""

    role: Role
    account: ServiceAccount
    files: tuple[SecretFile, ...]
    certificates: tuple[Certificate, ...]
    identity: Identity | None
    env: tuple[tuple[EnvEntry, Secret], ...]
    modes: Mapping[str, str]

    def expiring(self) -> tuple[str, ...]:
        """What ends by itself, in words for people; empty when all of it stays valid."""
        databases = {item.secret.name for item in self.files if item.secret.engine == "database"}
        return (
            *(f"database account {name}" for name in sorted(databases)),
            *(f"certificate {item.name}" for item in self.certificates),
            *(("identity",) if self.identity else ()),
        )


def choose_role(
    request: InjectionRequest, catalog: LoadedCatalog, namespace: str, service_account: str
) -> tuple[Role, ServiceAccount] | Problem:
    """The role the pod names, or the one that lists its service account ("" is default)."""
    here = catalog.namespaces.get(namespace)
    if here is None or not here.roles:
        return Problem(
            "namespace",
            f"namespace {quote(namespace)} has no role in cluster {catalog.cluster.name}; "
            "add it under runsAs in a role file and have that applied, or check the namespace",
        )
    found = _named(request.role, here) if request.role else _only_role(here, service_account)
    if isinstance(found, Problem):
        return found
    account = found.service_accounts.get(service_account or "default")
    return (found, account) if account else _not_listed(found, service_account)


def _named(name: str, here: NamespaceCatalog) -> Role | Problem:
    role = here.roles.get(name)
    return role or Problem(
        "role",
        f"{PREFIX}role: got {quote(name)}, expected a role of namespace {here.namespace}: "
        f"{listed(here.roles)}",
        Misnamed(name, tuple(here.roles)),
    )


def _given(account: str) -> str:
    return quote(account) if account else 'nothing, so "default"'


def _only_role(here: NamespaceCatalog, account: str) -> Role | Problem:
    fitting = [
        role for _, role in sorted(here.roles.items()) if (account or "default") in role.service_accounts
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return Problem(
            "role",
            f"{PREFIX}role: got nothing, but {len(fitting)} roles list service account "
            f"{quote(account or 'default')}; "
            f"name one of {listed(role.name for role in fitting)}",
        )
    roles = listed(f"{role.name} ({role.source})" for role in here.roles.values())
    accounts = listed({name for role in here.roles.values() for name in role.service_accounts})
    return Problem(
        "service-account",
        f"spec.serviceAccountName: got {_given(account)}, which no role of namespace {here.namespace} lists; "
        f"use one that is listed ({accounts}), or add yours under runsAs in the role file; roles here: {roles}",
    )


def _not_listed(role: Role, account: str) -> Problem:
    return Problem(
        "service-account",
        f"spec.serviceAccountName: got {_given(account)}, but role {role.name} is for {listed(role.service_accounts)}; "
        f"use one of these, or add yours under runsAs in role file {role.source}",
    )


def select(
    request: InjectionRequest, role: Role, account: ServiceAccount, cluster: Cluster
) -> tuple[Selection, list[Problem]]:
    """What the role declares of what is asked → the selection, and everything that is wrong, in a fixed order."""
    secrets = _pick(request.secrets, role.secrets)
    files = tuple(SecretFile(item, request.options.get(item.name, FileOptions())) for item in secrets)
    selection = Selection(
        role=role,
        account=account,
        files=files,
        certificates=_pick(request.certificates, role.certificates),
        identity=account.identity if request.identity else None,
        env=tuple((item, role.secrets[item.entry]) for item in request.env if item.entry in role.secrets),
        modes={name: options.mode for name, options in request.options.items() if options.mode},
    )
    problems = [
        *first(_undeclared("secrets", request.secrets, role, role.secrets)),
        *first(_undeclared("certificates", request.certificates, role, role.certificates)),
        *_identity(request, role, account),
        *first(_env(request, role, cluster)),
        *first(_not_selected(request, selection)),
        *first(_collisions(selection)),
    ]
    return selection, problems


def _pick(names: Names, declared: Mapping[str, Entry]) -> tuple[Entry, ...]:
    wanted = declared if names.everything else set(names.names)
    return tuple(declared[name] for name in sorted(wanted) if name in declared)


def _undeclared(kind: str, names: Names, role: Role, declared: Mapping[str, Entry]) -> Iterator[Problem]:
    if names.everything and not declared:
        yield Problem(
            "undeclared",
            f"{PREFIX}{kind}: got all, but role {role.name} declares no {kind}; "
            f"declare some in role file {role.source}, or remove the annotation",
        )
    known, declares = tuple(declared), listed(declared)
    for name in sorted(set(names.names).difference(declared)):
        joined = len(name.split(maxsplit=1)) > 1
        yield Problem(
            "undeclared",
            f"{PREFIX}{kind}: got {quote(name)}, which role {role.name} does not declare (it declares {declares}); "
            f"to add it, change role file {role.source}{'; separate names by commas' if joined else ''}",
            None if joined else Misnamed(name, known),
        )


def _identity(request: InjectionRequest, role: Role, account: ServiceAccount) -> Iterator[Problem]:
    if request.identity and account.identity is None:
        yield Problem(
            "undeclared",
            f'{PREFIX}identity: got "true", but role {role.name} declares no identity; '
            f"add identity to role file {role.source}, or remove the annotation",
        )


def _env(request: InjectionRequest, role: Role, cluster: Cluster) -> Iterator[Problem]:
    if request.env and cluster.min_kubelet < ENV_SINCE:
        yield Problem(
            "env",
            f"{PREFIX}env: needs kubelets of {_version(ENV_SINCE)}, but cluster {cluster.name} has some of "
            f"{_version(cluster.min_kubelet)}; read files instead ({PREFIX}secrets), or upgrade the nodes",
        )
    allowed = tuple(name for name, entry in role.secrets.items() if entry.env)
    allows = listed(allowed)
    for item in request.env:
        secret = role.secrets.get(item.entry)
        got = f"{PREFIX}env: got {clip(item.variable, 80)}={clip(item.entry, 80)}"
        if secret is None:
            yield Problem(
                "env",
                f"{got}, which role {role.name} does not declare (it allows {allows} in the environment); "
                f"to add it, change role file {role.source}",
                Misnamed(item.entry, allowed),
            )
        elif secret.engine == "database":
            yield Problem(
                "env",
                f"{got}, a database account: it changes while the pod runs, a variable doesn't; "
                f"read it as a file ({PREFIX}secrets)",
            )
        elif not secret.env:
            yield Problem(
                "env",
                f"{got}, which role {role.name} does not allow in the environment; read it as a file "
                f"({PREFIX}secrets), or set env: true for it in role file {role.source}",
            )


def _version(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def _not_selected(request: InjectionRequest, selection: Selection) -> Iterator[Problem]:
    """A setting for something that isn't delivered is a typing error, or a forgotten name."""
    secrets = {item.secret.name for item in selection.files}
    with_mode = secrets | {item.name for item in selection.certificates}
    if request.identity:
        with_mode |= {IDENTITY}
    known = {option: tuple(sorted(with_mode if option == "mode" else secrets)) for option in OPTIONS}
    gets = {option: listed(names) for option, names in known.items()}
    for entry, options in request.options.items():
        for option in OPTIONS:
            selected = with_mode if option == "mode" else secrets
            if getattr(options, option) and entry not in selected:
                yield Problem(
                    "not-selected",
                    f"{PREFIX}{option}.{clip(entry, 80)}: got a setting for {quote(entry)}, which this pod does not get "
                    f"(it gets {gets[option]}); ask for it, or remove the annotation",
                    Misnamed(entry, known[option]),
                )


def _collisions(selection: Selection) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for item in selection.files:
        first = owners.setdefault(item.path, item.secret.name)
        if first != item.secret.name:
            yield Problem(
                "collision",
                f"{PREFIX}file.{item.secret.name}: {first} and {item.secret.name} would both be the file "
                f"{item.path}; give one of them another name with {PREFIX}file.{item.secret.name}",
            )
