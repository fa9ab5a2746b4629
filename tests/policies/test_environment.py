"""What stands in the environment for `bao` and `vault` reaches no server unasked, whichever command connects."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import podkeys
from demo import tls
from demo.mounts import Mounts
from demo.service_accounts import Issuer
from policies.apply.credentials import Target, target
from policies.apply.errors import RefusedError
from tests.cluster import api_server
from tests.policies import trees
from tests.policies.listening import Handler
from tests.policies.recording import OPENBAO, VAULT, Certified, Received, Recording, certified, plain

MOUNTS = Mounts("kv", "kv1", "pki-east", "spiffe-east", "jwt-east", Issuer())
TOKEN = "canary-of-a-token"
TREE = ("policies plan", "policies apply", "cluster check", "cluster bootstrap")
WORDS = {
    "policies plan": (),
    "policies apply": (),
    "cluster check": (),
    "cluster bootstrap": (),
    "policies can": ("shop", "read", "kv/data/a"),
    "policies explain": ("shop", "read", "kv/data/a"),
    "policies who-can": ("read", "kv/data/a"),
    "policies reach": ("shop",),
    "policies test": ("tests.yaml",),
    "policies lint": (),
    "policies drift": (),
    "policies bundle": ("--transit", "transit/review", "-o", "bundle.json"),
}
CONNECTING = {
    "policies.apply.session",
    "policies.apply.bundle_cli",
    "policies.review.live_cli",
    "cluster.run",
}


@dataclass(frozen=True)
class Room:
    """A folder with a tree; the server that is meant, another one that the environment names, and that environment."""

    folder: Path
    meant: Certified
    trap: Certified
    environment: dict[str, str]
    kubeconfig: Path

    def run(
        self, command: str, *more: str, ca_pem: str | None = None, namespace: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        words = [*command.split(), *WORDS[command], *self._where(command, ca_pem, namespace), *more]
        return subprocess.run(
            [sys.executable, "-m", "podkeys", *words],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def _where(self, command: str, ca_pem: str | None, namespace: str) -> Sequence[str]:
        """The meant server, as the command takes it."""
        address = self.meant.server.address
        if command in TREE:
            text = self.meant.ca_file.read_text() if ca_pem is None else ca_pem
            made = trees.Tree(
                self.folder / f"tree-{len(list(self.folder.iterdir()))}",
                trees.cluster(MOUNTS, address, ca_pem=text, vault_namespace=namespace),
            )
            made.start()
            kube = (f"--kubeconfig={self.kubeconfig}",) if command.startswith("cluster") else ()
            return ("--cluster", "east", "--generated", str(made.top), *kube)
        ca = ("--ca-file", str(self.meant.ca_file)) if ca_pem is None else ()
        return ("--address", address, *ca)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("environment")
    (folder / "client").mkdir()
    certificate, key = tls.write_pair(folder / "client")
    trees.Tree(folder / "generated", trees.cluster(MOUNTS, "https://vault.example.com")).start()
    (folder / "tests.yaml").write_text(
        "apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n"
        "- {subject: shop, operation: read, path: kv/data/a, expected: denied}\n"
    )
    (folder / ".vault-token").write_text("from-home")
    (folder / ".netrc").write_text("machine 127.0.0.1 login somebody password canary\n")
    (folder / ".netrc").chmod(0o600)
    with (
        certified(folder / "meant", certificate) as meant,
        certified(folder / "trap", certificate) as trap,
        api_server.serving(api_server.documents(MOUNTS.issuer), folder) as kubeconfig,
    ):
        both = {
            "ADDR": trap.server.address,
            "NAMESPACE": "stray",
            "CACERT": str(trap.ca_file),
            "CAPATH": str(trap.ca_file.parent),
            "CLIENT_CERT": str(certificate),
            "CLIENT_KEY": str(key),
            "SKIP_VERIFY": "true",
            "TOKEN": TOKEN,
            "TLS_SERVER_NAME": "stray.example.com",
            "HTTP_PROXY": "http://127.0.0.1:1",
            "PROXY_ADDR": "http://127.0.0.1:1",
            "AGENT_ADDR": trap.server.address,
        }
        own = {
            name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")
        }
        environment = own | {
            f"{family}_{name}": value for family in ("BAO", "VAULT") for name, value in both.items()
        }
        environment |= {
            "HOME": str(folder),
            "NETRC": str(folder / ".netrc"),
            "REQUESTS_CA_BUNDLE": str(trap.ca_file),
            "CURL_CA_BUNDLE": str(trap.ca_file),
        }
        yield Room(folder, meant, trap, environment, kubeconfig)


@pytest.fixture(autouse=True)
def _fresh(room: Room) -> None:
    for one in (room.meant, room.trap):
        one.server.received.clear()


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command:
            yield " ".join((*path, name)), command


def test_every_command_that_takes_a_server_is_tried() -> None:
    """Invariant: a command that is added with a token or an address has to be added to this test."""
    taking = {
        name
        for name, command in commands(podkeys.cli)
        if {"token_file", "address"} & {parameter.name for parameter in command.params}
    }
    assert taking == set(WORDS)
    top = Path(podkeys.__file__).parent
    modules = (
        path for room in ("policies", "cluster", "certs", "webhook") for path in (top / room).rglob("*.py")
    )
    connecting = {
        ".".join(path.relative_to(top).with_suffix("").parts)
        for path in modules
        if re.search(r"apply\.server import .*\bconnect\b|servers\.connect\(", path.read_text())
    }
    assert connecting == CONNECTING


@pytest.mark.parametrize("command", WORDS)
def test_what_the_environment_says_of_a_server_reaches_none(room: Room, command: str) -> None:
    """Invariant: of all these variables only the token is sent, and to the server that the command names."""
    done = room.run(command)
    received = room.meant.server.received
    assert received, done.stdout + done.stderr
    assert not any(one.certified for one in received)
    assert {one.headers.get("X-Vault-Token") for one in received} == {TOKEN}
    assert not any({"X-Vault-Namespace", "Authorization"} & one.headers.keys() for one in received)
    assert room.trap.server.received == []
    for variable in ("VAULT_ADDR", "BAO_ADDR", "VAULT_NAMESPACE", "BAO_NAMESPACE"):
        assert f"{variable} (" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("command", WORDS)
def test_a_ca_of_the_environment_verifies_no_server(room: Room, command: str) -> None:
    """Neither beside the CA that is given, nor where none is."""
    trusting = {
        name: str(room.meant.ca_file)
        for name in ("VAULT_CACERT", "BAO_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    }
    done = room.run(command, ca_pem="", **trusting)
    assert done.returncode == 69, done.stdout + done.stderr
    assert "certificate is not trusted" in done.stdout + done.stderr
    assert room.meant.server.received == []


QUESTIONS = [name for name in WORDS if name not in TREE]


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_asks_the_server_of_the_environment_where_it_is_told_to(room: Room, command: str) -> None:
    done = room.run(command, "--address", "env")
    received = room.trap.server.received
    assert received == [], "the CA that is given on the command line goes before that of the environment"
    assert done.returncode == 69
    done = room.run(command, "--address", "env", ca_pem="")
    assert {one.headers.get("X-Vault-Namespace") for one in received if one.path != "sys/health"} == {"stray"}
    assert not any(one.certified for one in received)
    assert room.meant.server.received == []
    assert "is not used" not in done.stderr


@pytest.mark.parametrize("command", TREE)
def test_what_works_on_a_cluster_takes_no_address_of_the_environment(room: Room, command: str) -> None:
    done = room.run(command, "--address", "env")
    assert done.returncode == 1
    assert "the server's address is not usable" in done.stdout + done.stderr
    assert (room.meant.server.received, room.trap.server.received) == ([], [])


def test_the_environment_of_one_product_is_not_mixed_with_the_others() -> None:
    nothing = Target("env", "", None)
    bao = {"BAO_ADDR": "https://bao.example.com", "BAO_CACERT": "bao.pem"}
    vault = {
        "VAULT_ADDR": "https://vault.example.com",
        "VAULT_NAMESPACE": "teams",
        "VAULT_CACERT": "vault.pem",
    }
    assert target(nothing, bao | vault) == Target("https://bao.example.com", "", Path("bao.pem"))
    assert target(nothing, vault) == Target("https://vault.example.com", "teams", Path("vault.pem"))
    given = Target("env", "own", Path("own.pem"))
    assert target(given, vault) == Target("https://vault.example.com", "own", Path("own.pem"))
    assert target(Target("https://a", "", None), vault) == Target("https://a", "", None)
    with pytest.raises(RefusedError, match="neither BAO_ADDR nor VAULT_ADDR"):
        target(nothing, {"VAULT_ADDR": " "})


@pytest.mark.parametrize("command", WORDS)
def test_a_token_of_the_home_folder_is_taken_where_it_is_named(room: Room, command: str) -> None:
    nothing = {"BAO_TOKEN": "", "VAULT_TOKEN": ""}
    room.run(command, **nothing)
    assert room.meant.server.received == []
    room.run(command, "--token-file=~/.vault-token", **nothing)
    assert {one.headers["X-Vault-Token"] for one in room.meant.server.received} == {"from-home"}


@pytest.mark.parametrize(
    "command", [name for name in WORDS if name not in ("policies plan", "policies apply")]
)
def test_a_namespace_is_refused_where_the_server_has_none(room: Room, command: str) -> None:
    """HashiCorp Vault Community would ignore it in silence, and answer for its root."""
    more = () if command in TREE else ("--server-namespace", "teams")
    refusal = "has no namespaces, and would answer for its root: got the namespace teams"
    for health, version in ((VAULT, "HashiCorp Vault 1.21.4"), (OPENBAO, "")):
        room.meant.server.health = health
        room.meant.server.received.clear()
        done = room.run(command, *more, namespace="teams")
        paths = [one.path for one in room.meant.server.received]
        assert (f"{version} {refusal}" in done.stderr) == (health is VAULT), done.stderr
        assert (paths == ["sys/health"]) == (health is VAULT)
        sent = {one.headers.get("X-Vault-Namespace") for one in room.meant.server.received[1:]}
        assert sent == (set() if health is VAULT else {"teams"})


class _Proxy(Handler):
    """Refuses, and keeps what it was sent."""

    server: Recording

    def answer(self) -> None:
        self.server.received.append(Received(self.command, self.path, dict(self.headers), certified=False))
        self.reply(403, {}, b"")


def test_a_proxy_of_the_environment_sees_the_name_of_the_server_and_nothing_else(room: Room) -> None:
    """Through it goes TLS; NO_PROXY goes around it."""
    server = room.meant.server
    with plain() as proxy:
        proxy.RequestHandlerClass = _Proxy
        done = room.run("policies lint", HTTPS_PROXY=proxy.address)
        assert (done.returncode, server.received) == (69, [])
        (received,) = proxy.received
        assert (received.method, received.path) == ("CONNECT", server.address.removeprefix("https://"))
        assert TOKEN not in str(received)
        room.run("policies lint", HTTPS_PROXY=proxy.address, NO_PROXY="127.0.0.1")
        assert len(proxy.received) == 1
        assert server.received
