"""Questions to auth roles whose patterns and label selectors are looked up in a cluster, over HTTP as kubectl does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest

import podkeys
from tests.cluster import api_server
from tests.cluster.commands import podkeys as podkeys_of

PATH = "kv/data/shop"
NAMESPACES = "/api/v1/namespaces"
SELECTOR = '{"matchLabels": {"team": "pay"}}'


def listed(*labels: tuple[str, dict[str, str]]) -> bytes:
    return json.dumps(
        {"items": [{"metadata": {"name": name, "labels": one}} for name, one in labels]}
    ).encode()


HERE = listed(("pay-1", {"team": "pay"}), ("shop", {"team": "shop"}), ("team-a", {}), ("team-b", {}))


def call(*words: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        podkeys.cli, ["policies", *map(str, words)], standalone_mode=False
    )


def add(folder: Path, place: str, **fields: object) -> None:
    file = folder / "auth" / f"{place}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"data": {"token_policies": ["shop"], "token_no_default_policy": True, **fields}})
    )


def kubernetes(folder: Path, place: str, *spaces: str, selector: str = "") -> None:
    bound = {"bound_service_account_names": ["api"], "bound_service_account_namespaces": list(spaces)}
    add(folder, place, **bound, bound_service_account_namespace_selector=selector)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "policies"
    found.mkdir()
    (found / "shop.hcl").write_text(f'path "{PATH}" {{ capabilities = ["read"] }}')
    return found


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    with api_server.serving({NAMESPACES: (200, HERE)}, tmp_path) as found:
        yield found


def test_who_can_shows_beside_each_pattern_what_it_fits_now(folder: Path, kubeconfig: Path) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*", "old-*", "shop", "gone", selector=SELECTOR)
    kubernetes(folder, "k8s/role/wrong", selector="team=pay")
    result = call("who-can", "read", PATH, "--policies", folder, "--kubeconfig", kubeconfig)
    assert result.output.splitlines()[:10] == [
        "k8s/shop",
        "    api in team-*: now team-a, team-b",
        "    api in old-*: fits no namespace of this cluster now",
        "    api in shop",
        "    api in gone: fits no namespace of this cluster now",
        f"    api in namespaces with {SELECTOR}: now pay-1",
        f"    by shop.hcl:1: {PATH}",
        "k8s/wrong",
        "    api in namespaces with team=pay: the selector can't be read: got 'team=pay', expected matchLabels",
        f"    by shop.hcl:1: {PATH}",
    ]


def test_programs_get_the_namespaces_of_each_binding(folder: Path, kubeconfig: Path) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*", "old-*")
    kubernetes(folder, "k8s/role/wrong", selector="[")
    words = ("who-can", "read", PATH, "--policies", folder, "--json")
    shop, wrong = json.loads(call(*words, "--kubeconfig", kubeconfig).output)
    assert [one["now"] for one in shop["serviceAccounts"]] == [["team-a", "team-b"], []]
    [unread] = wrong["serviceAccounts"]
    assert (unread["now"], unread["why"]) == (None, "the selector can't be read: got neither JSON nor YAML")
    shop, _ = json.loads(call(*words).output)
    assert "now" not in shop["serviceAccounts"][0]


def test_claims_of_a_jwt_role_are_looked_up_like_names(folder: Path, kubeconfig: Path) -> None:
    claims = {"sub": ["system:serviceaccount:team-*:api"]}
    add(
        folder,
        "jwt/role/shop",
        role_type="jwt",
        user_claim="sub",
        bound_claims=claims,
        bound_claims_type="glob",
    )
    result = call("who-can", "read", PATH, "--policies", folder, "--kubeconfig", kubeconfig)
    assert "    api in team-*: now team-a, team-b\n" in result.output


def test_a_role_that_asks_for_labels_is_counted_where_they_are_known(folder: Path, kubeconfig: Path) -> None:
    kubernetes(folder, "k8s/role/shop", "shop", selector=SELECTOR)
    words = ("read", PATH, "--policies", folder)
    known = ("--kubeconfig", kubeconfig)
    assert call("can", "pay-1/api", *words).exit_code != 0  # nothing else is bound to it: no answer
    result = call("can", "pay-1/api", *words, *known)
    assert (result.return_value, result.stdout, result.stderr) == (0, "yes\n", "")
    assert call("explain", "pay-1/api", *words, *known).return_value == 0
    assert "k8s/shop, api in shop" in call("reach", "pay-1/api", *words[2:], *known).output
    assert "Note" not in call("can", "team-a/api", *words, *known).stderr  # known not to fit
    new = call("can", "pay-2/api", *words, *known).stderr
    assert new == (
        "Note: not counted, as they ask for labels of pay-2/api's namespace (this cluster has none of that name now): k8s/shop\n"
    )


def test_policies_are_tested_with_the_labels(folder: Path, kubeconfig: Path, tmp_path: Path) -> None:
    kubernetes(folder, "k8s/role/shop", selector=SELECTOR)
    file = tmp_path / "test.yaml"
    file.write_text(
        "apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n"
        f"- {{subject: pay-1/api, operation: read, path: {PATH}, expected: allowed}}\n"
    )
    assert call("test", file, "--policies", folder).return_value == 1
    assert call("test", file, "--policies", folder, "--kubeconfig", kubeconfig).return_value == 0


def test_a_role_of_another_clusters_mount_is_never_shown_with_namespaces_of_this_one(
    folder: Path, kubeconfig: Path
) -> None:
    kubernetes(folder, "east/role/shop", "team-*")
    kubernetes(folder, "west/role/shop", "team-*", selector=SELECTOR)
    words = ("who-can", "read", PATH, "--policies", folder, "--kubeconfig", kubeconfig)
    refused = call(*words).exception
    assert isinstance(refused, click.ClickException)
    assert refused.exit_code == 64
    assert "on the auth mounts east, west" in refused.message
    output = call(*words, "--auth-mount", "auth/east/").output
    assert "east/shop\n    api in team-*: now team-a, team-b\n" in output
    assert "west/shop\n    api in team-*\n" in output
    asked = call("can", "pay-1/api", "read", PATH, *words[3:], "--auth-mount", "east")
    assert "namespace (another cluster's, as --auth-mount says): west/shop" in asked.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--auth-mount", "k8s"), "got no cluster; give --kubeconfig"),
        (("--kubeconfig", "{}", "--auth-mount", "other"), "got other, expected one with roles for service accounts: k8s"),
        (("--address", "http://127.0.0.1:1"), "and --address http://127.0.0.1:1, expected one of them"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(
    folder: Path, kubeconfig: Path, words: tuple[str, ...], said: str
) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*")
    given = (word.format(kubeconfig) for word in words)
    error = call("who-can", "read", PATH, "--policies", folder, *given).exception
    assert isinstance(error, click.ClickException)
    assert (error.exit_code, said in error.message) == (64, True)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(403, 64, "give whoever asks the verb list on namespaces"), (404, 64, "check the kubeconfig"), (503, 69, "answered 503")],
)  # fmt: skip
def test_an_api_server_that_says_no_ends_the_question(
    folder: Path, tmp_path: Path, status: int, code: int, said: str
) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*")
    answer = status, b'{"kind": "Status", "message": "no"}'
    with api_server.serving({NAMESPACES: answer}, tmp_path) as found:
        result = call("who-can", "read", PATH, "--policies", folder, "--kubeconfig", found)
    assert (result.return_value, result.stdout) == (code, "")
    assert said in result.stderr


def test_an_api_server_that_is_not_there_is_69_and_a_kubeconfig_that_is_none_64(
    folder: Path, tmp_path: Path
) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*")
    words = ("who-can", "read", PATH, "--policies", folder)
    dead = api_server.kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert call(*words, "--kubeconfig", dead).return_value == 69
    for given in (tmp_path / "none", folder / "shop.hcl"):
        assert call(*words, "--kubeconfig", given).return_value == 64
    assert call(*words, "--kubeconfig", dead, "--context", "other").return_value == 64


def test_an_empty_kubeconfig_or_a_context_alone_is_for_the_one_that_kubectl_takes(
    folder: Path, tmp_path: Path
) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*")
    words = ("policies", "who-can", "read", PATH, "--policies=policies")
    config = tmp_path / ".kube" / "config"
    config.mkdir(parents=True)
    done = podkeys_of(tmp_path, *words, "--kubeconfig=")
    assert (done.code, "can't be read: Is a directory" in done.err) == (64, True), done
    config.rmdir()
    api_server.kubeconfig(tmp_path, "http://127.0.0.1:1").rename(config)
    for option in ("--kubeconfig=", "--context=x"):
        done = podkeys_of(tmp_path, *words, option)
        assert (done.code, "no answer" in done.err) == (69, True), done
    assert podkeys_of(tmp_path, *words).code == 0


def test_ten_thousand_namespaces_are_looked_up_at_once(folder: Path, tmp_path: Path) -> None:
    kubernetes(folder, "k8s/role/shop", "team-*", selector='matchLabels: {team: "pay"}')
    every = listed(*((f"team-{number}", {"team": "pay"}) for number in range(10_000)))
    with api_server.serving({NAMESPACES: (200, every)}, tmp_path) as found:
        start = time.process_time()
        result = call("who-can", "read", PATH, "--policies", folder, "--kubeconfig", found, "--json")
    assert time.process_time() - start < 3
    [answer] = json.loads(result.output)
    assert [len(one["now"]) for one in answer["serviceAccounts"]] == [10_000, 10_000]


def test_no_suggestion_stands_without_a_namespace(folder: Path) -> None:
    kubernetes(folder, "k8s/role/shop", selector=SELECTOR)
    error = call("can", "anything/api", "read", PATH, "--policies", folder).exception
    assert isinstance(error, click.ClickException)
    assert "/api" not in error.message.partition(";")[2]


def test_a_folder_of_tests_is_named_as_one(folder: Path) -> None:
    error = call("test", folder, "--policies", folder).exception
    assert isinstance(error, click.ClickException)
    assert f"got a folder, expected files with tests; name them: {folder}/*.yaml" in error.message
