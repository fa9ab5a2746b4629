"""A real database in the cluster, and its engine in OpenBao, whose accounts have leases."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.installation import Installation
from tests.e2e.kubectl import Json, apply, get, kubectl

PORT = 6379
# Its root lets in everybody who is in the cluster: there is nothing in it but accounts.
SERVER = ["redis-server", "--save", "", "--protected-mode", "no", "--dir", "/tmp"]  # noqa: S108 - in its container


def redis() -> Json:
    container = {
        "name": "redis",
        "image": "localhost/openbao:e2e",
        "imagePullPolicy": "IfNotPresent",
        "command": SERVER,
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    metadata = {"name": "redis", "namespace": "vault"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


@contextmanager
def database(installation: Installation) -> Iterator[None]:
    """While it stands, `database/creds/orders` makes accounts that may read."""
    apply(redis())
    try:
        kubectl("-n", "vault", "wait", "--for=condition=Ready", "pod/redis", "--timeout=90s")
        connection = {
            "plugin_name": "redis-database-plugin",
            "host": get("pod", "vault", "redis")["status"]["podIP"],
            "port": PORT,
            "username": "default",
            "password": "any",
            "allowed_roles": "orders",
        }
        role = {
            "db_name": "redis",
            "creation_statements": '["~*", "+@read"]',
            "default_ttl": "1h",
            "max_ttl": "24h",
        }
        installation.call("POST", "sys/mounts/database", {"type": "database"})
        installation.call("POST", "database/config/redis", connection)
        installation.call("POST", "database/roles/orders", role)
        yield
    finally:
        installation.call("DELETE", "sys/mounts/database")
        kubectl("-n", "vault", "delete", "pod", "redis")


def accounts() -> set[str]:
    """The names of all accounts that the database has now."""
    words = ("exec", "redis", "-c", "redis", "--", "redis-cli", "ACL", "USERS")
    return set(kubectl("-n", "vault", *words).stdout.split())
