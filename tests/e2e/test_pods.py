"""Pods that real controllers create, on a real kubelet, with secrets, certificates and identity from a real server."""

import json
import subprocess
import urllib.error

import pytest

from tests.e2e.installation import NAMESPACE, SECRETS, Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.workloads import EVERYTHING, LOOK, digest, refusal, seen, template, workload


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_pods_of_each_controller_have_everything_before_the_app_starts(
    installation: Installation, kind: str
) -> None:
    name = f"all-{kind.lower()}"
    script = LOOK if kind in ("Job", "CronJob") else LOOK + "time.sleep(3600)"
    apply(workload(kind, name, template(EVERYTHING, script)))
    found = seen(name)
    assert set(found["files"]) >= {
        "secrets/card",
        "certs/serving/tls.key",
        "identity/svid.key",
        "certs/serving/tls.pem",
    }
    assert found["card"] == digest("shop/card", "api_key")
    assert found["mail"] == digest("shop/mail", "password")
    pem = installation.folder / f"{name}.pem"
    pem.write_text(found["certificate"])
    names = run("openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(pem))
    assert "DNS:shop.shop.svc" in names
    assert f"IP Address:{found['ip']}" in names
    pem.write_text(found["svid"])
    svid = run("openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(pem))
    assert "URI:spiffe://e2e.example.com/ns/shop/sa/shop" in svid
    if kind == "Job":
        wait_for(
            "the Job with its sidecar to complete",
            lambda: get("job", NAMESPACE, name)["status"].get("succeeded"),
        )
    kubectl("-n", NAMESPACE, "delete", kind.lower(), name, "--wait=false")


def test_apps_of_other_users_than_ours_read_the_files(installation: Installation) -> None:
    """Also where the node follows no foreign links in shared folders (fs.protected_symlinks=1)."""
    del installation
    pods = template(EVERYTHING, LOOK + "time.sleep(3600)")
    app = pods["spec"]["containers"][0]
    app["securityContext"] |= {"runAsUser": 1000}
    pods["spec"]["containers"].append(
        {**app, "name": "beside", "securityContext": {**app["securityContext"], "runAsUser": 2000}}
    )
    apply(workload("Deployment", "users", pods))
    assert seen("users")["card"] == digest("shop/card", "api_key")
    kubectl("-n", NAMESPACE, "delete", "deployment", "users", "--wait=false")


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("name", "annotations", "spec", "said"),
    [
        ("undeclared", {"inject": "true", "secrets": "ledger"}, {}, "role shop does not declare"),
        ("stranger", {"inject": "true", "secrets": "card"}, {"serviceAccountName": "stranger"}, "stranger"),
        ("unknown", {"inject": "true", "secrets": "card", "sekret": "x"}, {}, "unknown annotation"),
        ("misspelt", {"inject": "True", "secrets": "card"}, {}, 'expected "true" or "false"'),
        (
            "forged",
            {"inject": "true", "secrets": "card"},
            {"volumes": [{"name": "podkeys-token", "emptyDir": {}}]},
            "podkeys-token",
        ),
    ],
)
def test_a_refusal_reaches_the_replicasets_events(
    installation: Installation, name: str, annotations: dict[str, str], spec: Json, said: str
) -> None:
    del installation
    assert said in refusal(f"refused-{name}", template(annotations, **spec))


def test_a_namespace_without_the_label_is_refused_and_not_passed_by(installation: Installation) -> None:
    """A pod that asked for injection never runs without it."""
    del installation
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "unlabelled"}})
    pod = template({"inject": "true", "secrets": "card"}, serviceAccountName="default")
    done = apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **pod,
            "metadata": {**pod["metadata"], "name": "x", "namespace": "unlabelled"},
        },
        check=False,
    )
    assert done.returncode != 0
    assert "podkeys.dev/injection" in done.stderr


def test_the_server_refuses_the_pods_own_token_what_the_role_does_not_name(
    installation: Installation,
) -> None:
    jwt = kubectl(
        "-n", NAMESPACE, "create", "token", "shop", "--audience=https://kubernetes.default.svc.cluster.local"
    ).stdout.strip()
    role = "podkeys.shop.shop.shop"
    with pytest.raises(urllib.error.HTTPError) as caught:
        installation.call("POST", "auth/jwt-e2e/login", {"role": role, "jwt": jwt}, token="none")
    with caught.value as answer:
        assert answer.code == 400


def test_files_follow_the_server_and_a_short_certificate_is_renewed_thrice(
    installation: Installation,
) -> None:
    """Readers look 50 times a second, through one descriptor of `..data`: key and certificate always match."""
    watch = """
import json, os, ssl, time
base = "/var/run/podkeys"
serials, reads, end = [], 0, time.time() + 150
while time.time() < end and len(serials) < 4:
    folder = os.open(f"{base}/..data", os.O_RDONLY | os.O_DIRECTORY)
    at = f"/proc/self/fd/{folder}/certs/brief"
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"{at}/tls.crt", f"{at}/tls.key")
    text = open(f"{at}/tls.crt").read()
    os.close(folder)
    reads += 1
    if not serials or serials[-1] != hash(text):
        serials.append(hash(text))
    time.sleep(0.02)
card = open(f"{base}/secrets/card").read()
print(json.dumps({"renewed": len(serials) - 1, "reads": reads, "card": "rotated" in card}), flush=True)
time.sleep(3600)
"""
    apply(
        workload(
            "Deployment",
            "watch",
            template({"inject": "true", "secrets": "card", "certificates": "brief"}, watch),
        )
    )
    wait_for("the watching pod", lambda: get("deployment", NAMESPACE, "watch")["status"].get("readyReplicas"))
    installation.call("POST", "kv/data/shop/card", {"data": {"api_key": "rotated"}})

    def line() -> str:
        return kubectl(
            "-n", NAMESPACE, "logs", "-l", "app=watch", "-c", "app", "--tail=1", check=False
        ).stdout.strip()

    found = json.loads(wait_for("three renewals", line, 180))
    installation.call("POST", "kv/data/shop/card", {"data": SECRETS["shop/card"]})
    assert found["renewed"] == 3
    assert found["card"] is True
    assert found["reads"] > 1000
    kubectl("-n", NAMESPACE, "delete", "deployment", "watch", "--wait=false")


def test_exec_into_our_containers_and_debugging_them_are_refused(installation: Installation) -> None:
    del installation
    apply(workload("Deployment", "doors", template(EVERYTHING, LOOK + "time.sleep(3600)")))
    wait_for("the pod", lambda: get("deployment", NAMESPACE, "doors")["status"].get("readyReplicas"))
    pod = get("pods", NAMESPACE, "-l", "app=doors")["items"][0]["metadata"]["name"]
    done = kubectl("-n", NAMESPACE, "exec", pod, "-c", "podkeys-sidecar", "--", "/bin/true", check=False)
    assert done.returncode != 0
    assert "podkeys" in done.stderr
    assert (
        kubectl("-n", NAMESPACE, "exec", pod, "-c", "app", "--", "/opt/podkeys/bin/python", "-V").returncode
        == 0
    )
    debug = (
        "debug",
        pod,
        "--target=podkeys-sidecar",
        "--image=localhost/podkeys:e2e",
        "--profile=restricted",
        "--",
        "/bin/true",
    )
    done = kubectl("-n", NAMESPACE, *debug, check=False)
    assert done.returncode != 0
    assert "podkeys" in done.stderr
    kubectl("-n", NAMESPACE, "delete", "deployment", "doors", "--wait=false")
