"""`make demo`: from a role file to a running program with its secret, certificate and identity, on this machine alone."""

import base64
import copy
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from demo import mounts, openbao, redis, tls
from demo.ending import as_by_ctrl_c, ended
from demo.kubelet import Pod
from demo.programs import Webhook, podkeys, webhook
from demo.screen import Screen, StepError, check
from demo.service_accounts import Issuer

EXAMPLE = Path(__file__).parent.parent / "deploy" / "example"
FOLDERS = ("boundaries", "clusters", "roles")
CLUSTER = "eu-nl-prod-a"
NAMESPACE = "payments"
SERVICE_ACCOUNT = "payments-api"
CERTIFICATE_SECONDS = 14  # so short that a renewal happens while the reader looks
SECRETS = {  # path below the key-value mount: made anew for each run
    "payments/stripe": {"api_key": secrets.token_urlsafe(18), "webhook_secret": secrets.token_urlsafe(18)},
    f"{CLUSTER}/shared/smtp": {"username": "payments", "password": secrets.token_urlsafe(18)},
    "ledger/signing": {"key": secrets.token_urlsafe(18)},
}


@dataclass(frozen=True)
class Stage:
    """What the steps share: the screen, a temporary folder, the server and its mounts."""

    screen: Screen
    folder: Path
    server: openbao.Server
    mounts: mounts.Mounts

    @property
    def generated(self) -> Path:
        return self.folder / "generated"


def main() -> int:
    as_by_ctrl_c()
    screen = Screen()
    screen.title("Podkeys: from a role file to a running program with its secret, certificate and identity")
    try:
        play(screen)
    except StepError as error:
        screen.failed(error)
        return 1
    except KeyboardInterrupt:
        screen.interrupted()
        return 130
    screen.end()
    return 0


def play(screen: Screen) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podkeys-demo-")))
        screen.step("A Vault server starts")
        server = stack.enter_context(openbao.running())
        names = mounts.Mounts("kv", "kv1", f"pki-{CLUSTER}", f"spiffe-{CLUSTER}", f"jwt-{CLUSTER}", Issuer())
        stage = Stage(screen, folder, server, names)
        prepare_server(stage, stack)
        generate(stage)
        apply(stage)
        screen.step("The admission webhook serves over TLS")
        with serve_webhook(stage) as hook:
            pod = admit(stage, hook)
        run_init(stage, pod)
        show_certificates(stage, pod)
        ask_for_more(stage, pod)
        run_sidecar(stage, pod)
        search_for_secrets(stage, pod)


def prepare_server(stage: Stage, stack: ExitStack) -> None:
    mounts.create(stage.server, stage.mounts)
    for path, values in SECRETS.items():
        stage.server.call("POST", f"kv/data/{path}", {"data": values})
    version = stage.server.call("GET", "sys/health")["version"]
    stage.screen.seen(
        f"OpenBao {version}", f"{stage.server.address}, in memory, with root token thrown away at the end"
    )
    stage.screen.seen(
        "mounts", "key-value, two PKI roots (serving, identity), login by service account token"
    )
    if redis.available():
        port = stack.enter_context(redis.database(stage.server, "database", "payments-orders"))
        stage.screen.seen(
            "database", f"Redis on port {port}: the server makes accounts that live for an hour"
        )
    else:
        stage.screen.line(
            "no redis-server on PATH, so the pod asks for no database account (apt install redis-server)"
        )


def generate(stage: Stage) -> None:
    """The example's files, with the demo's address and lives of seconds; nothing else changed."""
    stage.screen.step("Role files become policies that a reviewer reads")
    for name in FOLDERS:
        shutil.copytree(EXAMPLE / name, stage.folder / name)
    cluster = stage.folder / "clusters" / f"{CLUSTER}.yaml"
    document = yaml.safe_load(cluster.read_text())
    document["spec"]["vault"] = {"address": stage.server.address}
    document["spec"]["minTTL"] = f"{CERTIFICATE_SECONDS}s"
    cluster.write_text(yaml.safe_dump(document))
    role = stage.folder / "roles" / "payments.yaml"
    document = yaml.safe_load(role.read_text())
    for certificate in document["spec"]["certificates"]:
        certificate["ttl"] = f"{CERTIFICATE_SECONDS}s"
    document["spec"]["runsAs"] = [
        place for place in document["spec"]["runsAs"] if place["cluster"] == CLUSTER
    ]
    role.write_text(yaml.safe_dump(document))
    where = [word for name in FOLDERS for word in (f"--{name}", str(stage.folder / name))]
    podkeys("policies", "generate", *where, "--out", str(stage.generated))
    podkeys("policies", "generate", "--check", *where, "--out", str(stage.generated))
    files = [path for path in stage.generated.rglob("*") if path.is_file()]
    stage.screen.seen("podkeys policies generate", f"{len(files)} files; --check finds them current")
    folder = stage.generated / CLUSTER / NAMESPACE / "payments"
    for line in (folder / "policy.hcl").read_text().splitlines()[:12]:
        stage.screen.line(line)


def apply(stage: Stage) -> None:
    stage.screen.step("plan says what would change, apply does it")
    env = {"VAULT_TOKEN": stage.server.root_token}
    where = ["--cluster", CLUSTER, "--generated", str(stage.generated)]
    plan = podkeys("policies", "plan", *where, codes=(2,), env=env)
    stage.screen.seen("podkeys policies plan", plan.strip().splitlines()[-1])
    done = podkeys("policies", "apply", *where, env=env)
    stage.screen.seen("podkeys policies apply", done.strip().splitlines()[-1])
    again = podkeys("policies", "plan", *where, codes=(0,), env=env)
    stage.screen.seen("plan again", again.strip().splitlines()[-1])


@contextmanager
def serve_webhook(stage: Stage) -> Iterator[Webhook]:
    certificate, key = tls.write_pair(stage.folder)
    cluster = stage.generated / CLUSTER
    flags = ["--catalog", str(cluster / "catalog"), "--cluster", str(cluster / "cluster.json")]
    flags += ["--image", "podkeys.example.com/podkeys:demo", "--agent-python", sys.executable]
    flags += ["--poll-interval", "5", "--drain", "0"]
    with webhook(flags, certificate, key, stage.folder / "webhook.log") as hook:
        stage.screen.seen("podkeys webhook serve", f"https://127.0.0.1:{hook.port}/mutate, ready")
        yield hook


def example_pod() -> dict[str, Any]:
    """The example's pod that asks for everything its role offers; the database only where there is one."""
    pod: dict[str, Any] = yaml.safe_load((EXAMPLE / "pods" / "payments-api.yaml").read_text())
    if not redis.available():
        pod["metadata"]["annotations"]["podkeys.dev/secrets"] = "stripe, smtp"
    return pod


def review_of(pod: dict[str, Any], uid: str) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod,
            "dryRun": False,
        },
    }


def admit(stage: Stage, hook: Webhook) -> Pod:
    """Four pods meet the webhook; the one that may have everything comes back as the API server would store it."""
    stage.screen.step("Four pods are created")
    pod = example_pod()
    answer = hook.review(review_of(pod, "everything"))
    check(answer["allowed"] and answer["uid"] == "everything", f"the example pod was refused: {answer}")
    patch = json.loads(base64.b64decode(answer["patch"]))
    patched = jsonpatch.apply_patch(pod, patch)
    ours = [c["name"] for c in patched["spec"]["initContainers"] if c["name"].startswith("podkeys-")]
    check(ours == ["podkeys-init", "podkeys-sidecar"], f"got containers {ours}")
    stage.screen.seen(
        "asks for everything", f"allowed, {len(patch)} additions: {', '.join(ours)} and their volumes"
    )

    undeclared = copy.deepcopy(pod)
    undeclared["metadata"]["annotations"]["podkeys.dev/secrets"] = "ledger"
    refused(stage, hook, ("asks for another's secret", undeclared))

    forged = copy.deepcopy(pod)
    forged["spec"].setdefault("initContainers", []).append(
        {"name": "podkeys-init", "image": "evil.example.com/x"}
    )
    refused(stage, hook, ("brings a forged container", forged))

    opted_out = copy.deepcopy(pod)
    opted_out["metadata"]["annotations"] = {"podkeys.dev/inject": "false"}
    answer = hook.review(review_of(opted_out, "opted-out"))
    check(answer["allowed"] and "patch" not in answer, f"the pod that opted out was touched: {answer}")
    stage.screen.seen("opted out", "allowed, untouched")

    root = stage.folder / "pod"
    root.mkdir()
    admitted = Pod(patched, root, stage.mounts.issuer.token(NAMESPACE, SERVICE_ACCOUNT))
    admitted.create_volumes()
    return admitted


def refused(stage: Stage, hook: Webhook, case: tuple[str, dict[str, Any]]) -> None:
    label, pod = case
    answer = hook.review(review_of(pod, label))
    check(not answer["allowed"] and answer["uid"] == label, f"{label}: allowed: {answer}")
    stage.screen.seen(label, "refused:")
    stage.screen.line(answer["status"]["message"])


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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.TimeoutExpired, RuntimeError) as error:
        sys.exit(f"demo: {error}")
