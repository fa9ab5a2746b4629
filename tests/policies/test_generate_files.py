"""What one role becomes: policy text, login and PKI roles, catalog and ConfigMaps."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies import catalog, catalog_files, names
from policies.errors import TreeError
from policies.generate import cluster_files
from policies.generate.role_files import dumps
from policies.roles import cluster as cluster_file
from policies.roles.document import load
from policies.roles.types import Cluster
from tests.policies import role_texts
from tests.policies.role_texts import CLUSTER, ROLE

ROLE_FOLDER = "east/payments/payments"


def stanzas(policy: bytes) -> list[str]:
    return [line.split('"')[1] for line in policy.decode().splitlines() if line.startswith("path ")]


def a_cluster() -> Cluster:
    return cluster_file.parse("c.yaml", load("c.yaml", CLUSTER.encode())).cluster


def test_the_policy_of_the_plain_role_golden(tmp_path: Path) -> None:
    policy = role_texts.generated(tmp_path)[f"{ROLE_FOLDER}/policy.hcl"].decode()
    header, _, body = policy.partition("\n\n")
    assert header.splitlines()[:-1] == [
        f"{names.MARK} by `podkeys policies generate`: change the role file, not this one",
        "# policy: podkeys.east.payments.payments",
        "# source: r.yaml",
        "# owner:  team-payments",
    ]
    assert header.splitlines()[-1].startswith("# digest: sha256:")
    assert (
        body
        == """\
# secret stripe
path "kv/data/payments/stripe" {
  capabilities = ["read"]
}

# certificate serving
path "pki-east/sign/podkeys.payments.payments.serving" {
  capabilities = ["update"]
  allowed_parameters = {
    "alt_names" = ["payments.payments,payments.payments.svc,payments.payments.svc.cluster.local"]
    "csr" = []
    "format" = ["pem"]
    "ip_sans" = []
    "ttl" = ["3600s"]
  }
  denied_parameters = {
    "alt_names" = [""]
  }
  required_parameters = ["alt_names", "csr"]
}
"""
    )


def test_the_files_of_a_role_are_those_of_its_accounts_and_entries(tmp_path: Path) -> None:
    files = role_texts.generated(tmp_path)
    assert sorted(files) == [
        "east/catalog.configmap.yaml",
        "east/catalog/manifest.json",
        "east/catalog/payments.json",
        "east/cluster.json",
        f"{ROLE_FOLDER}/auth.payments-api.json",
        f"{ROLE_FOLDER}/auth.payments-worker.json",
        f"{ROLE_FOLDER}/identity.payments-api.json",
        f"{ROLE_FOLDER}/identity.payments-worker.json",
        f"{ROLE_FOLDER}/pki.serving.json",
        f"{ROLE_FOLDER}/policy.hcl",
        f"{ROLE_FOLDER}/policy.payments-api.hcl",
        f"{ROLE_FOLDER}/policy.payments-worker.hcl",
    ]
    document = json.loads(files[f"{ROLE_FOLDER}/pki.serving.json"])
    assert document["path"] == "pki-east/roles/podkeys.payments.payments.serving"
    assert document["generatedFrom"] == "r.yaml"


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("path: kv/a/b", "kv/data/a/b"),
        ("path: kv/a/b, engine: kv1", "kv/a/b"),
        ("path: a/b, mount: team/kv", "team/kv/data/a/b"),
        ('path: "kv/{cluster}/{namespace}/x"', "kv/data/east/payments/x"),
        ('path: "kv/{namespace}-{cluster}"', "kv/data/payments-east"),
        ('path: x, mount: "kv-{cluster}"', "kv-east/data/x"),
        ("path: data/x, mount: kv", "kv/data/data/x"),
    ],
)
def test_a_secrets_path_becomes_the_path_of_the_api(tmp_path: Path, entry: str, path: str) -> None:
    files = role_texts.generated(tmp_path, ROLE.replace("path: kv/payments/stripe", entry))
    assert stanzas(files[f"{ROLE_FOLDER}/policy.hcl"])[0] == path
    found = catalog_files.parse_namespace(files["east/catalog/payments.json"])
    assert found.roles["payments"].secrets["stripe"].path == path


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("  identity:", "  databases:\n  - {name: orders, path: database/creds/x}\n  identity:"),
        ("podIP: true,", "revoke: true,"),
    ],
)
def test_only_roles_with_leases_get_service_tokens_and_self_calls(
    tmp_path: Path, right: str, wrong: str
) -> None:
    own = ["auth/token/renew-self", "auth/token/revoke-self", "auth/token/lookup-self", "sys/leases/renew"]
    plain, leased = (
        role_texts.generated(tmp_path / "a"),
        role_texts.generated(tmp_path / "b", ROLE.replace(right, wrong)),
    )
    assert not set(own) & set(stanzas(plain[f"{ROLE_FOLDER}/policy.hcl"]))
    assert stanzas(leased[f"{ROLE_FOLDER}/policy.hcl"])[-4:] == own
    login = f"{ROLE_FOLDER}/auth.payments-api.json"
    assert role_texts.fields(plain[login])["token_type"] == "batch"
    assert role_texts.fields(leased[login])["token_type"] == "service"


def test_two_entries_with_one_path_are_one_stanza(tmp_path: Path) -> None:
    role = ROLE.replace("kv/payments/stripe}", "kv/x}\n  - {name: again, path: kv/x}")
    policy = role_texts.generated(tmp_path, role)[f"{ROLE_FOLDER}/policy.hcl"]
    assert stanzas(policy).count("kv/data/x") == 1
    assert b"# secret again; secret stripe\n" in policy


def test_addresses_are_allowed_only_to_certificates_that_ask_for_them(tmp_path: Path) -> None:
    with_ip = role_texts.generated(tmp_path / "a")
    without = role_texts.generated(tmp_path / "b", ROLE.replace("podIP: true, ", ""))
    name = f"{ROLE_FOLDER}/pki.serving.json"
    assert role_texts.fields(with_ip[name])["allowed_ip_sans_cidr"] == ["10.244.0.0/16"]
    assert role_texts.fields(without[name])["allow_ip_sans"] is False
    assert b"ip_sans" not in without[f"{ROLE_FOLDER}/policy.hcl"]


def test_the_webhook_reads_what_is_generated(tmp_path: Path) -> None:
    """Every path and name stands in the catalog, and the manifest holds its digest."""
    files = role_texts.generated(tmp_path)
    content = files["east/catalog/payments.json"]
    manifest = catalog_files.parse_manifest(files["east/catalog/manifest.json"])
    assert manifest.files == {"payments.json": hashlib.sha256(content).hexdigest()}
    assert catalog_files.parse_cluster(files["east/cluster.json"]).min_kubelet == (1, 37)
    role = catalog_files.parse_namespace(content).roles["payments"]
    account = role.service_accounts["payments-api"]
    assert account.auth_role == "podkeys.payments.payments.payments-api"
    assert account.identity == catalog.Identity(
        "spiffe-east/sign/podkeys.payments.payments.payments-api",
        "spiffe://east.example.com/ns/payments/sa/payments-api",
        3600,
    )
    assert ",".join(role.certificates["serving"].dns_names) in files[f"{ROLE_FOLDER}/policy.hcl"].decode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('abcXYZ{}"\\é', max_size=5), inner, max_size=4)
    ),
)


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=4))
def test_the_fast_bytes_are_those_of_the_catalog(value: dict[str, object]) -> None:
    assert dumps(value) == catalog.to_bytes(value)


def roles(number: int) -> dict[str, catalog.Role]:
    return {f"role-{n}": catalog.Role(f"role-{n}", "r.yaml", "team", {}, {}, {}) for n in range(number)}


def test_config_maps_hold_the_catalog_and_stay_below_the_limit_of_a_mebibyte() -> None:
    namespaces = {f"ns-{n}": roles(200) for n in range(100)}
    files = cluster_files.generate(a_cluster(), namespaces)
    documents = list(yaml.load_all(files["east/catalog.configmap.yaml"], yaml.CSafeLoader))
    assert len(documents) > 3
    assert all(len(json.dumps(document)) < 1024 * 1024 for document in documents)
    held = {name: text.encode() for document in documents for name, text in document["data"].items()}
    expected = {path.rpartition("/")[2]: content for path, content in files.items() if path.endswith(".json")}
    assert held == expected
    assert documents[0]["metadata"]["name"] == "podkeys-cluster"


def test_a_catalog_that_shrinks_leaves_nothing_of_itself_in_the_cluster() -> None:
    """`kubectl apply` deletes nothing, so each ConfigMap that any catalog may have filled is written by every other."""

    def config_maps(number: int) -> dict[str, dict[str, str]]:
        files = cluster_files.generate(a_cluster(), {f"ns-{n}": roles(number) for n in range(40)})
        documents = yaml.load_all(files["east/catalog.configmap.yaml"], yaml.CSafeLoader)
        return {document["metadata"]["name"]: document["data"] for document in documents}

    large, small = config_maps(400), config_maps(1)
    assert large["podkeys-catalog-1"]
    assert large | small == small


def test_a_namespace_that_comes_moves_no_other_between_config_maps() -> None:
    def places(number: int) -> dict[str, str]:
        files = cluster_files.generate(a_cluster(), {f"ns-{n}": roles(60) for n in range(number)})
        documents = yaml.load_all(files["east/catalog.configmap.yaml"], yaml.CSafeLoader)
        return {name: document["metadata"]["name"] for document in documents for name in document["data"]}

    before, after = places(100), places(101)
    assert before.items() <= after.items()


def test_a_namespace_that_no_config_map_holds_is_said() -> None:
    with pytest.raises(
        TreeError, match=r"east/catalog/ns\.json: got \d+ bytes .* move roles to other namespaces"
    ):
        cluster_files.generate(a_cluster(), {"ns": roles(8000), "small": roles(1)})


def test_a_cluster_without_roles_has_an_empty_catalog() -> None:
    files = cluster_files.generate(a_cluster(), {})
    assert catalog_files.parse_manifest(files["east/catalog/manifest.json"]).files == {}
    documents = list(yaml.safe_load_all(files["east/catalog.configmap.yaml"]))
    held = [document["data"].keys() for document in documents if document["data"]]
    assert held == [{"cluster.json"}, {"manifest.json"}]
