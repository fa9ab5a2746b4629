"""The fields of a JSON object, each of the type that Kubernetes gives it, or MalformedError. Pure.

An absent field and a null one are the same to Kubernetes. `at` is the place of the object in the pod, for messages.
"""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, TypeVar

from webhook.wording import describe

T = TypeVar("T")

_KINDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


class MalformedError(ValueError):
    """A field has a type that Kubernetes would not accept. The message names it."""


def get(item: Mapping[str, Any], key: str, kind: type[T], at: str) -> T | None:
    value = item.get(key)
    if value is None or type(value) is kind:  # exact: bool is an int too
        return value
    where = f"{at}.{key}" if at else key
    raise MalformedError(f"{where}: got {describe(value)}, expected {_KINDS[kind]}")


def required_object(item: Mapping[str, Any], key: str, at: str) -> dict[str, Any]:
    value = get(item, key, dict, at)
    if value is None:
        raise MalformedError(
            f"{at}.{key}: got nothing, expected an object"
            if at
            else f"{key}: got nothing, expected an object"
        )
    return value


def text(item: Mapping[str, Any], key: str, at: str) -> str:
    return get(item, key, str, at) or ""


def texts(entries: Sequence[Mapping[str, Any]], key: str, at: str) -> tuple[str, ...]:
    """As `text` of each; there may be thousands."""
    values = [item.get(key) for item in entries]
    if set(map(type, values)) <= {str, NoneType}:
        return tuple([value or "" for value in values])
    return tuple(text(item, key, at) for item in entries)


def flag(item: Mapping[str, Any], key: str, at: str) -> bool:
    return get(item, key, bool, at) or False


def objects(item: Mapping[str, Any], key: str, at: str) -> list[dict[str, Any]] | None:
    values = get(item, key, list, at)
    if values and set(map(type, values)) != {dict}:
        index, value = next((index, value) for index, value in enumerate(values) if type(value) is not dict)
        raise MalformedError(f"{at}.{key}[{index}]: got {describe(value)}, expected an object")
    return values


def list_or_empty(item: Mapping[str, Any], key: str) -> list[Any]:
    """Another type is refused where it is read."""
    value = item.get(key)
    return value if type(value) is list else []


def object_or_empty(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = item.get(key)
    return value if type(value) is dict else {}
