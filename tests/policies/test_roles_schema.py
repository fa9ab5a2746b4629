"""The published JSON Schemas say the same as the parser, wherever a schema can say it."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from policies.errors import ProblemsError
from policies.roles import boundary, cluster, role
from policies.roles.document import load
from tests.policies import role_texts

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    name: json.loads((ROOT / "docs" / "schema" / f"{name}.json").read_text())
    for name in ("service-role", "cluster", "boundary")
}
FULL_BOUNDARY = (
    (ROOT / "deploy" / "example" / "boundaries" / "payments.yaml")
    .read_text()
    .replace("  databases:", "  - {mount: team/kv, path: a, engine: kv1}\n  databases:")
)
FULL_ROLE = (ROOT / "deploy" / "example" / "roles" / "payments.yaml").read_text()
REPLACEMENTS: tuple[Any, ...] = (
    *(
        None,
        True,
        1,
        1.5,
        [],
        {},
        "",
        "x",
        "X",
        "a/b",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "a*",
        "a+",
        "{pod}/a",
        "a b",
    ),
    *(
        "{cluster}/{namespace}",
        "kv/creds/x",
        "all",
        "identity",
        "manifest",
        "{cluster}-{namespace}",
        "kv/creds",
        ["all"],
        "a" * 50,
        "a" * 51,
        "-a",
        "1h",
        "0h",
        "1 h",
    ),
    *(
        "900s",
        "server",
        ["server"],
        ["server", "server"],
        ["x", 1],
        [{}],
        "kv1",
        "accepted",
        "1.37",
        "2.1",
        "1.037",
    ),
    *(
        "sys",
        "auth/jwt",
        "rsa-2048",
        "vault.example.com",
        "https://kubernetes.default.svc",
        "https://vault.example.com",
        "https://a/b",
        "é",
        "a\nb",
    ),
)


def sound(kind: str) -> Any:  # noqa: ANN401 - any JSON
    texts = {"service-role": FULL_ROLE, "cluster": role_texts.CLUSTER, "boundary": FULL_BOUNDARY}
    return yaml.safe_load(texts[kind])


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - any JSON
    yield at
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in items:
        yield from places(item, (*at, key))


def target(document: Any, at: tuple[str | int, ...]) -> Any:  # noqa: ANN401 - any JSON
    for key in at[:-1]:
        document = document[key]
    return document


def mutations(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Each field gone, each with another value, each under a key that nothing knows."""
    for at in list(places(document))[1:]:
        where, key = ".".join(map(str, at)), at[-1]
        found = copy.deepcopy(document)
        del target(found, at)[key]
        yield f"no {where}", found
        for value in REPLACEMENTS:
            found = copy.deepcopy(document)
            target(found, at)[key] = value
            yield f"{where}={value!r}", found
        if isinstance(key, str):
            found = copy.deepcopy(document)
            target(found, at)[f"{key}x"] = 1
            yield f"{where}x", found


def problems(kind: str, document: Any) -> list[str]:  # noqa: ANN401 - any JSON
    """What the parser says about one file, before it is seen beside others."""
    try:
        node = load("f", yaml.safe_dump(document, allow_unicode=True).encode())
    except ProblemsError as error:
        return [problem.message for problem in error.problems]
    fields = {
        "service-role": lambda: role.parse("f", "f", node).fields,
        "cluster": lambda: cluster.parse("f", node).fields,
        "boundary": lambda: boundary.parse("f", node).fields,
    }[kind]()
    return [problem.message for problem in fields.problems]


def is_beyond_a_schema(found: list[str]) -> bool:
    """A relation between fields, or a value that needs arithmetic: only the parser can refuse it."""
    words = (
        *("again, expected a name of its own", "expected MOUNT/PATH", "without data/", "below the mount"),
        *("expected to begin with", "at most 30d", "expected a network", "another mount than serving"),
        *("the oldest node's", "expected an https URL", "https: http is for"),
    )
    return bool(found) and all(any(word in text for word in words) for text in found)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schema_and_parser_agree_on_every_changed_field(kind: str) -> None:
    schema = jsonschema.Draft202012Validator(SCHEMAS[kind])
    document = sound(kind)
    assert schema.is_valid(document)
    assert problems(kind, document) == []
    for name, found in mutations(document):
        valid, said = schema.is_valid(found), problems(kind, found)
        agreed = valid if not said else not valid or is_beyond_a_schema(said)
        assert agreed, f"{name}: schema {valid}, parser {said}"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schemas_are_schemas(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[kind])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "deploy" / "example").glob("[bcr]*s/*.yaml")), ids=lambda path: path.name
)
def test_the_example_files_follow_the_schemas(path: Path) -> None:
    kind = {"boundaries": "boundary", "clusters": "cluster", "roles": "service-role"}[path.parent.name]
    jsonschema.Draft202012Validator(SCHEMAS[kind]).validate(yaml.safe_load(path.read_text()))
