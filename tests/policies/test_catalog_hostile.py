"""A catalog that no generator wrote is refused in a line that fits a log; what is taken can be written again."""

import json
from pathlib import Path

import pytest

from policies.catalog import namespace_json, to_bytes
from policies.catalog_files import CatalogError, parse_cluster, parse_manifest, parse_namespace

EAST = Path(__file__).parents[2] / "deploy" / "example" / "generated" / "eu-nl-prod-a"
CLUSTER = (EAST / "cluster.json").read_bytes()
PAYMENTS = (EAST / "catalog" / "payments.json").read_bytes()
LONG = "x" * 100_000


def test_what_is_read_is_written_again_as_it_was() -> None:
    assert to_bytes(namespace_json(parse_namespace(PAYMENTS))) == PAYMENTS


@pytest.mark.parametrize(
    "version",
    ["9" * 5000 + ".35", "1." + "9" * 5000, "1", "1.x", ".", "1.35\n", "\u0661.35", LONG],
)
def test_a_kubelet_version_that_is_none_is_refused(version: str) -> None:
    """A number of more than 4300 digits can't even be read."""
    content = json.dumps(json.loads(CLUSTER) | {"minKubeletVersion": version}).encode()
    with pytest.raises(
        CatalogError, match=r"minKubeletVersion: got .*, expected a version such as"
    ) as caught:
        parse_cluster(content)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b'{"version": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version": ' + b"[" * 100_000,
        b'{"version": ' + b"9" * 4000 + b"}",
        b'{"version": "' + LONG.encode() + b'"}',
        PAYMENTS.replace(b'"team-payments"', b'"\\ud800"'),
        PAYMENTS.replace(b'"payments": {', b'"' + LONG.encode() + b'": {').replace(b'"source"', b'"src"'),
        PAYMENTS.replace(b'"payments": {', b'"a\\n\\u001b[2J": {').replace(b'"source"', b'"src"'),
        b'{"version": 1, "cluster": "a", "files": {"' + LONG.encode() + b'": 1}}',
        PAYMENTS.replace(b'"kv2"', b'"' + LONG.encode() + b'"'),
        PAYMENTS.replace(b'"server"', b'"' + LONG.encode() + b'"'),
    ],
)
def test_a_refusal_is_one_line_whatever_the_file_holds(content: bytes) -> None:
    for parse in (parse_namespace, parse_manifest, parse_cluster):
        with pytest.raises(CatalogError) as caught:
            parse(content)
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()
