"""A stanza of a JSON policy stands where its own path is written, and whoever names a place names that one."""

import json
from pathlib import Path

import click.testing
import pytest

import podkeys
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy

MAP = """{"name": "shop",
  "path": {
    "kv/data/shop": {"capabilities": ["read"]},
    "kv/metadata/": {
      "capabilities": ["list"]},

      "kv/data/closed": {"capabilities": ["deny"]}
  }
}
"""
LIST = """{
  "path": [{"kv/data/shop": {"capabilities": ["read"]}},
    {"kv/metadata/": {
      "capabilities": ["list"]}}, {"kv/data/closed": {"capabilities": ["deny"]}}]
}
"""
TWICE = """{
  "path": {"kv/data/shop": {"capabilities": ["read"]}},
  "path":
    {"kv/data/shop": {"capabilities": ["list"]}}
}
"""
PAIRED = """{
  "path" "kv/data/shop": {"capabilities": ["read"]}
}
"""
ONE_LINE = '{"path": {"ä": {"capabilities": ["read"]}, "b": {"capabilities": ["read"]}}}'


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (MAP, [("kv/data/shop", 3, 5), ("kv/metadata/", 4, 5), ("kv/data/closed", 7, 7)]),
        (LIST, [("kv/data/shop", 2, 13), ("kv/metadata/", 3, 6), ("kv/data/closed", 4, 36)]),
        (TWICE, [("kv/data/shop", 2, 12), ("kv/data/shop", 4, 6)]),
        (PAIRED, [("kv/data/shop", 2, 10)]),
        (ONE_LINE, [("ä", 1, 11), ("b", 1, 44)]),
        ('{\n "path": {}}', [("path", 2, 2)]),
        ('path\n "a" {}\n  path "b" {}', [("a", 1, 1), ("b", 3, 3)]),
    ],
    ids=["map", "list", "twice", "without a colon", "one line", "no path", "HCL"],
)
def test_each_stanza_has_the_place_of_its_own_path(text: str, places: list[tuple[str, int, int]]) -> None:
    found = parse_policy(text, "shop.json").stanzas
    assert [(stanza.path, stanza.line, stanza.column) for stanza in found] == places


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (MAP.replace("list", "lst"), (4, 5)),
        (MAP.replace('"capabilities": ["list"]', '"capability": ["list"]'), (5, 7)),
        (LIST.replace("deny", "dny"), (4, 36)),
        (LIST.replace('["deny"]', '"deny"'), (4, 71)),
    ],
    ids=["capability", "attribute", "capability in a list", "value"],
)
def test_a_refusal_of_a_stanza_is_in_it(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "shop.json")
    assert (caught.value.line, caught.value.column) == place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy with a finding and a denial, and an auth role that has it."""
    (tmp_path / "auth" / "k8s" / "role").mkdir(parents=True)
    (tmp_path / "shop.json").write_text(MAP)
    role = {
        "token_policies": ["shop"],
        "token_no_default_policy": True,
        "bound_service_account_names": ["web"],
        "bound_service_account_namespaces": ["shop"],
    }
    (tmp_path / "auth" / "k8s" / "role" / "shop.json").write_text(json.dumps({"data": role}, indent=1))
    return tmp_path


def call(*arguments: str | Path) -> str:
    return (
        click.testing.CliRunner()
        .invoke(podkeys.cli, ["policies", *map(str, arguments)], standalone_mode=False)
        .output
    )


def test_those_who_print_a_place_print_that_of_the_stanza(folder: Path) -> None:
    assert f"{folder}/shop.json:4:5: PK115 " in call("lint", "--policies", folder)
    [run] = json.loads(call("lint", "--policies", folder, "--format", "sarif"))["runs"]
    [region] = [
        result["locations"][0]["physicalLocation"]["region"]
        for result in run["results"]
        if result["ruleId"] == "PK115"
    ]
    assert (region["startLine"], region["startColumn"]) == (4, 5)
    assert " shop.json:3: kv/data/shop" in call("who-can", "read", "kv/data/shop", "--policies", folder)
    explained = call("explain", "k8s/shop", "read", "kv/data/closed", "--policies", folder)
    assert "remove the denial at shop.json:7" in explained
