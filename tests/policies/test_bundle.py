"""`bundle`, `verify` and `apply --require-bundle`: nothing is applied that was not reviewed."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import click.testing
import pytest

import podkeys
from demo.openbao import Server
from policies.apply import tree
from policies.apply.bundle import digests
from policies.apply.errors import TreeError

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example" / "generated"
CLUSTER = "eu-nl-prod-a"
POLICY = f"{CLUSTER}/payments/payments/policy.hcl"


def call(*arguments: str | Path, **environment: str) -> click.testing.Result:
    words = ["policies", *map(str, arguments)]
    return click.testing.CliRunner().invoke(podkeys.cli, words, env=environment, standalone_mode=False)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A tree, and keys as the help says to make them."""
    shutil.copytree(EXAMPLE, tmp_path / "generated")
    for command in (
        "openssl genpkey -algorithm ed25519 -out review.pem",
        "openssl pkey -in review.pem -pubout -out review.pub.pem",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def sign(base: Path) -> click.testing.Result:
    return call(
        "bundle", "--generated", base / "generated", "--key", base / "review.pem", "-o", base / "bundle.json"
    )


def verify(base: Path, *flags: str | Path) -> click.testing.Result:
    where = ("--generated", base / "generated", "--public-key", base / "review.pub.pem")
    return call("verify", base / "bundle.json", *where, *flags)


def test_a_signed_tree_is_verified_and_the_same_tree_makes_the_same_bundle(base: Path) -> None:
    assert sign(base).return_value == 0
    first = (base / "bundle.json").read_bytes()
    assert verify(base).output == f"{len(digests(EXAMPLE))} files as they were signed.\n"
    sign(base)
    assert (base / "bundle.json").read_bytes() == first


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda top: (top / POLICY).write_text("x"), f"{POLICY}: changed since"),
    "added": (lambda top: (top / CLUSTER / "new.hcl").write_text(""), f"{CLUSTER}/new.hcl: not reviewed"),
    "removed": (lambda top: (top / POLICY).unlink(), f"{POLICY}: missing"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_file_that_is_changed_added_or_removed_is_told(base: Path, kind: str) -> None:
    sign(base)
    change, said = CHANGES[kind]
    change(base / "generated")
    result = verify(base)
    assert (result.return_value, result.output) == (1, f"{said}\n")
    assert json.loads(verify(base, "--json").output)["differences"] == [said]


def test_a_link_in_the_tree_is_refused(base: Path) -> None:
    (base / "generated" / "link").symlink_to("/etc")
    assert "no symbolic link" in sign(base).output


@pytest.mark.parametrize("field", ["files", "signature"])
def test_a_bundle_that_was_touched_is_refused(base: Path, field: str) -> None:
    sign(base)
    document = json.loads((base / "bundle.json").read_text())
    document[field] = {} if field == "files" else "A" * 86 + "=="
    (base / "bundle.json").write_text(json.dumps(document))
    result = verify(base)
    assert result.return_value == 1
    assert "none of the given keys signed it" in result.output


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"kind": "Bundle"}', '{"signature": "!"}', "[" * 100_000]
)
def test_what_is_no_bundle_is_refused(base: Path, text: str) -> None:
    (base / "bundle.json").write_text(text)
    assert "expected what `podkeys policies bundle` wrote" in verify(base).output


def test_a_key_of_another_kind_is_refused_and_not_shown(base: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            base / "review.pem",
        ],
        check=True,
        capture_output=True,
    )
    result = sign(base)
    assert (result.return_value, "expected an Ed25519 private key" in result.output) == (1, True)
    assert "PRIVATE" not in result.output


def test_the_private_key_as_the_public_one_is_named_and_no_command_is_shown_that_overwrites_it(
    base: Path,
) -> None:
    (base / "mine.pem").write_bytes((base / "review.pem").read_bytes())
    sign(base)
    result = call("verify", base / "bundle.json", "--public-key", base / "mine.pem")
    assert (result.return_value, "got a private key" in result.output) == (1, True)
    assert "-out review.pub.pem" in result.output


def test_a_key_that_is_not_there_is_said_to_be_missing(base: Path) -> None:
    sign(base)
    result = call("verify", base / "bundle.json", "--public-key", base / "gone.pem")
    assert "gone.pem: can't be read: No such file or directory" in result.output


def test_a_second_key_that_is_none_is_told_though_the_first_fits(base: Path) -> None:
    sign(base)
    result = verify(base, "--public-key", base / "review.pem")
    assert (result.return_value, "got a private key" in result.output) == (1, True)


def reviewed_tree(base: Path) -> dict[str, str]:
    return digests(base / "generated")


@pytest.mark.parametrize("kind", ["changed", "added", "removed"])
def test_a_tree_is_read_for_apply_only_as_it_was_reviewed(base: Path, kind: str) -> None:
    """Each file is checked as it is read, so that none can be swapped between the check and its use."""
    top, reviewed = base / "generated", reviewed_tree(base)
    assert tree.read(top, CLUSTER, reviewed).items == tree.read(top, CLUSTER).items
    role = top / CLUSTER / "payments" / "payments"
    if kind == "changed":
        file = role / "policy.hcl"
        file.write_text(file.read_text().replace('["read"]', '["read", "update"]'))
    elif kind == "added":
        reviewed.pop(f"{CLUSTER}/payments/payments/pki.serving.json")
    else:
        shutil.rmtree(top / CLUSTER / "accounting" / "nightly-report")
    with pytest.raises(
        TreeError, match={"changed": "changed since", "added": "not reviewed", "removed": "missing"}[kind]
    ):
        tree.read(top, CLUSTER, reviewed)


def test_apply_refuses_before_it_speaks_to_the_server(base: Path) -> None:
    """With an address where nobody is: an answer from there would be exit code 69."""
    sign(base)
    (base / "generated" / POLICY).write_text((EXAMPLE / POLICY).read_text() + "\n# more\n")
    flags = ("--cluster", CLUSTER, "--generated", base / "generated", "--address", "http://127.0.0.1:1")
    gate = ("--require-bundle", base / "bundle.json", "--public-key", base / "review.pub.pem")
    result = call("apply", *flags, *gate, BAO_TOKEN="none")
    assert (result.return_value, "changed since its review" in result.output) == (1, True)
    assert call("apply", *flags, BAO_TOKEN="none").return_value == 69
    alone = call("apply", *flags, "--require-bundle", base / "bundle.json", BAO_TOKEN="none")
    assert isinstance(alone.exception, click.UsageError)


@pytest.fixture
def transit(bao: Server) -> Iterator[str]:
    mount = f"transit-{uuid.uuid4().hex[:8]}"
    bao.call("POST", f"sys/mounts/{mount}", {"type": "transit"})
    bao.call("POST", f"{mount}/keys/review", {"type": "ed25519"})
    yield mount
    bao.call("DELETE", f"sys/mounts/{mount}")


def test_a_key_in_transit_signs_without_leaving_the_server(bao: Server, base: Path, transit: str) -> None:
    """Its public key, as the server shows it, verifies."""
    where = ("--generated", base / "generated", "-o", base / "bundle.json")
    signed = call(
        "bundle", *where, "--transit", f"{transit}/review", "--address", bao.address, BAO_TOKEN=bao.root_token
    )
    assert signed.return_value == 0, signed.output
    raw = bao.call("GET", f"{transit}/keys/review")["data"]["keys"]["1"]["public_key"]
    (base / "review.pub.pem").write_text(
        f"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{raw}\n-----END PUBLIC KEY-----\n"
    )
    assert verify(base).return_value == 0


def test_what_cannot_be_read_or_written_is_named(base: Path) -> None:
    key, where = ("--key", base / "review.pem"), ("--generated", base / "generated")
    for output, reason in ((base, "Is a directory"), (base / "nowhere" / "b.json", "No such file")):
        result = call("bundle", *where, *key, "-o", output)
        assert (result.return_value, f"-o {output}: can't be written: {reason}" in result.output) == (1, True)
    server = ("--transit", "transit/review", "--address", "https://vault.example.com", "-o", base / "b.json")
    for file in (base / "nowhere", base, "/bin/true"):
        result = call("bundle", *where, *server, "--ca-file", file, BAO_TOKEN="any")
        assert (result.return_value, f"--ca-file {file}: can't be read" in result.output) == (1, True)


@pytest.mark.parametrize("name", ["review", "/review", "transit/"])
def test_a_key_in_transit_is_named_with_its_mount(base: Path, name: str) -> None:
    where = ("--generated", base / "generated", "--address", "https://vault.example.com")
    result = call("bundle", *where, "--transit", name, "-o", base / "b.json")
    assert isinstance(result.exception, click.UsageError)
    assert "expected MOUNT/NAME" in str(result.exception)


def test_without_a_token_what_it_needs_is_said(base: Path) -> None:
    where = ("--generated", base / "generated", "--address", "https://vault.example.com")
    result = call("bundle", *where, "--transit", "transit/x", "-o", base / "b", BAO_TOKEN="", VAULT_TOKEN="")
    assert (result.return_value, "update on transit/sign/x" in result.output) == (1, True)
