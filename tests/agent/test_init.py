"""`init` from the token to the files, as the real program against the real server."""

import json
import signal
import subprocess
import threading
import time
from pathlib import Path

from cryptography import x509

from tests.agent.conftest import SPIFFE_ID, World
from tests.agent.servers import serving, silent


def test_init_writes_secrets_certificate_and_identity(world: World) -> None:
    done = world.run("init")
    assert (done.code, done.message) == (0, ""), done.err
    assert json.loads((world.files / "secrets/stripe").read_text())["key"] == "canary-stripe-4711"
    assert (world.files / "secrets/smtp").read_text() == "canary-smtp"
    assert Path(world.settings.folders.env, "variables").read_text() == "SMTP_PASSWORD='canary-smtp'\n"
    verified = subprocess.run(
        [
            "openssl",
            "verify",
            "-CAfile",
            world.files / "certs/serving/ca.crt",
            world.files / "certs/serving/tls.crt",
        ],
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    svid = x509.load_pem_x509_certificate((world.files / "identity/svid.pem").read_bytes())
    names = svid.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [SPIFFE_ID]
    assert world.state["token"]["service"]
    assert "canary" not in done.err


def test_sigterm_ends_an_init_that_waits_for_the_server(world: World) -> None:
    """With a handler, as process 1 of a container passes over the signal without one."""
    stop = threading.Event()
    with serving(silent(stop)) as odd:
        process = world.with_settings(vault=world.settings.vault._replace(address=odd.address)).start("init")
        while not odd.requests:
            time.sleep(0.02)
        caught = Path(f"/proc/{process.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)
        stop.set()
    assert int(caught, 16) & 1 << signal.SIGTERM - 1
    assert process.returncode == 128 + signal.SIGTERM
