"""`backstop`: the policies of the chart as Helm renders them, with one field changed at a time."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.backstop import MATCHES, backstop
from cluster.checks.backstop import backstop_bound
from cluster.facts import Registration
from cluster.finding import Finding, Unread

Json = dict[str, Any]

RENDERED = Path(__file__).parent.parent / "chart" / "golden" / "default.yaml"
REGISTRATION = Registration("podkeys-system", "podkeys-webhook", "PEM", "Fail")
BY_API_SERVER = {"matchPolicy": "Equivalent", "objectSelector": {}}


@pytest.fixture(scope="module")
def chart() -> Json:
    """Policies and bindings, by kind and name, with what the API server adds."""
    found = [item for item in yaml.safe_load_all(RENDERED.read_text()) if item]
    policies = {
        f"{item['kind'].removeprefix('ValidatingAdmission')} {item['metadata']['name']}": item
        for item in found
        if item["kind"].startswith("ValidatingAdmission")
    }
    for item in policies.values():
        if "matchConstraints" in item["spec"]:
            item["spec"]["matchConstraints"] |= {**BY_API_SERVER, "namespaceSelector": {}}
        else:
            item["spec"]["matchResources"] |= BY_API_SERVER
    return policies


def finding(items: Json, registration: Registration | Unread | None = REGISTRATION) -> Finding:
    policies = [item for key, item in items.items() if key.startswith("Policy ")]
    bindings = [item for key, item in items.items() if key.startswith("PolicyBinding ")]
    return backstop_bound(backstop(policies, bindings), registration)


def test_what_the_chart_makes_is_ok(chart: Json) -> None:
    assert finding(chart) == Finding(
        "backstop",
        "ok",
        "exec.podkeys.dev, pods.podkeys.dev, tokens.podkeys.dev, workloads.podkeys.dev",
    )
    rules = {
        (operation, resource)
        for name in MATCHES
        for rule in chart[f"Policy {name}"]["spec"]["matchConstraints"]["resourceRules"]
        for operation in rule["operations"]
        for resource in rule["resources"]
    }
    known = {pair for pairs in MATCHES.values() for pair in pairs}
    assert rules - known == {("CREATE", "pods/ephemeralcontainers")}  # which no API server sends


def without(*keys: str) -> Callable[[Json], None]:
    def change(items: Json) -> None:
        for key in keys:
            del items[key]

    return change


def put(key: str, path: str, value: object) -> Callable[[Json], None]:
    def change(items: Json) -> None:
        *parents, last = path.split(".")
        inner = items[key]["spec"]
        for parent in parents:
            inner = inner[parent]
        inner[last] = value

    return change


PODS, EXEC, TOKENS = (f"Policy {name}.podkeys.dev" for name in ("pods", "exec", "tokens"))
BINDING = "PolicyBinding pods.podkeys.dev"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
NAMED = {"key": "kubernetes.io/metadata.name", "operator": "NotIn"}


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (without(PODS), "no pods.podkeys.dev"),
        (put(EXEC, "failurePolicy", "Ignore"), "exec.podkeys.dev has failurePolicy Ignore"),
        (
            put(PODS, "matchConstraints.resourceRules", [RULE]),
            "pods.podkeys.dev does not match UPDATE of pods/ephemeralcontainers",
        ),
        (
            put(
                TOKENS,
                "matchConstraints.resourceRules",
                [
                    RULE
                    | {
                        "operations": ["CREATE"],
                        "resources": ["serviceaccounts/token"],
                        "resourceNames": ["a"],
                    }
                ],
            ),
            "tokens.podkeys.dev does not match CREATE of serviceaccounts/token",
        ),
        (put(EXEC, "matchConstraints", None), "does not match CONNECT of pods/exec, CONNECT of pods/attach"),
        (
            put(PODS, "matchConstraints.excludeResourceRules", [RULE]),
            "pods.podkeys.dev is narrowed by excludeResourceRules",
        ),
        (
            put(PODS, "matchConstraints.objectSelector", {"matchLabels": {"checked": "yes"}}),
            "pods.podkeys.dev is narrowed by objectSelector",
        ),
        (
            put(PODS, "matchConditions", [{"name": "not-me", "expression": "false"}]),
            "pods.podkeys.dev is narrowed by matchConditions",
        ),
        (put(PODS, "paramKind", {"kind": "ConfigMap"}), "pods.podkeys.dev is narrowed by paramKind"),
        (without(BINDING), "pods.podkeys.dev is not bound with Deny"),
        (put(BINDING, "validationActions", ["Warn", "Audit"]), "pods.podkeys.dev is not bound with Deny"),
        (
            put(BINDING, "matchResources.namespaceSelector", {"matchLabels": {"podkeys.dev/injection": "x"}}),
            "binding pods.podkeys.dev is narrowed by namespaceSelector by other labels than the name",
        ),
        (
            put(
                BINDING,
                "matchResources.namespaceSelector.matchExpressions",
                [
                    NAMED | {"values": ["kube-system", "podkeys-system", "shop"]},
                    {"key": "team", "operator": "Exists"},
                ],
            ),
            "by other labels than the name, binding pods.podkeys.dev leaves out 1 namespace: shop",
        ),
        (
            put(BINDING, "matchResources.resourceRules", [RULE]),
            "binding pods.podkeys.dev is narrowed by resourceRules",
        ),
        (put(BINDING, "paramRef", {"name": "x"}), "binding pods.podkeys.dev is narrowed by paramRef"),
    ],
)
def test_whatever_lets_more_through_than_the_chart_does_is_named(
    chart: Json, change: Callable[[Json], None], got: str
) -> None:
    """Invariant 5: the backstop holds in every namespace, whatever the webhook does."""
    changed = copy.deepcopy(chart)
    change(changed)
    found = finding(changed)
    assert (found.result, found.got.endswith(got)) == ("failed", True), found.got


def test_a_second_binding_beside_the_charts_takes_nothing_away(chart: Json) -> None:
    narrow = copy.deepcopy(chart[BINDING])
    narrow["spec"]["matchResources"]["objectSelector"] = {"matchLabels": {"a": "b"}}
    assert finding({**chart, "PolicyBinding second": narrow}).result == "ok"
    assert finding({**chart, BINDING: {**narrow, "metadata": {"name": "second"}}}).result == "failed"


def test_the_namespace_that_may_be_left_out_is_the_webhooks_own(chart: Json) -> None:
    elsewhere = Registration("security", "podkeys-webhook", "PEM", "Fail")
    found = finding(chart, elsewhere)
    assert found.got.count("leaves out 1 namespace: podkeys-system") == 3
    assert "every namespace but kube-system and security" in found.expected
    for unknown in (None, Unread("forbidden", "allow it")):
        assert finding(chart, unknown).result == "ok"


def test_an_audience_is_read_as_the_text_that_the_chart_wrote(chart: Json) -> None:
    """Helm's JSON has an escape for an ampersand."""
    changed = copy.deepcopy(chart)
    variables = changed[PODS]["spec"]["variables"]
    for written, read in (('"a?b\\u0026c"', "a?b&c"), ("'other'", "'other'")):
        variables[:] = [{"name": "audience", "expression": written}]
        assert backstop([changed[PODS]], [])["pods.podkeys.dev"].audience == read
    assert backstop([chart[PODS]], [])["pods.podkeys.dev"].audience == "vault"


def test_the_policy_for_tokens_is_an_option_and_what_is_unread_is_unknown(chart: Json) -> None:
    changed = copy.deepcopy(chart)
    without(TOKENS, "PolicyBinding tokens.podkeys.dev")(changed)
    assert "tokens.podkeys.dev is off" in finding(changed).got
    assert finding({}).got == "no pods.podkeys.dev, no exec.podkeys.dev"
    assert backstop_bound(Unread("forbidden", "allow it"), None).result == "unknown"
