"""What the server can answer, or not: each becomes one message that says what to do, and an exit code."""

import contextlib
import dataclasses
import gzip
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import click.testing
import pytest
import requests

from demo import mounts, openbao
from demo.mounts import Mounts
from demo.service_accounts import Issuer
from policies.apply import cli, plan, run, tree
from policies.apply.answer import TooMuchError, whole
from policies.apply.errors import ApplyError, RefusedError, TokenError, UnreachableError
from policies.apply.permissions import applying_policy
from policies.apply.server import connect
from policies.catalog import Cluster
from tests.policies import trees
from tests.policies.listening import Handler, Listener, listening

MOUNTS = Mounts("kv", "kv1", "pki-east", "spiffe-east", "jwt-east", Issuer())
TOKEN = "canary-of-a-token"
Answer = tuple[int, dict[str, str], bytes]
HEALTHY: Answer = (200, {}, b'{"initialized": true, "sealed": false, "version": "2.7.2"}')


class Scripted(Listener):
    """Gives what no healthy server gives: one answer a path, and keeps what it was asked."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, str]]] = []


class _Scripted(Handler):
    server: Scripted

    def answer(self) -> None:
        self.read_body()
        path = self.path.partition("?")[0].removeprefix("/v1/")
        self.server.asked.append((self.command, path, dict(self.headers)))
        self.reply(*self.server.answers.get(path, (404, {}, b'{"errors": []}')))


def scripted(answers: dict[str, Answer]) -> AbstractContextManager[Scripted]:
    return listening(Scripted({"sys/health": HEALTHY, **answers}))


def at(address: str, *, ca_pem: str = "") -> Cluster:
    return trees.cluster(MOUNTS, address, ca_pem=ca_pem)


def failure(cluster: Cluster, address: str = "", token: str = TOKEN) -> ApplyError:
    with (
        pytest.raises(ApplyError) as caught,
        connect(cluster, token, address, timeout=(0.5, 0.5)) as server,
    ):
        server.names("sys/policies/acl")
    assert TOKEN not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("status", [429, 473, 500, 502, 503, 504])
def test_an_answer_that_says_not_now_is_no_answer(status: int) -> None:
    with scripted({"sys/policies/acl": (status, {}, b'{"errors": ["busy"]}')}) as server:
        error = failure(at(server.address))
        assert isinstance(error, UnreachableError)
        assert f"LIST sys/policies/acl at {server.address}: {status}: busy" in str(error)


def test_an_empty_reason_and_a_page_of_html_are_put_up_with(tmp_path: Path) -> None:
    page = b"<html>\n<b>Bad\x1b[2K gateway</b>" + b"x" * 10_000
    with scripted({"sys/policies/acl": (502, {"Content-Type": "text/html"}, page)}) as server:
        made = trees.Tree(tmp_path, at(server.address)).start()
        text = run_plan(made, BAO_TOKEN=TOKEN).output
        assert "<html> <b>Bad\\x1b[2K gateway" in text
        assert len(text) < 700
    with scripted({"sys/policies/acl": (500, {}, b'{"errors": []}')}) as server:
        assert "no reason given" in str(failure(at(server.address)))


ODD: list[bytes] = [
    *(
        b"{}",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": {"keys": "podkeys"}}',
        b'{"data": {"keys": [1]}}',
    ),
    *(b"<html>", b'{"a":' * 100_000),
]


@pytest.mark.parametrize("body", ODD, ids=lambda body: body[:30].decode())
def test_an_answer_of_another_shape_is_no_bug_of_ours(body: bytes) -> None:
    with scripted({"sys/policies/acl": (200, {}, body)}) as server:
        error = failure(at(server.address))
        assert (error.exit_code, "sys/policies/acl" in str(error)) == (69, True)


def test_a_policy_that_is_no_text_is_no_bug_of_ours() -> None:
    path = "sys/policies/acl/podkeys.east.a.b"
    with (
        scripted({path: (200, {}, b'{"data": {"policy": {}}}')}) as other,
        connect(at(other.address), TOKEN) as server,
        pytest.raises(UnreachableError, match="expected the text of a policy"),
    ):
        server.read(path)


def test_what_is_no_vault_is_told_apart() -> None:
    with scripted({"sys/health": (200, {}, b"<html>hello</html>")}) as server:
        error = failure(at(server.address))
        assert (error.exit_code, "no health report" in str(error)) == (69, True)


@pytest.mark.parametrize("place", ["sys/health", "sys/policies/acl"])
def test_a_redirect_is_not_followed_with_the_token(place: str) -> None:
    """Invariant: no token goes where nobody said that it should."""
    with scripted({}) as other:
        headers = {"Location": f"{other.address}/v1/sys/policies/acl"}
        with scripted({place: (307, headers, b"")}) as server:
            error = failure(at(server.address))
            assert other.address in str(error)
            assert error.exit_code == 69
        assert other.asked == []


def test_a_token_that_is_sent_back_is_not_shown() -> None:
    """Invariant: no token in an error message, whatever stands at the address."""
    echo = f'{{"errors": ["what is {TOKEN}?"]}}'.encode()
    place = {"Location": f"https://elsewhere.example.com/?token={TOKEN}"}
    for path, answer in (("sys/policies/acl", (401, {}, echo)), ("sys/health", (307, place, b""))):
        with scripted({path: answer}) as server:
            assert "(the token)" in str(failure(at(server.address)))


class Dripping(Listener):
    """Takes ten seconds and more over a body, and is never silent for long."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Dripping)
        self.stop = threading.Event()


class _Dripping(Handler):
    server: Dripping

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for _ in range(500):  # bounded, so that a client that waits is seen to
                if self.server.stop.wait(0.02):
                    break
                self.wfile.write(b" ")
                self.wfile.flush()
        self.close_connection = True


def test_a_server_that_drips_the_body_of_an_answer_is_left_in_time() -> None:
    with listening(Dripping()) as server:
        start = time.monotonic()
        error = failure(at(server.address))
        server.stop.set()
        assert time.monotonic() - start < 5
    assert (error.exit_code, "not complete after 0.5 s" in str(error)) == (69, True)


def test_an_answer_without_end_is_not_kept() -> None:
    """Also one that grows here: what counts is what it takes when unpacked."""
    packed = gzip.compress(bytes(10_000_000))
    with scripted({"a": (200, {"Content-Encoding": "gzip"}, packed)}) as server:
        response = requests.get(f"{server.address}/v1/a", stream=True, timeout=5)
        with pytest.raises(TooMuchError, match="more than 1000000 bytes"):
            whole(response, 5, 1_000_000)


def test_a_standby_is_asked_for_what_was_just_written() -> None:
    """It answers reads by itself, and stale, until it has seen our write: the read-back must not be fooled."""
    role = "pki-east/roles/podkeys.a.b.c"
    answers = {role: (200, {"X-Vault-Index": "index-7"}, b'{"data": {}}')}
    with scripted(answers) as standby, connect(at(standby.address), TOKEN) as server:
        server.read(role)
        server.write(role, {})
        server.read(role)
    before, _, after = [headers for _, path, headers in standby.asked if path == role]
    assert "X-Vault-Index" not in before
    assert after["X-Vault-Index"] == "index-7"
    assert after["X-Vault-Inconsistent"] == "forward-active-node"


def test_one_connection_carries_a_whole_run() -> None:
    with scripted({}) as scripted_server, connect(at(scripted_server.address), TOKEN) as server:
        for _ in range(20):
            server.read("pki-east/roles/x")
        assert len(server._adapter.session.adapters["http://"].poolmanager.pools) == 1
        (pool,) = server._adapter.session.adapters["http://"].poolmanager.pools._container.values()
        assert pool.num_connections == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example.com:8200",
        "http://10.0.0.1:8200",
        "http://localhost.example.com",
        "ftp://vault.example.com",
        "vault.example.com",
        "https://",
        "https://user:canary-of-a-password@vault.example.com",
        "https://vault.example.com/v1",
        "https://vault.example.com?x=1",
        "https://vault.example.com:99999",
        "https://[::1",
    ],
)
def test_an_address_that_is_not_usable_is_refused_before_the_token_leaves(address: str) -> None:
    error = failure(at(address))
    assert isinstance(error, RefusedError)
    assert "expected" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("token", ["", " ", "two words", "line\nbreak", "Ünicode", "nul\0"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    error = failure(at("https://vault.example.com"), token=token)
    assert isinstance(error, TokenError)
    assert token.strip() == "" or token not in str(error)


@pytest.mark.parametrize("namespace", ["a\r\nX-Vault-Token: b", "\u20ac", "two words"])
def test_a_namespace_that_no_header_can_hold_is_refused(namespace: str) -> None:
    error = failure(dataclasses.replace(at("https://vault.example.com"), vault_namespace=namespace))
    assert (error.exit_code, "the server's namespace: got" in str(error)) == (1, True)
    assert "\n" not in str(error)


def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = failure(at(f"http://127.0.0.1:{bound.getsockname()[1]}"))
    assert error.exit_code == 69
    assert "refused" in str(error)


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    assert failure(at("https://vault.invalid:8200")).exit_code == 69


def test_a_server_that_never_answers_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        error = failure(at(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - start < 5
    assert error.exit_code == 69
    assert "timed out" in str(error)


def test_a_proxy_of_the_environment_does_not_see_a_token_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted({}) as proxy, scripted({}) as server:
        monkeypatch.setenv("http_proxy", proxy.address)
        with connect(at(server.address), TOKEN) as session:
            session.names("sys/policies/acl")
        assert proxy.asked == []
        assert len(server.asked) == 2


def test_a_sealed_and_an_uninitialised_server_say_so() -> None:
    with openbao.running() as server:
        server.call("PUT", "sys/seal")
        error = failure(at(server.address), token=server.root_token)
        assert (error.exit_code, "sealed" in str(error)) == (69, True)
    health = json.dumps({"initialized": False, "sealed": True}).encode()
    with scripted({"sys/health": (200, {}, health)}) as server_:
        assert "not initialised" in str(failure(at(server_.address)))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An OpenBao with TLS: its address and its authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    port = openbao._free_pair()
    process = subprocess.Popen(
        [
            openbao.binary(),
            "server",
            "-dev",
            "-dev-no-store-token",
            "-dev-tls",
            f"-dev-tls-cert-dir={folder}",
            f"-dev-root-token-id={TOKEN}",
            f"-dev-listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(folder)},
    )
    try:
        yield f"https://127.0.0.1:{port}", _authority(folder, port)
    finally:
        process.terminate()
        process.wait(10)


def _authority(folder: Path, port: int) -> str:
    """Wait until the server answers, which it does once its certificates are written."""
    for _ in range(400):
        try:
            authority = next(folder.glob("*ca*.pem")).read_text()
            with connect(at(f"https://127.0.0.1:{port}", ca_pem=authority), TOKEN):
                return authority
        except (StopIteration, UnreachableError):
            time.sleep(0.02)
    pytest.fail("OpenBao with TLS did not start")


def test_the_authority_of_the_cluster_file_is_trusted_and_no_other(tls: tuple[str, str]) -> None:
    address, authority = tls
    with connect(at(address, ca_pem=authority), TOKEN) as server:
        assert "default" in server.names("sys/policies/acl")
    error = failure(at(address))
    assert error.exit_code == 69
    assert "certificate is not trusted" in str(error)
    assert "spec.vault.caFile" in str(error)


def test_http_to_a_tls_port_and_an_authority_that_is_none_are_unreachable(tls: tuple[str, str]) -> None:
    address, _ = tls
    broken = failure(at(address, ca_pem="not PEM"))
    assert (broken.exit_code, "caPEM in cluster.json is PEM" in str(broken)) == (69, True)
    assert failure(at(address.replace("https", "http"))).exit_code == 69


def test_a_server_that_dies_half_way_leaves_what_was_done(tmp_path: Path) -> None:
    with openbao.running() as bao:
        mounts.create(bao, MOUNTS)
        made = trees.Tree(tmp_path, at(bao.address)).start()
        made.role("payments", "payments")
        with connect(made.cluster, bao.root_token) as server:
            desired = tree.read(tmp_path, "east")
            decided = plan.decide(desired, run.read_current(server, desired.cluster))
            steps = run.execute(decided, server)
            next(steps)
            next(steps)
            bao.process.terminate()
            bao.process.wait(10)
            with pytest.raises(ApplyError, match="stopped at 3 of 5 changes") as caught:
                next(steps)
        assert caught.value.exit_code == 69


def run_plan(made: trees.Tree, *more: str, **environment: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        cli.plan,
        ["--cluster", "east", "--generated", str(made.top), *more],
        env={"VAULT_TOKEN": "", "BAO_TOKEN": "", **environment},
        standalone_mode=False,
    )


def test_a_token_comes_from_the_file_or_the_environment_and_never_from_home(tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("from-home")
    (tmp_path / "token").write_text("from-file\n")
    with scripted({}) as server:
        made = trees.Tree(tmp_path / "generated", at(server.address)).start()
        none = run_plan(made, HOME=str(tmp_path))
        assert (none.return_value, server.asked) == (1, [])
        assert "BAO_TOKEN" in none.output
        assert "--token-file" in none.output
        assert applying_policy(made.cluster) in none.output
        for expected, more, environment in (
            ("from-file", ["--token-file", str(tmp_path / "token")], {"BAO_TOKEN": "from-bao"}),
            ("from-bao", [], {"BAO_TOKEN": "from-bao", "VAULT_TOKEN": "from-vault"}),
            ("from-vault", [], {"VAULT_TOKEN": "from-vault"}),
        ):
            server.asked.clear()
            assert run_plan(made, *more, **environment).return_value == 0
            assert {headers["X-Vault-Token"] for _, _, headers in server.asked} == {expected}


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    made = trees.Tree(tmp_path / "generated", at("http://127.0.0.1:1")).start()
    result = run_plan(made, "--token-file", str(tmp_path / "nowhere"))
    assert result.return_value == 1
    assert "nowhere" in result.output


def test_a_bad_tree_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    result = run_plan(trees.Tree(tmp_path, at("http://127.0.0.1:1")), BAO_TOKEN=TOKEN)
    assert result.return_value == 1
    assert "no such folder" in result.output


def test_another_address_can_be_given(tmp_path: Path) -> None:
    with scripted({}) as server:
        made = trees.Tree(tmp_path, at("https://vault.example.com")).start()
        assert run_plan(made, "--address", server.address, BAO_TOKEN=TOKEN).return_value == 0


def test_an_older_server_is_told_about_in_the_plan(tmp_path: Path) -> None:
    health = b'{"initialized": true, "sealed": false, "version": "2.5.3"}'
    with scripted({"sys/health": (200, {}, health)}) as server:
        made = trees.Tree(tmp_path, at(server.address)).start()
        made.role("payments", "payments")
        assert "! OpenBao 2.5.3 is older than 2.6.2" in run_plan(made, BAO_TOKEN=TOKEN).output


def test_a_policy_that_goes_away_while_it_is_read_is_not_there(tmp_path: Path) -> None:
    listed = b'{"data": {"keys": ["podkeys.east.old.old"]}}'
    with scripted({"sys/policies/acl": (200, {}, listed)}) as server:
        made = trees.Tree(tmp_path, at(server.address)).start()
        assert run_plan(made, BAO_TOKEN=TOKEN).output == "Plan for east: no changes\n"


def test_an_answer_that_nobody_expects_is_shown() -> None:
    with scripted({"sys/policies/acl": (418, {}, b"teapot")}) as server:
        error = failure(at(server.address))
        assert (error.exit_code, "418: teapot; expected 200 or 204" in str(error)) == (1, True)
