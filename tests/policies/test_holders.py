"""Which roles lead to which entity. Fields are as the server answers them (OpenBao 2.7.2)."""

from typing import Any

import pytest

from policies.review.identity import Identity, entity
from policies.review.inventory import Inventory, PolicyFile, auth_role
from policies.review.subjects import subjects

Fields = dict[str, Any]
API = "system:serviceaccount:shop:api"
NAME = "/kubernetes.io/serviceaccount/name"
JWT: Fields = {"role_type": "jwt", "user_claim": "sub", "token_policies": ["own"]}
KUBERNETES: Fields = {
    "bound_service_account_names": ["api"],
    "bound_service_account_namespaces": ["shop"],
    "token_policies": ["own"],
}
UID = "b50e9668-df96-1094-a57f-a76b5ab8191b"
OF_API = {"service_account_name": "api", "service_account_namespace": "shop", "service_account_uid": UID}


def alias(kind: str, name: str, **metadata: str) -> Fields:
    """At a mount called as its method."""
    return {"mount_path": f"auth/{kind}/", "mount_type": kind, "name": name, "metadata": metadata or None}


def having(policy: str, method: str, role: Fields, *aliases: Fields) -> dict[str, list[str]]:
    """Service accounts by subject; there is one role, and one entity, with these aliases, that has the policy `more`."""
    fields = {"name": "e", "id": "1", "policies": ["more"], "aliases": list(aliases), "group_ids": []}
    policies = {name: PolicyFile(name, f"{name}.hcl", b"") for name in ("own", "more")}
    known = Identity((entity(fields, "identity/entity/id/1"),))
    inventory = Inventory(policies, (auth_role(method, "r", "r.json", role),), identity=known)
    return {one.name: list(map(str, one.accounts)) for one in subjects(inventory) if policy in one.policies}


@pytest.mark.parametrize(
    ("method", "role", "name", "metadata"),
    [
        ("jwt", JWT | {"bound_subject": API}, API, {}),
        ("jwt", JWT | {"user_claim": "/sub", "bound_claims": {"/sub": [API]}}, API, {}),
        ("kubernetes", KUBERNETES | {"alias_name_source": "serviceaccount_name"}, "shop/api", OF_API),
    ],
)
def test_a_service_account_that_is_its_alias_never_logs_in_without_its_entity(
    method: str, role: Fields, name: str, metadata: dict[str, str]
) -> None:
    given = (method, role, alias(method, name, **metadata))
    assert having("more", *given) == having("own", *given) == {f"{method}/r": ["api in shop"]}


@pytest.mark.parametrize(
    ("method", "role", "name", "metadata", "accounts"),
    [
        ("kubernetes", KUBERNETES, UID, OF_API, ["api in shop"]),
        ("kubernetes", KUBERNETES | {"bound_service_account_names": ["*"]}, UID, OF_API, ["api in shop"]),
        (
            "kubernetes",
            KUBERNETES
            | {
                "bound_service_account_namespaces": [],
                "bound_service_account_namespace_selector": '{"matchLabels":{"a":"b"}}',
            },
            UID,
            OF_API,
            ["api in shop"],
        ),
        ("kubernetes", KUBERNETES, UID, {}, ["api in shop"]),
        ("jwt", JWT | {"user_claim": NAME, "bound_subject": API}, "api", {}, ["api in shop"]),
        ("jwt", JWT | {"user_claim": "email"}, "alice@example.com", {}, ["* in *"]),
        ("jwt", JWT, "alice", {}, ["* in *"]),
        ("jwt", JWT | {"bound_claims": {"sub": "system:serviceaccount:shop:*"}}, API, {}, ["api in shop"]),
        ("approle", {"token_policies": ["own"]}, UID, {"role_name": "r"}, []),
        ("cert", {"token_policies": ["own"]}, "build.example.com", {}, []),
    ],
)
def test_others_may_log_in_to_the_role_without_that_entity(
    method: str, role: Fields, name: str, metadata: dict[str, str], accounts: list[str]
) -> None:
    """A service account that is made anew has another uid, so that it has another entity."""
    given = (method, role, alias(method, name, **metadata))
    [(subject, who)] = having("more", *given).items()
    assert subject.startswith(f"{method}/r as entity e")
    assert who == accounts
    assert f"{method}/r" in having("own", *given)


@pytest.mark.parametrize(
    ("method", "role", "given", "accounts"),
    [
        ("jwt", JWT | {"bound_subject": API}, alias("jwt", f"{API}-2"), ["api-2 in shop"]),
        ("jwt", JWT | {"bound_subject": API}, alias("jwt", "api"), []),
        ("jwt", JWT | {"bound_subject": API}, alias("jwt", "x", **OF_API), []),
        ("jwt", JWT | {"user_claim": NAME, "bound_subject": API}, alias("jwt", "web"), []),
        ("jwt", JWT | {"bound_subject": API}, alias("oidc", API), ["api in shop"]),
        (
            "kubernetes",
            KUBERNETES,
            alias("kubernetes", UID, **OF_API | {"service_account_namespace": "web"}),
            ["api in web"],
        ),
        ("approle", {"token_policies": ["own"]}, alias("approle", UID, role_name="r2"), []),
        ("userpass", {"token_policies": ["own"]}, alias("userpass", "r2"), []),
    ],
)
def test_an_entity_that_the_role_does_not_lead_to_stands_for_itself(
    method: str, role: Fields, given: Fields, accounts: list[str]
) -> None:
    assert having("more", method, role, given) == {"identity/entity/e": accounts}
    assert list(having("own", method, role, given)) == [f"{method}/r"]


def test_of_a_roles_accounts_those_with_an_entity_are_taken_apart() -> None:
    both = JWT | {"bound_claims": {"sub": [API, "system:serviceaccount:shop:till"]}}
    given = ("jwt", both, alias("jwt", API))
    assert having("own", *given) == {
        "jwt/r": ["till in shop"],
        "jwt/r as entity e (api in shop)": ["api in shop"],
    }


def test_an_entity_without_an_alias_is_told_as_one() -> None:
    assert having("more", "jwt", JWT) == {"identity/entity/e": []}
