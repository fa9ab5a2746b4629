"""The tree is untrusted: a file that reaches past its own role is refused, by its name."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.mounts import Mounts
from demo.service_accounts import Issuer
from policies import names
from policies.apply import several, tree
from policies.apply.errors import TreeError
from policies.catalog import to_bytes
from tests.policies import trees

MOUNTS = Mounts("kv", "kv1", "pki-east", "spiffe-east", "jwt-east", Issuer())
ROLE = "payments/payments"


@pytest.fixture
def made(tmp_path: Path) -> trees.Tree:
    tree_ = trees.Tree(tmp_path, trees.cluster(MOUNTS, "https://vault.example.com:8200")).start()
    tree_.role("payments", "payments")
    return tree_


def rewrite(made: trees.Tree, file: str, **changes: object) -> None:
    document = json.loads((made.root / file).read_bytes())
    (made.root / file).write_bytes(to_bytes(document | changes))


def refused(made: trees.Tree, file: str, *words: str) -> None:
    """The tree is refused, and the message names the file and says each of the words."""
    with pytest.raises(TreeError) as caught:
        tree.read(made.top, "east")
    assert str(made.root / file) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_whole_tree_gives_what_its_places_say(made: trees.Tree) -> None:
    desired = tree.read(made.top, "east")
    assert sorted(desired.items) == [
        "auth/jwt-east/role/podkeys.payments.payments.api",
        "pki-east/roles/podkeys.payments.payments.serving",
        "spiffe-east/roles/podkeys.payments.payments.api",
        "sys/policies/acl/podkeys.east.payments.payments",
        "sys/policies/acl/podkeys.east.payments.payments.api",
    ]
    assert {item.owner for item in desired.items.values()} == {
        "sys/policies/acl/podkeys.east.payments.payments"
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("NaN", "it holds NaN"),
        ("1e999", "it holds 1e999"),
        ('"\\ud800"', "the escape of a surrogate"),
        ("9" * 5000, "4300 digits"),
        ("[" * 100_000, "got no JSON"),
        ('1, "token_ttl": 2', "given twice"),
    ],
)
def test_json_that_two_readers_may_take_for_two_things_is_refused(
    made: trees.Tree, value: str, said: str
) -> None:
    for file in (f"{ROLE}/auth.api.json", "cluster.json"):
        text = (made.root / file).read_text()
        (made.root / file).write_text(text.replace("{", f'{{"token_ttl": {value}, ', 1))
        refused(made, file, said)
        (made.root / file).write_text(text)


@pytest.mark.parametrize("file", [f"{ROLE}/policy.hcl", f"{ROLE}/auth.api.json", "cluster.json"])
def test_a_file_longer_than_a_server_takes_is_not_read_to_its_end(made: trees.Tree, file: str) -> None:
    os.truncate(made.root / file, 2**40)  # holds nothing, and would fill any memory
    refused(made, file, "more than 1 MiB")


def test_what_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    with pytest.raises(TreeError, match="can't be read: File name too long"):
        tree.read(long, "east")
    with pytest.raises(TreeError, match="can't be read: File name too long"):
        several.clusters(long)


def test_a_namespace_called_catalog_shares_the_folder_of_the_catalog(made: trees.Tree) -> None:
    made.role("catalog", "web")
    assert len(tree.read(made.top, "east").items) == 10


@pytest.mark.parametrize(
    "path",
    [
        "sys/policies/acl/root",
        "sys/policies/acl/podkeys.west.payments.payments",
        "auth/jwt-west/role/podkeys.payments.payments.api",
        "auth/jwt-east/role/podkeys.shop.shop.api",
        "auth/jwt-east/role/podkeys.payments.payments.worker",
        "auth/jwt-east/role/../config",
        "/auth/jwt-east/role/podkeys.payments.payments.api",
        "",
        7,
    ],
)
@pytest.mark.parametrize("file", ["auth.api.json", "pki.serving.json", "identity.api.json"])
def test_a_file_may_only_name_the_path_of_its_place(made: trees.Tree, file: str, path: object) -> None:
    if file == "auth.api.json" or "jwt-east/role/podkeys.payments.payments.api" not in str(path):
        rewrite(made, f"{ROLE}/{file}", path=path)
        refused(made, f"{ROLE}/{file}", "path: got", "expected")


@pytest.mark.parametrize(
    "policies",
    [["root"], ["podkeys.east.payments.payments", "podkeys.east.shop.shop"], "root", [["root"]], [7], None],
)
def test_a_login_role_gives_only_its_own_policies(made: trees.Tree, policies: object) -> None:
    made.edit(f"{ROLE}/auth.api.json", token_policies=policies)
    refused(made, f"{ROLE}/auth.api.json", "token_policies", "podkeys.east.payments.payments")


def test_the_older_name_of_the_policies_field_is_refused(made: trees.Tree) -> None:
    made.edit(f"{ROLE}/auth.api.json", policies=["root"])
    refused(made, f"{ROLE}/auth.api.json", "policies")


def test_an_identity_policy_that_is_not_in_the_tree_is_not_given(made: trees.Tree) -> None:
    (made.root / ROLE / "policy.api.hcl").unlink()
    refused(made, f"{ROLE}/auth.api.json", "token_policies")


@pytest.mark.parametrize("subject", ["system:serviceaccount:shop:api", "", None, ["x"]])
def test_a_login_role_binds_the_service_account_of_its_name(made: trees.Tree, subject: object) -> None:
    made.edit(f"{ROLE}/auth.api.json", bound_subject=subject)
    refused(made, f"{ROLE}/auth.api.json", "bound_subject", "system:serviceaccount:payments:api")


@pytest.mark.parametrize(
    "change",
    [
        {"bound_service_account_names": ["*"]},
        {"bound_service_account_namespaces": ["payments", "shop"]},
        {"bound_service_account_namespace_selector": '{"matchLabels": {}}'},
        {"audience": ""},
    ],
)
def test_a_kubernetes_login_role_binds_one_account_in_one_namespace(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    of = trees.cluster(MOUNTS, "https://vault.example.com:8200", method="kubernetes")
    made = trees.Tree(tmp_path, of).start()
    made.role("payments", "payments")
    assert len(tree.read(tmp_path, "east").items) == 5
    made.edit(f"{ROLE}/auth.api.json", **change)
    refused(made, f"{ROLE}/auth.api.json", *change)


@pytest.mark.parametrize("audiences", [[], ["vault", "https://kubernetes.default.svc"], None, "vault"])
def test_a_login_role_takes_tokens_of_the_clusters_audience_alone(
    made: trees.Tree, audiences: object
) -> None:
    made.edit(f"{ROLE}/auth.api.json", bound_audiences=audiences)
    refused(made, f"{ROLE}/auth.api.json", "bound_audiences", "['vault']")


def test_a_policy_needs_the_mark(made: trees.Tree) -> None:
    (made.root / ROLE / "policy.hcl").write_text('path "a" { capabilities = ["read"] }\n')
    refused(made, f"{ROLE}/policy.hcl", names.MARK)


@pytest.mark.parametrize(
    "other",
    ["podkeys.west.payments.payments", "podkeys.east.shop.shop", "podkeys.east.payments.payments.api"],
)
def test_a_policy_copied_from_another_place_is_refused(made: trees.Tree, other: str) -> None:
    (made.root / ROLE / "policy.hcl").write_text(trees.policy_text("kv/data/x", name=other))
    refused(made, f"{ROLE}/policy.hcl", "# policy: podkeys.east.payments.payments")


def test_a_policy_with_a_second_name_is_refused(made: trees.Tree) -> None:
    """A reader that takes the first would show another role's policy to the reviewer."""
    file = made.root / ROLE / "policy.hcl"
    file.write_text(file.read_text().replace("# policy:", "# policy: podkeys.east.shop.shop\n# policy:", 1))
    refused(made, f"{ROLE}/policy.hcl", "once")


def test_a_service_role_needs_its_policy(made: trees.Tree) -> None:
    (made.root / ROLE / "policy.hcl").unlink()
    refused(made, f"{ROLE}/policy.hcl", "mark")


@pytest.mark.parametrize(
    "name",
    [
        "policy..hcl",
        "policy.API.hcl",
        "policy.a.b.hcl",
        "policy.hcl.bak",
        "policy.json",
        "auth.json",
        "auth.api.hcl",
        "auth.*.json",
        "pki..serving.json",
        "notes.md",
        ".hidden",
    ],
)
def test_a_file_that_the_generator_does_not_write_is_refused(made: trees.Tree, name: str) -> None:
    (made.root / ROLE / name).write_text(names.MARK)
    refused(made, f"{ROLE}/{name}", "unexpected")


@pytest.mark.parametrize("place", ["payments/Payments", "payments/a.b", "pay.ments/web", "payments/all..x"])
def test_a_folder_that_is_no_name_is_refused(made: trees.Tree, place: str) -> None:
    (made.root / place).mkdir(parents=True)
    refused(made, place, "expected a folder")


@pytest.mark.parametrize("place", ["notes.md", "payments/notes.md"])
def test_a_stray_file_is_refused(made: trees.Tree, place: str) -> None:
    (made.root / place).write_text("x")
    refused(made, place, "remove it")


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


@pytest.mark.parametrize("put", [_link("/etc/passwd"), _link("policy.hcl"), _link("/etc"), os.mkfifo])
@pytest.mark.parametrize(
    "place", [f"{ROLE}/policy.web.hcl", f"{ROLE}/auth.web.json", "payments/web", "shop", "catalog/web"]
)
def test_only_plain_files_and_folders_are_read(
    made: trees.Tree, place: str, put: Callable[[Path], None]
) -> None:
    """A symbolic link would let other bytes be applied than those that were reviewed; a pipe would hang."""
    put(made.root / place)
    refused(made, place, "symbolic link")


def test_the_clusters_folder_is_no_symbolic_link(made: trees.Tree, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "east").symlink_to(made.root)
    with pytest.raises(TreeError, match="no such folder"):
        tree.read(tmp_path / "other", "east")


@pytest.mark.parametrize("name", ["..", "", "east/../east", "/etc", "East", "a.b"])
def test_a_cluster_is_a_name_and_no_path(made: trees.Tree, name: str) -> None:
    with pytest.raises(TreeError, match="expected a name"):
        tree.read(made.top, name)


def test_a_cluster_that_is_not_there_says_which_are(made: trees.Tree) -> None:
    with pytest.raises(TreeError, match=r"here: east"):
        tree.read(made.top, "west")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("auth", "mount", "../sys"),
        ("auth", "mount", "jwt/../../sys"),
        ("auth", "mount", ""),
        ("auth", "mount", "jwt east"),
        ("auth", "mount", "jwt?x"),
        ("pki", "serving", "sys"),
        ("pki", "serving", "sys/policies"),
        ("pki", "identity", "identity"),
        ("pki", "identity", "auth/jwt-east"),
        ("pki", "identity", "pki-east"),
    ],
)
def test_a_mount_is_the_path_of_a_mount(made: trees.Tree, section: str, key: str, value: str) -> None:
    document = json.loads((made.root / "cluster.json").read_bytes())
    document[section][key] = value
    (made.root / "cluster.json").write_bytes(to_bytes(document))
    refused(made, "cluster.json", "mount")


def test_another_clusters_file_is_refused(made: trees.Tree) -> None:
    made.root.rename(made.top / "west")
    with pytest.raises(TreeError, match="got 'east', expected west"):
        tree.read(made.top, "west")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"version": 1}', b'{"path": 1}']
)
@pytest.mark.parametrize("file", ["cluster.json", f"{ROLE}/auth.api.json"])
def test_broken_json_is_refused(made: trees.Tree, file: str, content: bytes) -> None:
    (made.root / file).write_bytes(content)
    refused(made, file)


@pytest.mark.parametrize("data", [None, [], {}, "x"])
def test_a_role_without_fields_is_refused(made: trees.Tree, data: object) -> None:
    rewrite(made, f"{ROLE}/pki.serving.json", data=data)
    refused(made, f"{ROLE}/pki.serving.json", "data")


def test_a_key_that_is_given_twice_is_refused(made: trees.Tree) -> None:
    file = made.root / ROLE / "pki.serving.json"
    file.write_text(file.read_text().replace('"max_ttl"', '"max_ttl": "1h",\n"max_ttl"'))
    refused(made, f"{ROLE}/pki.serving.json", "given twice", "max_ttl")


def test_a_policy_that_is_no_text_is_refused(made: trees.Tree) -> None:
    (made.root / ROLE / "policy.hcl").write_bytes(names.MARK.encode() + b"\xff")
    refused(made, f"{ROLE}/policy.hcl", "UTF-8")
