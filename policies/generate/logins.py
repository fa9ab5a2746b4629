"""Auth roles, every field explicit: a server merges what is sent into what stands there."""

from typing import Any

from policies import names
from policies.roles.types import Cluster, RunsAs, ServiceRole

BATCH_SECONDS = (
    15 * 60
)  # enough for init and a poll; nothing can revoke a batch token, so it ends soon by itself
SERVICE_SECONDS = 60 * 60  # the sidecar renews it; a dead node's accounts end within the hour
SERVICE_MAX_SECONDS = 24 * 60 * 60  # then a new login proves again that the pod still exists
LEEWAY_SECONDS = 10  # between the clocks of API server and Vault


def needs_service_token(role: ServiceRole) -> bool:
    """Whether something must be renewed or end with the pod: batch tokens can do neither."""
    return bool(role.databases) or any(entry.revoke for entry in role.certificates)


def path(cluster: Cluster, name: str) -> str:
    return f"auth/{cluster.auth_mount}/role/{name}"


def login(cluster: Cluster, role: ServiceRole, place: RunsAs, account: str) -> dict[str, Any]:
    """The fields of the role by which `account` logs in, bound to it and its namespace alone."""
    bound = (
        _jwt(cluster, place.namespace, account)
        if cluster.auth_method == "jwt"
        else _kubernetes(cluster, place, account)
    )
    return bound | _token(role, place, account)


def _jwt(cluster: Cluster, namespace: str, account: str) -> dict[str, Any]:
    return {
        "role_type": "jwt",
        "user_claim": "sub",
        "user_claim_json_pointer": False,
        "groups_claim": "",
        "bound_audiences": [cluster.audience],
        "bound_subject": f"system:serviceaccount:{namespace}:{account}",
        "bound_claims_type": "string",
        "bound_claims": {
            "/kubernetes.io/namespace": namespace,
            "/kubernetes.io/serviceaccount/name": account,
        },
        "claim_mappings": {"/kubernetes.io/pod/name": "pod_name", "/kubernetes.io/pod/uid": "pod_uid"},
        "expiration_leeway": LEEWAY_SECONDS,
        "not_before_leeway": LEEWAY_SECONDS,
        "clock_skew_leeway": LEEWAY_SECONDS,
        "verbose_oidc_logging": False,
    }


def _kubernetes(cluster: Cluster, place: RunsAs, account: str) -> dict[str, Any]:
    return {
        "bound_service_account_names": [account],
        "bound_service_account_namespaces": [place.namespace],
        "bound_service_account_namespace_selector": "",
        "audience": cluster.audience,
        "alias_name_source": "serviceaccount_uid",
    }


def _token(role: ServiceRole, place: RunsAs, account: str) -> dict[str, Any]:
    service = needs_service_token(role)
    where = (place.cluster, place.namespace, role.name)
    policies = [names.role_policy(*where)] + (
        [names.identity_policy(*where, account)] if role.identity else []
    )
    return {
        "token_type": "service" if service else "batch",
        "token_ttl": SERVICE_SECONDS if service else BATCH_SECONDS,
        "token_max_ttl": SERVICE_MAX_SECONDS if service else BATCH_SECONDS,
        "token_explicit_max_ttl": SERVICE_MAX_SECONDS if service else 0,
        "token_period": 0,
        "token_num_uses": 0,
        "token_bound_cidrs": [],
        "token_no_default_policy": True,
        "token_policies": policies,
    }
