"""The pod's side of the demo: our containers run, and what they may do and leave behind is looked at."""

import json
import time
import urllib.error
from collections.abc import Mapping
from typing import Any

from demo.ending import ended
from demo.kubelet import Pod
from demo.programs import podkeys
from demo.screen import check
from demo.stage import CERTIFICATE_SECONDS, SECRETS, Stage


def run_init(stage: Stage, pod: Pod) -> None:
    stage.screen.step("The init container runs, as the kubelet would start it")
    start = time.monotonic()
    with ended(pod.start("podkeys-init")) as process:
        output, _ = process.communicate(timeout=30)
    check(process.returncode == 0, f"exit code {process.returncode}: {output.decode(errors='replace')}")
    command = " ".join(["python", *pod.command("podkeys-init")[1:]])
    stage.screen.seen(command, f"exit code 0 after {time.monotonic() - start:.2f} s")
    files = pod.files
    stripe = json.loads((files / "secrets" / "stripe").read_text())
    check(stripe == SECRETS["payments/stripe"], "the file secrets/stripe is not what the server holds")
    stage.screen.line("in /var/run/podkeys (memory in a pod, a temporary folder here):")
    current = (files / "..data").resolve()
    for path in sorted(path for path in current.rglob("*") if path.is_file()):
        status = path.stat()
        stage.screen.seen(
            str(path.relative_to(current)), f"{status.st_size:>5} bytes, mode {status.st_mode & 0o777:04o}"
        )


def show_certificates(stage: Stage, pod: Pod) -> None:
    stage.screen.step("The certificate and the identity")
    for folder in ("certs/serving", "identity"):
        podkeys("certs", "verify", str(pod.files / folder))
        for line in podkeys("certs", "show", str(pod.files / folder)).splitlines():
            stage.screen.line(line)
        stage.screen.seen(f"podkeys certs verify {folder}", "key, names, chain and lifetime match")


def ask_for_more(stage: Stage, pod: Pod) -> None:
    """The boundary is the server: the same token, used by hand, gets nothing else."""
    stage.screen.step("The server itself refuses what the role does not name")
    login = json.loads(pod.environment("podkeys-init")["PODKEYS_CONFIG"])["login"]
    answer = stage.server.call(
        "POST", f"auth/{login['mount']}/login", {"role": login["role"], "jwt": pod.token}, token=""
    )
    token = answer["auth"]["client_token"]
    own = stage.server.call("GET", "kv/data/payments/stripe", token=token)
    check(own["data"]["data"] == SECRETS["payments/stripe"], "the pod's own token can't read its own secret")
    stage.screen.seen("kv/data/payments/stripe", "200, as the role says")
    for method, path in (
        ("GET", "kv/data/ledger/signing"),
        ("GET", "sys/policies/acl/root"),
        ("LIST", "kv/metadata/"),
    ):
        try:
            stage.server.call(method, path, token=token)
        except urllib.error.HTTPError as error:
            check(error.code == 403, f"{method} {path}: got {error.code}, expected 403")  # noqa: PLR2004 - HTTP's own
            stage.screen.seen(path, f"403 {json.loads(error.read())['errors'][0].split('* ')[-1].strip()}")
        else:
            check(False, f"{method} {path} was allowed")  # noqa: FBT003 - reached means failed


def run_sidecar(stage: Stage, pod: Pod) -> None:
    stage.screen.step(
        f"The sidecar renews a certificate that lives {CERTIFICATE_SECONDS} s, before your eyes"
    )
    chain = pod.files / "certs" / "serving" / "tls.crt"
    before = chain.read_bytes()
    start = time.monotonic()
    with ended(pod.start("podkeys-sidecar")) as process:
        while chain.read_bytes() == before:
            check(
                time.monotonic() - start < CERTIFICATE_SECONDS + 2,
                "the certificate ran out and was not renewed",
            )
            check(process.poll() is None, "the sidecar ended")
            time.sleep(0.05)
        stage.screen.seen(
            "renewed", f"after {time.monotonic() - start:.1f} s; the files were swapped as one set"
        )
        podkeys("certs", "verify", str(chain.parent))
        stage.screen.seen("podkeys certs verify", "new key and new certificate match")
        process.terminate()
        start = time.monotonic()
        process.wait(5)
    check(process.returncode == 0, f"the sidecar ended with exit code {process.returncode}")
    stage.screen.seen("SIGTERM", f"its token is revoked, exit code 0 after {time.monotonic() - start:.1f} s")


def search_for_secrets(stage: Stage, pod: Pod) -> None:
    stage.screen.step("No secret stands in the pod that etcd would store")
    values = [value for entry in SECRETS.values() for key, value in entry.items() if key != "username"]
    values += [pod.token, stage.server.root_token, "PRIVATE KEY"]
    found = standing_in(pod.manifest, values)
    check(not found, f"{len(found)} secret values stand in the patched pod")
    planted = {**pod.manifest, "planted": values[0]}
    check(standing_in(planted, values) == [values[0]], "the search does not see a planted value")
    stage.screen.seen(
        f"{len(values)} values searched",
        f"none in {len(json.dumps(pod.manifest)):,} bytes; a planted one is seen",
    )


def standing_in(manifest: Mapping[str, Any], values: list[str]) -> list[str]:
    text = json.dumps(manifest)
    return [value for value in values if value in text]
