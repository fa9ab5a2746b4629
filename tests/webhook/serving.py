"""A real `podkeys webhook serve` in a process of its own, its certificate, and clients that speak TLS to it."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.webhook import catalogs

START_SECONDS = 20


def write_certificate(folder: Path, *, common_name: str = "podkeys-webhook", hours: float = 24) -> None:
    """`tls.crt` and `tls.key`, each replaced by a rename; the certificate is its own root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=hours))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    replace(folder / "tls.crt", certificate.public_bytes(Encoding.PEM))
    replace(folder / "tls.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)


@dataclass(frozen=True, slots=True)
class Webhook:
    home: Path
    process: "subprocess.Popen[bytes]"
    port: int
    metrics_port: int

    @contextmanager
    def connect(self) -> Iterator[http.client.HTTPSConnection]:
        """A connection that keeps alive. Any certificate is taken: some tests replace it meanwhile."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=lenient(), timeout=START_SECONDS
        )
        with closing(connection):
            yield connection

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The value of a sample by its name and labels, as they are exposed; 0 where it is not there."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.home / "log").read_text().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == name]

    def wait_for_events(self, name: str, count: int) -> None:
        """Wait until there are so many; fail after some seconds."""
        until = time.monotonic() + START_SECONDS
        while len(self.events(name)) < count:
            assert time.monotonic() < until, f"{len(self.events(name))} of {name}, expected {count}"
            time.sleep(0.02)

    def eventually(self, name: str, value: float) -> None:
        """Wait until a metric has a value; fail after some seconds."""
        until = time.monotonic() + START_SECONDS
        while self.metric(name) != value:
            assert time.monotonic() < until, f"{name} is {self.metric(name)}, expected {value}"
            time.sleep(0.02)


def lenient() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(connection: http.client.HTTPSConnection, body: bytes) -> tuple[int, dict[str, Any]]:
    """Post a review; the status and the answer's `response`."""
    connection.request(
        "POST", "/mutate?timeout=10s", body, {"Content-Type": "application/json; charset=utf-8"}
    )
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content)["response"] if answer.status == 200 else {"text": content}


def review(
    uid: str, *, role: str = "payments", padding: int = 0, more: Mapping[str, str] | None = None
) -> bytes:
    """The creation of a pod that asks for the secret of the catalog's one role."""
    wanted = {"podkeys.dev/inject": "true", "podkeys.dev/role": role, "podkeys.dev/secrets": "stripe"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "api-",
            "annotations": wanted | dict(more or {}),
            "labels": {"x": "y" * padding},
        },
        "spec": {
            "serviceAccountName": "payments-api",
            "containers": [{"name": "app", "image": "registry.example.com/app:1"}],
        },
    }
    request = {
        "uid": uid,
        "operation": "CREATE",
        "namespace": "payments",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": pod,
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()


def command(home: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "podkeys", "webhook", "serve"),
        *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
        *("--tls-cert", str(home / "tls.crt"), "--tls-key", str(home / "tls.key")),
        *("--catalog", str(home / "catalog"), "--cluster", str(home / "cluster.json")),
        *("--image", "podkeys.example.com/podkeys:1"),
        *flags,
    ]


@contextmanager
def serving(home: Path, *flags: str, make_files: bool = True) -> Iterator[Webhook]:
    """Start it, wait for its two ports, stop it. Its log is in `home/log`."""
    if make_files:
        write_certificate(home)
        catalogs.write(home)
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command(home, *flags), stderr=output, stdout=output, env=os.environ)
    try:
        listening = _listening(process, log)
        ports = [int(listening[name].rpartition(":")[2]) for name in ("admission", "metrics")]
        webhook = Webhook(home, process, *ports)
        while webhook.page("/healthz")[0] != 200:
            time.sleep(0.02)
        yield webhook
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _listening(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and '"event": "listening"' in line:
                found: dict[str, str] = json.loads(line)
                return found
        time.sleep(0.02)
    raise AssertionError(f"the webhook did not start: {log.read_text()}")
