"""The admission policies inside the API server, read so that they can be compared with what the chart makes. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMESPACE_NAME = "kubernetes.io/metadata.name"  # set by the API server, and nobody else can

# What each has to look at (deploy/chart/templates/backstop-*.yaml): operation and resource of version v1
MATCHES = {
    "pods.podkeys.dev": (
        ("CREATE", "pods"),
        ("UPDATE", "pods"),
        ("UPDATE", "pods/ephemeralcontainers"),
    ),
    "exec.podkeys.dev": (("CONNECT", "pods/exec"), ("CONNECT", "pods/attach")),
    "tokens.podkeys.dev": (("CREATE", "serviceaccounts/token"),),
}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """`left_out`: namespaces in which it does not hold, by name. `narrowed`: what else the chart's does not have."""

    name: str
    actions: frozenset[str]
    left_out: frozenset[str] = frozenset()
    narrowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backstop:
    """One ValidatingAdmissionPolicy. `audience` is its variable's value; "" where it has none.

    `narrowed` are fields that make it look at less than the chart's does, `unmatched` what it should look at and does not.
    """

    name: str
    failure_policy: str
    bindings: tuple[Binding, ...]
    audience: str = ""
    narrowed: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


def backstop(policies: Iterable[Json], bindings: Iterable[Json]) -> dict[str, Backstop]:
    """Those of ours, by name."""
    bound: dict[str, list[Binding]] = {}
    for item in bindings:
        bound.setdefault(item["spec"]["policyName"], []).append(_binding(item))
    return {
        name: _policy(name, item["spec"], bound.get(name, ()))
        for item in policies
        if (name := item["metadata"]["name"]).endswith(".podkeys.dev")
    }


def _policy(name: str, spec: Json, bindings: Iterable[Binding]) -> Backstop:
    constraints = spec.get("matchConstraints") or {}
    rules = constraints.get("resourceRules") or ()
    return Backstop(
        name,
        spec["failurePolicy"],
        tuple(bindings),
        next(
            (_text(item["expression"]) for item in spec.get("variables", ()) if item["name"] == "audience"),
            "",
        ),
        (
            *_given(spec, "paramKind", "matchConditions"),
            *_given(constraints, "namespaceSelector", "objectSelector", "excludeResourceRules"),
        ),
        tuple(
            f"{operation} of {resource}"
            for operation, resource in MATCHES.get(name, ())
            if not any(_covers(rule, operation, resource) for rule in rules)
        ),
    )


def _text(expression: str) -> str:
    """The chart writes text as JSON, which CEL reads too; another expression stands for itself."""
    try:
        return str(json.loads(expression))
    except ValueError:
        return expression


def _binding(item: Json) -> Binding:
    spec = item["spec"]
    matched = spec.get("matchResources") or {}
    selector = matched.get("namespaceSelector") or {}
    by_name = [one for one in selector.get("matchExpressions") or () if _leaves_out_by_name(one)]
    is_more = selector.get("matchLabels") or len(by_name) < len(selector.get("matchExpressions") or ())
    return Binding(
        item["metadata"]["name"],
        frozenset(spec["validationActions"]),
        frozenset(name for one in by_name for name in one["values"]),
        (
            *_given(spec, "paramRef"),
            *_given(matched, "resourceRules", "objectSelector", "excludeResourceRules"),
            *(("namespaceSelector by other labels than the name",) if is_more else ()),
        ),
    )


def _leaves_out_by_name(expression: Json) -> bool:
    return (expression["key"], expression["operator"]) == (NAMESPACE_NAME, "NotIn")


def _given(item: Json, *fields: str) -> Iterator[str]:
    """The API server writes the empty ones itself."""
    return (field for field in fields if item.get(field))


def _covers(rule: Json, operation: str, resource: str) -> bool:
    """As the chart writes rules, without wildcards."""
    return (
        "" in rule.get("apiGroups", ())
        and "v1" in rule.get("apiVersions", ())
        and operation in rule.get("operations", ())
        and resource in rule.get("resources", ())
        and not rule.get("resourceNames")
        and rule.get("scope", "*") in ("*", "Namespaced")
    )
