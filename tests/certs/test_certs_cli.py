"""`podkeys certs` as a person and as a program sees it, through the real command."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import keys, pem, render
from tests.certs import authority, folders
from tests.certs.authority import Asked, ca_asked, key_usage
from tests.certs.folders import NAMES, SPIFFE_ID, pair

TODAY = dt.datetime.now(dt.UTC).replace(microsecond=0)  # the command goes by the real clock
ROOT_ASKED = ca_asked("root", start=TODAY - dt.timedelta(1), end=TODAY + dt.timedelta(365))
ROOT = authority.root(asked=ROOT_ASKED)
SERVING = Asked(
    names=NAMES, start=TODAY - dt.timedelta(seconds=60), end=TODAY + dt.timedelta(hours=1, minutes=5)
)
IDENTITY = replace(SERVING, names=(x509.UniformResourceIdentifier(SPIFFE_ID),))


def podkeys(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "podkeys.py", "certs", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )


def findings(*arguments: str | Path) -> list[str]:
    """The codes of what is found; the exit code must say the same."""
    done = podkeys("verify", *arguments, "--json")
    document = json.loads(done.stdout)
    found = [finding["code"] for report in document["certificates"] for finding in report["findings"]]
    assert document["good"] is (not found and not document["unreadable"])
    assert done.returncode == (0 if document["good"] else 1), done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    return found + ["unreadable"] * len(document["unreadable"])


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    serving, identity = pair(SERVING, ROOT).serving, pair(IDENTITY, ROOT).identity
    folders.swap(tmp_path, "1", {"certs/serving": serving, "identity": identity})
    return tmp_path


def test_a_pod_with_good_certificates_is_good_whole_and_in_its_parts(pod: Path) -> None:
    assert findings(pod) == []
    assert findings(pod / "certs") == []
    assert findings(pod / "certs/serving", "--dns", "PAYMENTS.payments.svc") == []
    assert findings(pod / "identity", "--spiffe-id", SPIFFE_ID) == []
    assert findings(pod / "identity/svid.pem", "--ca", pod / "identity/bundle.pem") == []
    assert findings(pod / "certs/serving/tls.pem", "--ca", pod / "certs/serving/ca.crt") == []
    assert findings(pod / "certs/serving/ca.crt") == []


def test_show_says_everything_aligned_and_plain_in_a_pipe(pod: Path) -> None:
    done = podkeys("show", pod / "certs/serving", FORCE_COLOR="", COLUMNS="40")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [(line[2:15].strip(), line[17:]) for line in done.stdout.splitlines()[1:]]
    certificate = pem.certificates((pod / "certs/serving/tls.crt").read_bytes())[0]
    serial = f"{certificate.serial_number:040x}"
    assert rows == [
        ("names", "DNS name payments.payments"),
        ("", "DNS name payments.payments.svc"),
        ("issuer", "CN=root"),
        ("serial", ":".join(serial[at : at + 2] for at in range(0, 40, 2))),
        ("valid", f"{SERVING.start:%Y-%m-%d %H:%M:%SZ} to {SERVING.end:%Y-%m-%d %H:%M:%SZ}"),
        ("", rows[5][1]),
        ("key", "EC P-256, matches"),
        ("usages", "client, server, digitalSignature"),
        ("chain", "verified up to a trusted issuer"),
        ("trusts", f"CN=root, to {TODAY + dt.timedelta(365):%Y-%m-%d %H:%M:%SZ}"),
        ("good", rows[5][1]),
    ]
    assert rows[5][1].endswith(" minutes left")


def test_json_says_the_same_and_never_a_key(pod: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    done = podkeys("show", pod, "--json")
    after = dt.datetime.now(dt.UTC)
    document = json.loads(done.stdout)
    assert [report["kind"] for report in document["certificates"]] == ["serving", "identity"]
    identity = document["certificates"][1]
    assert identity["names"] == [{"kind": "URI", "value": SPIFFE_ID}]
    assert (identity["keyMatches"], identity["chainVerified"], identity["key"]) == (True, True, "EC P-256")
    assert identity["notAfter"] == f"{SERVING.end:%Y-%m-%dT%H:%M:%SZ}"
    most, least = ((SERVING.end - moment).total_seconds() for moment in (before, after))
    assert least - 1 <= identity["remainingSeconds"] <= most + 1
    for path in pod.rglob("*.key"):
        for line in path.read_text().splitlines():
            assert line not in done.stdout


def test_colour_is_for_a_terminal_and_not_with_no_color(pod: Path) -> None:
    assert "\x1b[" in podkeys("verify", pod, FORCE_COLOR="1").stdout
    assert "\x1b[3" not in podkeys("verify", pod, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b" not in podkeys("verify", pod).stdout


def spoil(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


OTHER_KEY = keys.private_key_pem(keys.generate("ec-p256"))
OTHER = pair(SERVING, ROOT)
RSA_1024 = keys.private_key_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - refused
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
FAULTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "another key": (spoil("tls.key", OTHER_KEY), ["key"]),
    "no key": (lambda folder: (folder / "tls.key").unlink(), ["key"]),
    "no bundle": (lambda folder: (folder / "ca.crt").unlink(), ["chain"]),
    "another bundle": (spoil("ca.crt", authority.root().pem), ["chain"]),
    "a combined file of another pair": (spoil("tls.pem", OTHER.serving["tls.pem"]), ["combined"]),
    "a combined file of another chain": (
        lambda folder: (folder / "tls.pem").write_bytes((folder / "tls.key").read_bytes() + OTHER.chain),
        ["combined"],
    ),
    "no combined file": (lambda folder: (folder / "tls.pem").unlink(), []),
    "a truncated certificate": (spoil("tls.crt", OTHER.chain[:200]), ["unreadable"]),
    "an empty certificate": (spoil("tls.crt", b""), ["unreadable"]),
    "DER": (
        spoil("tls.crt", x509.load_pem_x509_certificate(OTHER.chain).public_bytes(Encoding.DER)),
        ["unreadable"],
    ),
    "garbage": (spoil("tls.crt", bytes(range(256)) * 20), ["unreadable"]),
    "ten megabytes": (spoil("tls.crt", b"A" * 10_000_000), ["unreadable"]),
    "an RSA key of 1024 bits": (spoil("tls.key", RSA_1024), ["unreadable"]),
    "an Ed25519 key": (spoil("tls.key", ED25519), ["unreadable"]),
    "a truncated key": (spoil("tls.key", OTHER_KEY[:60]), ["unreadable"]),
    "a broken bundle": (
        spoil("ca.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ["unreadable"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoiled_folder_is_found_out(pod: Path, fault: str) -> None:
    change, codes = FAULTS[fault]
    change(pod / "certs/serving")
    assert findings(pod / "certs/serving") == codes


def test_one_broken_folder_does_not_hide_another(pod: Path) -> None:
    (pod / "certs/serving/tls.crt").write_bytes(b"x")
    done = podkeys("show", pod)
    assert done.returncode == 1
    assert f"{pod}/certs/serving/tls.crt: got no PEM block" in done.stdout
    assert SPIFFE_ID in done.stdout


LEAVES: dict[str, tuple[Asked, list[str]]] = {
    "expired": (replace(SERVING, end=TODAY - dt.timedelta(seconds=1)), ["expired", "chain"]),
    "from tomorrow": (replace(SERVING, start=TODAY + dt.timedelta(hours=1)), ["not-yet-valid", "chain"]),
    "a CA": (replace(SERVING, ca=True), ["ca"]),
    "may sign certificates": (
        replace(SERVING, usage=key_usage("digital_signature", "key_cert_sign")),
        ["key-usage"],
    ),
    "a SPIFFE ID without a path": (
        replace(SERVING, names=(x509.UniformResourceIdentifier("spiffe://example.com"),)),
        ["svid-id"],
    ),
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_bad_leaf_is_found_out(tmp_path: Path, leaf: str) -> None:
    asked, codes = LEAVES[leaf]
    assert findings(folders.write(tmp_path, pair(asked, ROOT).serving)) == codes


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), "an RSA key of 1024 bits"),  # noqa: S505 - refused
        (ec.generate_private_key(ec.SECP224R1()), "an EC key on secp224r1, expected P-256 or larger"),
    ],
)
def test_a_weak_key_is_found_out(
    tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, message: str
) -> None:
    files = {"tls.crt": pem.to_pem(ROOT.sign(key.public_key(), SERVING)), "ca.crt": ROOT.pem}
    assert "weak-key" in findings(folders.write(tmp_path, files))
    assert message in podkeys("verify", tmp_path).stdout


def test_a_file_of_ca_certificates_is_shown_one_by_one(tmp_path: Path) -> None:
    old = authority.root(asked=ca_asked("old", end=TODAY - dt.timedelta(minutes=5)))
    ed25519_root = authority.root(key=ed25519.Ed25519PrivateKey.generate(), asked=ROOT_ASKED)
    folders.write(tmp_path, {"ca.crt": ROOT.pem + old.pem + ed25519_root.pem})
    done = podkeys("show", tmp_path / "ca.crt")
    assert done.returncode == 1
    assert re.findall("subject +(.*)", done.stdout) == ["CN=root", "CN=old", "CN=root"]
    assert re.findall("key  +(.*)", done.stdout) == ["EC P-256", "EC P-256", "Ed25519"]
    assert re.search(r"ended \d+ minutes ago", done.stdout)
    assert findings(tmp_path / "ca.crt") == ["expired"]


def test_an_identity_folder_must_hold_an_svid(tmp_path: Path) -> None:
    assert findings(folders.write(tmp_path, pair(SERVING, ROOT).identity)) == ["svid-uri"]


def test_a_certificate_for_someone_else_is_found_out(pod: Path) -> None:
    serving = pod / "certs/serving"
    assert findings(serving, "--dns", "orders.payments", "--ip", "10.0.0.1") == ["expected-name"] * 2
    assert findings(pod / "identity", "--spiffe-id", SPIFFE_ID + "x") == ["expected-name"]
    assert findings(serving / "ca.crt", "--dns", "payments.payments") == ["expected-name"]


def test_a_single_file_needs_a_bundle_to_be_verified_but_not_to_be_shown(pod: Path) -> None:
    path = pod / "certs/serving/tls.crt"
    assert findings(path) == ["chain"]
    assert podkeys("show", path).returncode == 0
    assert "give --ca FILE" in podkeys("show", path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "Missing argument 'PATH'"),
        (["show", "/absent"], "does not exist"),
        (["verify", ".", "--ip", "10.0.0.256"], "expected an IPv4 or IPv6 address"),
        (["verify", ".", "--ca", "/dev/null"], "expected a regular file"),
        (["verify", ".", "--ca", "/absent"], "does not exist"),
        (["verify", ".", "--port", "1"], "No such option"),
        (["hide"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_64_and_says_what_was_expected(arguments: list[str], message: str) -> None:
    done = podkeys(*arguments)
    assert done.returncode == 64
    assert message in done.stderr


def test_expected_names_are_about_one_certificate(pod: Path) -> None:
    done = podkeys("verify", pod, "--dns", "payments.payments")
    assert done.returncode == 64
    assert "holds 2 certificates" in done.stderr


def test_names_in_a_certificate_cannot_drive_the_terminal(tmp_path: Path) -> None:
    hostile = "a\x1b[31m\u202e[bold]"
    issuer = authority.root(asked=ca_asked(hostile, start=ROOT.certificate.not_valid_before_utc))
    done = podkeys(
        "show", folders.write(tmp_path, pair(SERVING, issuer).serving), FORCE_COLOR="1", NO_COLOR="1"
    )
    assert "\\x1b[31m\\u202e[bold]" in done.stdout
    assert "\x1b[31m" not in done.stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (179, "179 seconds"),
        (180, "3 minutes"),
        (-7200, "120 minutes"),
        (10800, "3 hours"),
        (259200, "3 days"),
    ],
)
def test_a_duration_is_said_in_one_unit(seconds: int, text: str) -> None:
    assert render.remaining(seconds) == text


def test_help_shows_examples_one_a_line() -> None:
    for command in ("show", "verify"):
        done = podkeys(command, "--help")
        assert done.returncode == 0
        assert f"\n    podkeys certs {command} /var/run/podkeys\n" in done.stdout
