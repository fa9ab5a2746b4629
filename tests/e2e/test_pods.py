"""Pods that real controllers create, on a real kubelet, with secrets, certificates and identity from a real server."""

import subprocess

import pytest

from tests.e2e.installation import NAMESPACE, Installation
from tests.e2e.kubectl import apply, get, kubectl, wait_for
from tests.e2e.workloads import EVERYTHING, LOOK, digest, seen, template, workload


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


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


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
