"""Small trees and facts of a cluster where all is well, for tests to change one thing of."""

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import keys, pem
from cluster.generated import Tree
from cluster.server_facts import Signer
from policies.catalog import Certificate, Cluster, Identity, NamespaceCatalog, Role, Secret, ServiceAccount

NOW = dt.datetime(2026, 11, 25, 12, 0, 0, tzinfo=dt.UTC)
SVID = "spiffe://east.example.com/ns/shop/sa/api"
CLUSTER = Cluster(
    name="east",
    vault_address="https://vault.example.com:8200",
    vault_namespace="",
    ca_pem="",
    auth_method="jwt",
    auth_mount="jwt-east",
    audience="vault",
    serving_mount="pki-east",
    identity_mount="spiffe-east",
    min_kubelet=(1, 33),
    platform="kubernetes",
)


def tree(*secret_entries: Secret, files: Mapping[str, str] | None = None, **changes: object) -> Tree:
    """One role in namespace shop, for service account api, with one certificate and an identity of an hour each."""
    cluster = replace(CLUSTER, **cast("Any", changes))
    serving, identity = cluster.serving_mount, cluster.identity_mount
    sign = f"{serving}/sign/podkeys.shop.shop.web"
    certificate = Certificate(
        "web",
        sign,
        ("shop.shop", "shop.shop.svc"),
        pod_ip=True,
        key="ec-p256",
        ttl_seconds=3600,
        usages=("server",),
        revoke=True,
    )
    account = ServiceAccount(
        "api", "podkeys.shop.shop.api", Identity(f"{identity}/sign/podkeys.shop.shop.api", SVID, 3600)
    )
    entries = secret_entries or (Secret("card", "kv2", "kv/data/shop/card"),)
    role = Role(
        "shop",
        "shop.yaml",
        "team-shop",
        {"api": account},
        {item.name: item for item in entries},
        {"web": certificate},
    )
    catalog = NamespaceCatalog(cluster.name, "shop", {"shop": role})
    return Tree(cluster, {"shop": catalog}, files or {})


def certificate(
    subject: str,
    *,
    days: float = 365,
    ca: bool = True,
    names: tuple[x509.GeneralName, ...] = (),
    start: dt.datetime = NOW - dt.timedelta(days=1),
    by: tuple[x509.Certificate, keys.PrivateKey] | None = None,
) -> tuple[x509.Certificate, keys.PrivateKey]:
    """A certificate and its key, signed by `by` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    issuer, signing = (name, key) if by is None else (by[0].subject, by[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(64))
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing, hashes.SHA256()), key


def signer(
    found: x509.Certificate, name: str = "root", *, has_key: bool = True, is_default: bool = True
) -> Signer:
    return Signer(name, pem.to_pem(found).decode(), has_key, is_default)
