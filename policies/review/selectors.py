"""Label selectors of namespaces, as auth roles of the kubernetes method bind them. Pure.

The text is a LabelSelector of the Kubernetes API, as JSON or YAML. As on the server, words that it hasn't are passed over, upper and lower
case are the same in those that it has, and what asks for nothing fits every namespace. Servers take no `matchExpressions` to this day;
they mean here what they mean to Kubernetes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import yaml

_Fits = Callable[[str | None, frozenset[str]], bool]

# Of the label's value, None where there is none, and the values that are named.
_OPERATORS: Mapping[str, _Fits] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}
_WITH_VALUES = frozenset({"In", "NotIn"})


class SelectorError(ValueError):
    """A text that is no label selector; in words."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Of one label."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def fits(self, labels: Mapping[str, str]) -> bool:
        return _OPERATORS[self.operator](labels.get(self.key), self.values)


def selector(text: str) -> tuple[Requirement, ...]:
    """What it asks for; nothing where it fits every namespace. Raises SelectorError."""
    try:
        wanted = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that there isn't
        raise SelectorError("got neither JSON nor YAML") from None
    if wanted is not None and not isinstance(wanted, dict):
        raise SelectorError(f"got {wanted!r}, expected matchLabels")
    asked = {str(key).lower(): value for key, value in (wanted or {}).items()}
    return (*_labels(asked.get("matchlabels")), *_expressions(asked.get("matchexpressions")))


def _labels(wanted: object) -> Iterator[Requirement]:
    if wanted is None:
        return
    if not isinstance(wanted, dict):
        raise SelectorError("got matchLabels without labels, expected LABEL: VALUE")
    for key, value in wanted.items():
        yield Requirement(_text(key), "In", frozenset({_text(value)}))


def _expressions(wanted: object) -> Iterator[Requirement]:
    if wanted is None:
        return
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise SelectorError("got matchExpressions that are no list of key, operator and values")
    for one in wanted:
        operator, values = _text(one.get("operator")), one.get("values") or []
        if operator not in _OPERATORS:
            raise SelectorError(f"got the operator {operator}, expected {', '.join(_OPERATORS)}")
        if not isinstance(values, list) or bool(values) != (operator in _WITH_VALUES):
            raise SelectorError(f"got {operator} with {values!r}, expected values for In and NotIn alone")
        yield Requirement(_text(one.get("key")), operator, frozenset(map(_text, values)))


def _text(value: object) -> str:
    """What YAML takes for a number, a truth value or a date is none: servers differ in what they make of it."""
    if isinstance(value, str):
        return value
    raise SelectorError(f"got {value!r}, expected a text; put it in quotes")
