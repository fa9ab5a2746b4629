"""CPU and memory of our containers, so that the pod's own class of service stays what it was. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ has the classes.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

NAMES = ("cpu", "memory")

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?)(|[eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)")
_UNITS = {"": 1} | {
    unit: Decimal(1000) ** power for power, unit in enumerate("num kMGTPE", -3) if unit != " "
}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}

Json = dict[str, Any]


def amount(value: object) -> Decimal:
    """A Kubernetes quantity, text or number, in its base unit: cores or bytes; -1 for what is none."""
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if found is None:
        return Decimal(-1)
    number, unit = found.groups()
    return Decimal(number) * _UNITS[unit] if unit in _UNITS else Decimal(number + unit)


def is_guaranteed(limits: Mapping[str, Any], requests: Mapping[str, Any]) -> bool:
    """Whether one container has limits of both kinds and requests equal to them; absent requests are the limits."""
    return all(
        amount(limits.get(name)) > 0
        and amount(requests.get(name, limits.get(name))) == amount(limits.get(name))
        for name in NAMES
    )


def ours(
    requests: Mapping[str, str], limits: Mapping[str, str], *, guaranteed: bool, shared: frozenset[str]
) -> Json:
    """The `resources` of one of our containers.

    In a Guaranteed pod requests equal limits, or the pod would lose its class; elsewhere little is reserved. What
    the pod sets for all its containers together (`shared`) is left to that: ours have to fit in.
    """
    reserved = limits if guaranteed else requests
    return {
        "limits": {name: limits[name] for name in NAMES if name not in shared},
        "requests": {name: reserved[name] for name in NAMES if name not in shared},
    }
