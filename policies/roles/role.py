"""One role file → a ServiceRole, with all that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node

from certs.profiles import KEY_TYPES, USAGES
from policies.catalog import Engine
from policies.roles import texts
from policies.roles.fields import Fields, header, unique
from policies.roles.types import Certificate, Database, Identity, RunsAs, Secret, ServiceRole

KIND = "ServiceRole"
DEFAULT_CERTIFICATE_TTL = 3600

SECRET_ENGINES: tuple[Engine, ...] = ("kv2", "kv1")


@dataclass(frozen=True, slots=True)
class Draft:
    """A role that may have blanks where `fields` holds problems: checks see it before it counts."""

    role: ServiceRole
    fields: Fields


def parse(file: str, source: str, document: MappingNode) -> Draft:
    """`file` as the user opens it, `source` as generated files name it."""
    fields = Fields(file)
    top = fields.mapping(document, "", ("apiVersion", "kind", "metadata", "spec"))
    header(fields, top, KIND)
    metadata = _group(fields, top, "metadata", ("name", "owner"))
    spec = _group(fields, top, "spec", ("runsAs",), ("secrets", "databases", "certificates", "identity"))
    role = ServiceRole(
        name=fields.text(metadata.get("name"), "metadata.name", texts.own_name),
        owner=fields.text(metadata.get("owner"), "metadata.owner", texts.owner),
        source=source,
        runs_as=tuple(_runs_as(fields, spec.get("runsAs"))),
        secrets=tuple(_secrets(fields, spec.get("secrets"))),
        databases=tuple(_databases(fields, spec.get("databases"))),
        certificates=tuple(_certificates(fields, spec.get("certificates"))),
        identity=_identity(fields, spec["identity"]) if "identity" in spec else None,
    )
    _check_names(fields, role)
    return Draft(role, fields)


def _group(
    fields: Fields,
    top: Mapping[str, Node],
    name: str,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
) -> dict[str, Node]:
    return fields.mapping(top[name], name, required, optional) if name in top else {}


def _runs_as(fields: Fields, node: Node | None) -> Iterator[RunsAs]:
    for at, item in fields.items(node, "spec.runsAs", needed=True):
        found = fields.mapping(item, at, ("cluster", "namespace", "serviceAccounts"))
        yield RunsAs(
            fields.text(found.get("cluster"), f"{at}.cluster", texts.own_name),
            fields.text(found.get("namespace"), f"{at}.namespace", texts.namespace),
            fields.texts(found.get("serviceAccounts"), f"{at}.serviceAccounts", texts.label),
        )


def _secrets(fields: Fields, node: Node | None) -> Iterator[Secret]:
    for at, item in fields.items(node, "spec.secrets"):
        found = fields.mapping(item, at, ("name", "path"), ("mount", "engine", "env"))
        engine, mount, path = key_value(fields, found, at)
        yield Secret(
            fields.text(found.get("name"), f"{at}.name", texts.own_name),
            engine,
            mount,
            path,
            fields.flag(found.get("env"), f"{at}.env"),
        )


def key_value(fields: Fields, found: Mapping[str, Node], at: str) -> tuple[Engine, str, str]:
    """Engine, mount, and path below the mount, of an entry as `vault kv get` takes it."""
    engine = fields.word(found.get("engine"), f"{at}.engine", SECRET_ENGINES, "kv2")
    mount, path = _mount_and_path(fields, found, at)
    if engine == "kv2" and "mount" not in found and path.split("/")[0] in {"data", "metadata"}:
        fields.report(
            f"{at}.path",
            f"got {mount + '/' + path!r}, expected what `vault kv get` takes, without data/; "
            f"if the secret's own path begins so, write mount: {mount}, path: {path}",
        )
    return engine, mount, path


def _mount_and_path(fields: Fields, found: Mapping[str, Node], at: str) -> tuple[str, str]:
    path = fields.text(found.get("path"), f"{at}.path", texts.path)
    if "mount" in found:
        mount = fields.text(found["mount"], f"{at}.mount", texts.mount)
        if mount and path.startswith(f"{mount}/"):
            fields.report(
                f"{at}.path",
                f"got {path!r}, expected the path below the mount {mount}; leave the mount out of it",
            )
        return mount, path
    mount, slash, below = path.partition("/")
    if path and not slash:
        fields.report(f"{at}.path", f"got {path!r}, expected MOUNT/PATH, such as kv/payments/stripe")
    elif path and texts.mount(mount):
        fields.report(f"{at}.path", f"got {path!r}, expected to begin with {texts.mount(mount)}")
    return mount, below


def _databases(fields: Fields, node: Node | None) -> Iterator[Database]:
    for at, item in fields.items(node, "spec.databases"):
        found = fields.mapping(item, at, ("name", "path"))
        yield Database(
            fields.text(found.get("name"), f"{at}.name", texts.own_name),
            fields.text(found.get("path"), f"{at}.path", texts.database_path),
        )


def _certificates(fields: Fields, node: Node | None) -> Iterator[Certificate]:
    for at, item in fields.items(node, "spec.certificates"):
        found = fields.mapping(item, at, ("name", "services"), ("podIP", "ttl", "usages", "key", "revoke"))
        usages = fields.words(found["usages"], f"{at}.usages", USAGES) if "usages" in found else USAGES[:1]
        yield Certificate(
            name=fields.text(found.get("name"), f"{at}.name", texts.own_name),
            services=fields.texts(found.get("services"), f"{at}.services", texts.label),
            pod_ip=fields.flag(found.get("podIP"), f"{at}.podIP"),
            ttl=fields.seconds(found.get("ttl"), f"{at}.ttl", texts.ttl, DEFAULT_CERTIFICATE_TTL),
            usages=usages,
            key=fields.word(found.get("key"), f"{at}.key", KEY_TYPES, "ec-p256"),
            revoke=fields.flag(found.get("revoke"), f"{at}.revoke"),
        )


def _identity(fields: Fields, node: Node) -> Identity:
    found = fields.mapping(node, "spec.identity", ("ttl",))
    return Identity(fields.seconds(found.get("ttl"), "spec.identity.ttl", texts.ttl))


def _check_names(fields: Fields, role: ServiceRole) -> None:
    readable = {f"spec.secrets[{i}].name": entry.name for i, entry in enumerate(role.secrets)}
    readable |= {f"spec.databases[{i}].name": entry.name for i, entry in enumerate(role.databases)}
    unique(fields, readable, "a name of its own among secrets and databases")
    certificates = {f"spec.certificates[{i}].name": entry.name for i, entry in enumerate(role.certificates)}
    unique(fields, certificates, "a name of its own among certificates")
    declares = role.secrets or role.databases or role.certificates or role.identity
    if not declares and not fields.is_wrong("spec"):
        fields.report(
            "spec", "got a role that declares nothing, expected secrets, databases, certificates or identity"
        )
