"""Parameters in policies that limit less than they seem to. Pure."""

from collections.abc import Iterator, Mapping

from policies.acl.stanza import Parameters, Value
from policies.review.lint.engines import mount_of
from policies.review.lint.finding import Hit, at
from policies.review.lint.tree import Grant, Tree

_SEEN = frozenset({"data", "options", "version", "*"})  # what requests to version 2 really carry


def inside_data(tree: Tree) -> Iterator[Hit]:
    for grant in tree.grants:
        limits = grant.stanza.constraints
        names = {*(limits.allowed or ()), *(limits.denied or ()), *map(str.lower, limits.required)} - _SEEN
        mount = mount_of(str(grant.aims), tree.engines.kv2) if names else ""
        if (
            mount
            and str(grant.aims).startswith(f"{mount}/data/")
            and grant.stanza.path not in tree.engines.plain
        ):
            message = (
                f'got a limit on {", ".join(sorted(names))} on "{grant.stanza.path}", expected none: key-value version 2 carries its '
                "values inside data, where no policy looks"
            )
            yield at(grant, message, "keep what must differ in secrets of its own paths")


def numbers(tree: Tree) -> Iterator[Hit]:
    for grant, kind, name, values in _values(tree):
        if any(_has_number(value) for value in values):
            message = f'got a number for {name} in {kind} of "{grant.stanza.path}", expected text: a number equals none in a request'
            yield at(grant, message, 'write the value in quotes, as requests then have to: "3600"')


def _has_number(value: Value) -> bool:
    if isinstance(value, list):
        return any(map(_has_number, value))
    if isinstance(value, dict):
        return any(map(_has_number, value.values()))
    return isinstance(value, int | float) and not isinstance(value, bool)


def lone_stars(tree: Tree) -> Iterator[Hit]:
    for grant, kind, name, values in _values(tree):
        if "*" in values:
            message = f'got ["*"] for {name} in {kind} of "{grant.stanza.path}", expected [] for any value: a lone * is itself'
            yield at(grant, message, "write []")


def denials_by_value(tree: Tree) -> Iterator[Hit]:
    for grant in tree.grants:
        limits = grant.stanza.constraints
        required = {name.lower() for name in limits.required}
        for name, values in (limits.denied or {}).items():
            if values and name not in required and name not in (limits.allowed or {}):
                message = (
                    f'got denied values for {name} on "{grant.stanza.path}", expected {name} among required_parameters as well: '
                    "whoever leaves it out gets the server's default"
                )
                yield at(
                    grant, message, f'add required_parameters = ["{name}"], or better say what is allowed'
                )


def _values(tree: Tree) -> Iterator[tuple[Grant, str, str, tuple[Value, ...]]]:
    for grant in tree.grants:
        limits = grant.stanza.constraints
        kinds: Mapping[str, Parameters | None] = {
            "allowed_parameters": limits.allowed,
            "denied_parameters": limits.denied,
        }
        for kind, parameters in kinds.items():
            for name, values in (parameters or {}).items():
                yield grant, kind, name, values
