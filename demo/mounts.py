"""The mounts that one cluster has on a server, made fresh: what the demo, the tests and the benchmarks start from."""

from dataclasses import dataclass

from demo.openbao import Server
from demo.service_accounts import Issuer


@dataclass(frozen=True)
class Mounts:
    """Key-value 2 and 1, two PKI mounts each with its own root, and a jwt mount that trusts `issuer`."""

    kv: str
    kv1: str
    serving: str
    identity: str
    jwt: str
    issuer: Issuer


def create(server: Server, names: Mounts) -> None:
    server.call("POST", f"sys/mounts/{names.kv}", {"type": "kv", "options": {"version": "2"}})
    server.call("POST", f"sys/mounts/{names.kv1}", {"type": "kv", "options": {"version": "1"}})
    for mount in (names.serving, names.identity):
        server.call("POST", f"sys/mounts/{mount}", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
        server.call(
            "POST",
            f"{mount}/root/generate/internal",
            {
                "common_name": f"{mount} root",
                "key_type": "ec",
                "key_bits": 256,
                "ttl": "87600h",
                "not_before_duration": "1h",
            },
        )
    server.call("POST", f"sys/auth/{names.jwt}", {"type": "jwt"})
    server.call(
        "POST",
        f"auth/{names.jwt}/config",
        {
            "jwt_validation_pubkeys": [names.issuer.public_pem],
            "bound_issuer": names.issuer.url,
            "jwt_supported_algs": ["ES256"],
        },
    )


def remove(server: Server, names: Mounts) -> None:
    for path in (names.kv, names.kv1, names.serving, names.identity):
        server.call("DELETE", f"sys/mounts/{path}")
    server.call("DELETE", f"sys/auth/{names.jwt}")
