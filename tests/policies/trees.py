"""Generated trees made by hand, on the mounts of one test: a service role with a login, a certificate and an SVID."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.mounts import Mounts
from policies import names
from policies.catalog import Cluster, cluster_json, to_bytes


def cluster(
    mounts: Mounts, address: str, *, name: str = "east", method: str = "jwt", **changes: object
) -> Cluster:
    fields: dict[str, Any] = {
        "name": name,
        "vault_address": address,
        "vault_namespace": "",
        "ca_pem": "",
        "auth_method": method,
        "auth_mount": mounts.jwt,
        "audience": "vault",
        "serving_mount": mounts.serving,
        "identity_mount": mounts.identity,
        "min_kubelet": (1, 35),
        "platform": "kubernetes",
    }
    return Cluster(**{**fields, **changes})


@dataclass(frozen=True)
class Tree:
    """`generated/<cluster>/` below `top`."""

    top: Path
    cluster: Cluster

    @property
    def root(self) -> Path:
        return self.top / self.cluster.name

    def start(self) -> "Tree":
        (self.root / "catalog").mkdir(parents=True)
        (self.root / "catalog" / "manifest.json").write_bytes(to_bytes({"cluster": self.cluster.name}))
        (self.root / "catalog.configmap.yaml").write_bytes(b"kind: ConfigMap\n")
        (self.root / "cluster.json").write_bytes(to_bytes(cluster_json(self.cluster)))
        return self

    def role(self, namespace: str, role: str, *, account: str = "api", entry: str = "stripe") -> Path:
        """Write a whole service role; returns its folder."""
        folder = self.root / namespace / role
        folder.mkdir(parents=True)
        of = self.cluster
        policy = names.role_policy(of.name, namespace, role)
        identity = names.identity_policy(of.name, namespace, role, account)
        (folder / "policy.hcl").write_text(policy_text(f"kv/data/{namespace}/{entry}", name=policy))
        sign = f"{of.identity_mount}/sign/{names.identity_pki_role(namespace, role, account)}"
        (folder / f"policy.{account}.hcl").write_text(policy_text(sign, "update", name=identity))
        self.file(
            folder / f"auth.{account}.json",
            f"auth/{of.auth_mount}/role/{names.auth_role(namespace, role, account)}",
            self.login(namespace, account, [policy, identity]),
        )
        self.file(
            folder / "pki.serving.json",
            f"{of.serving_mount}/roles/{names.serving_pki_role(namespace, role, 'serving')}",
            pki_fields(allowed_domains=[f"{role}.{namespace}.svc", f"{role}.{namespace}"]),
        )
        self.file(
            folder / f"identity.{account}.json",
            f"{of.identity_mount}/roles/{names.identity_pki_role(namespace, role, account)}",
            pki_fields(allowed_uri_sans=[f"spiffe://east.example.com/ns/{namespace}/sa/{account}"]),
        )
        return folder

    def login(self, namespace: str, account: str, policies: list[str]) -> dict[str, Any]:
        shared = {
            "token_policies": policies,
            "token_no_default_policy": True,
            "token_ttl": "1h",
            "token_max_ttl": "1h",
            "token_type": "batch",
        }
        if self.cluster.auth_method == "kubernetes":
            return {
                "bound_service_account_names": [account],
                "bound_service_account_namespaces": [namespace],
                "bound_service_account_namespace_selector": "",
                "audience": self.cluster.audience,
                "alias_name_source": "serviceaccount_name",
                **shared,
            }
        return {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": [self.cluster.audience],
            "bound_subject": f"system:serviceaccount:{namespace}:{account}",
            "bound_claims_type": "string",
            "bound_claims": {
                "/kubernetes.io/namespace": namespace,
                "/kubernetes.io/serviceaccount/name": account,
            },
            "clock_skew_leeway": "10s",
            **shared,
        }

    def file(self, file: Path, path: str, fields: dict[str, Any]) -> None:
        file.write_bytes(to_bytes({"generatedFrom": "roles/x.yaml", "path": path, "data": fields}))

    def edit(self, file: str, **fields: object) -> None:
        """Change fields of `data` in a file below the cluster's folder."""
        document = json.loads((self.root / file).read_bytes())
        document["data"] |= fields
        (self.root / file).write_bytes(to_bytes(document))


POD_IP: dict[str, Any] = {"allow_ip_sans": True, "allowed_ip_sans_cidr": ["10.244.0.0/16"]}
"""What `podIP: true` adds to a certificate's PKI role."""

PAYMENTS = "podkeys.east.payments.payments"


def policy_text(path: str, capability: str = "read", *, name: str = PAYMENTS) -> str:
    return (
        f'{names.MARK} by hand\n# policy: {name}\n\npath "{path}" {{\n  capabilities = ["{capability}"]\n}}\n'
    )


def pki_fields(**changes: object) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "allow_any_name": False,
        "allow_bare_domains": True,
        "allow_glob_domains": False,
        "allow_globs_in_identity_templates": False,
        "allow_ip_sans": False,
        "allow_localhost": False,
        "allow_subdomains": False,
        "allow_wildcard_certificates": False,
        "allowed_domains": [],
        "allowed_ip_sans_cidr": [],
        "allowed_uri_sans": [],
        "key_bits": 256,
        "key_type": "ec",
        "key_usage": ["DigitalSignature"],
        "max_ttl": "1h",
        "not_after_bound": "forbid",
        "not_before_bound": "forbid",
        "not_before_duration": "60s",
        "require_cn": False,
        "ttl": "1h",
        "use_csr_common_name": False,
        "use_csr_sans": False,
    }
    return {**fields, **changes}


def csr() -> str:
    """A request without any name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()
