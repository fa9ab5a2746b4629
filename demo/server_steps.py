"""The server's side of the demo: mounts and secrets, generated policies, plan and apply."""

import shutil
from contextlib import ExitStack

import yaml

from demo import mounts, redis
from demo.programs import podkeys
from demo.stage import CERTIFICATE_SECONDS, CLUSTER, EXAMPLE, NAMESPACE, SECRETS, Stage
from policies.apply.protections import Product, product

FOLDERS = ("boundaries", "clusters", "roles")


def prepare_server(stage: Stage, stack: ExitStack) -> None:
    mounts.create(stage.server, stage.mounts)
    for path, values in SECRETS.items():
        stage.server.call("POST", f"kv/data/{path}", {"data": values})
    stage.screen.seen(
        str(_product(stage)), f"{stage.server.address}, in memory, with root token thrown away at the end"
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


def _product(stage: Stage) -> Product:
    return product(stage.server.call("GET", "sys/health"))


def generate(stage: Stage) -> None:
    """The example's files, with the demo's address and lives of seconds, and without what the server lacks; nothing else changed."""
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
        if _product(stage).is_vault and certificate.pop("podIP", False):
            stage.screen.line(
                "its PKI roles know no networks of pods, so the certificate is without podIP (docs/servers.md)"
            )
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
