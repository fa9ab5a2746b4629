"""A catalog, the operator's settings, and pods sent through the real bytes: parse, decide, respond."""

import base64
from typing import Any

import jsonpatch
import orjson

from policies.catalog import Certificate, Cluster, Identity, NamespaceCatalog, Role, Secret, ServiceAccount
from webhook.config import LoadedCatalog, OperatorSettings
from webhook.decide import decide
from webhook.review import parse, respond

Json = dict[str, Any]

CLUSTER = Cluster(
    name="eu-nl-prod-a",
    vault_address="https://vault.example.com:8200",
    vault_namespace="",
    ca_pem="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    auth_method="jwt",
    auth_mount="jwt-eu-nl-prod-a",
    audience="vault",
    serving_mount="pki-eu-nl-prod-a",
    identity_mount="spiffe-eu-nl-prod-a",
    min_kubelet=(1, 35),
    platform="kubernetes",
)
SETTINGS = OperatorSettings(image="registry.example.com/podkeys:1.2.3", version="1.2.3")

# namespace → role → service accounts
ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    "payments": {"payments": ("payments-api", "payments-worker")},
    "shop": {"cart": ("web", "cart"), "orders": ("web",)},
    "platform": {"platform": ("default", "platform", "prometheus", "strimzi", "airflow", "argo", "datadog")},
}


def role(name: str, namespace: str, accounts: tuple[str, ...]) -> Role:
    prefix = f"podkeys.{namespace}.{name}"
    return Role(
        name=name,
        source=f"{name}.yaml",
        owner=f"team-{name}",
        service_accounts={
            account: ServiceAccount(
                account,
                f"{prefix}.{account}",
                Identity(
                    f"spiffe-eu-nl-prod-a/sign/{prefix}.{account}",
                    f"spiffe://eu-nl-prod-a.example.com/ns/{namespace}/sa/{account}",
                    3600,
                ),
            )
            for account in accounts
        },
        secrets={
            "orders": Secret("orders", "database", f"database/creds/{name}-orders"),
            "smtp": Secret("smtp", "kv2", "kv/data/shared/smtp", env=True),
            "stripe": Secret("stripe", "kv2", f"kv/data/{name}/stripe"),
        },
        certificates={
            "by-address": _certificate("by-address", prefix, name, namespace, pod_ip=True),
            "serving": _certificate("serving", prefix, name, namespace, pod_ip=False),
        },
    )


def _certificate(name: str, prefix: str, service: str, namespace: str, *, pod_ip: bool) -> Certificate:
    names = (
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.cluster.local",
    )
    sign = f"pki-eu-nl-prod-a/sign/{prefix}.{name}"
    return Certificate(name, sign, names, pod_ip, "ec-p256", 3600, ("server", "client"), revoke=False)


CATALOG = LoadedCatalog(
    CLUSTER,
    {
        namespace: NamespaceCatalog(
            CLUSTER.name,
            namespace,
            {name: role(name, namespace, accounts) for name, accounts in roles.items()},
        )
        for namespace, roles in ROLES.items()
    },
    "c0ffee" * 10 + "c0ff",
)


def review(pod: object, namespace: str = "payments", **request: object) -> bytes:
    """What the API server sends for the creation of `pod`."""
    return orjson.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "uid-1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE",
                "namespace": namespace,
                "object": pod,
                **request,
            },
        }
    )


def answer(body: bytes, catalog: LoadedCatalog = CATALOG, settings: OperatorSettings = SETTINGS) -> Json:
    """The response to a body, all the way through the bytes."""
    request = parse(body)
    response: Json = orjson.loads(respond(request.uid, decide(request, catalog, settings)))["response"]
    return response


def operations(response: Json) -> list[Json]:
    found: list[Json] = orjson.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    return found


def pod(annotations: dict[str, str] | None = None, **spec: object) -> Json:
    """A pod of role payments; annotations without their prefix, after `inject: "true"`."""
    given = {
        f"podkeys.dev/{name}": value for name, value in {"inject": "true", **(annotations or {})}.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "payments-", "annotations": given},
        "spec": {
            "serviceAccountName": "payments-api",
            "containers": [{"name": "app", "image": "registry.example.com/payments:1"}],
            **spec,
        },
    }


def injected(value: Json, **arguments: Any) -> Json:  # noqa: ANN401 - the arguments of answer
    """The pod as it would be created; fails where it is refused."""
    response = answer(review(value), **arguments)
    assert response["allowed"], response["status"]["message"]
    assert "patch" in response
    applied: Json = jsonpatch.apply_patch(value, operations(response))
    return applied


def refusal(value: object, **arguments: Any) -> str:  # noqa: ANN401 - the arguments of answer
    """The message of a refused pod; fails where it is allowed."""
    response = answer(review(value), **arguments)
    assert not response["allowed"], response
    message: str = response["status"]["message"]
    return message


def reason(value: object, **arguments: Any) -> str:  # noqa: ANN401 - the arguments of answer
    """The reason code of what is decided."""
    code: str = answer(review(value), **arguments)["auditAnnotations"]["reason"]
    return code


def container(value: Json, name: str) -> Json:
    found: Json
    (found,) = (
        item
        for field in ("initContainers", "containers")
        for item in value["spec"].get(field, [])
        if item["name"] == name
    )
    return found
