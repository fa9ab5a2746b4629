"""`podkeys cluster check` as a person runs it: exit codes, what is shown, and what becomes of servers that don't answer."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from certs.pem import to_pem
from cluster import report
from cluster.finding import Finding
from demo.openbao import Server
from demo.service_accounts import Issuer
from tests.cluster import api_server
from tests.cluster.commands import podkeys
from tests.cluster.conftest import Place
from tests.cluster.trees import certificate

SERVER_CHECKS = (
    "login-mount",
    "login-issuer",
    "serving-mount",
    "serving-issuers",
    "identity-mount",
    "identity-issuers",
    "separate-roots",
)


def test_before_bootstrap_each_thing_that_is_missing_is_named(place: Place) -> None:
    done = place.run("check", "--pre", "--json")
    assert done.code == 1
    found = {item["name"]: item for item in done.json["checks"]}
    assert found["login-mount"]["got"] == f"no auth/login-{place.tag}"
    assert found["serving-mount"]["got"] == f"no mount pki-{place.tag}"
    assert all(found[name]["remedy"] for name in SERVER_CHECKS)


def test_after_bootstrap_every_check_of_the_server_is_ok(place: Place) -> None:
    assert place.run("bootstrap", "--apply").code == 0
    done = place.run("check", "--pre", "--json")
    assert {name: done.results[name] for name in SERVER_CHECKS} == dict.fromkeys(SERVER_CHECKS, "ok")


def test_what_is_unknown_is_not_taken_for_good(place: Place) -> None:
    """Nothing has failed; the API server forbids to look at its nodes."""
    assert place.run("bootstrap", "--apply").code == 0
    done = place.run("check", "--pre", "--json")
    assert (done.code, set(done.results.values())) == (1, {"ok", "unknown", "skipped"})


def test_what_the_api_server_forbids_is_unknown_in_its_own_words(place: Place) -> None:
    done = place.run("check", "--json")
    unknown = [
        item for item in done.json["checks"] if item["name"] in ("kubelet-versions", "webhook-registered")
    ]
    assert [(item["result"], item["got"]) for item in unknown] == [("unknown", "is forbidden")] * 2
    assert done.code == 1


def test_what_the_api_server_cannot_do_just_now_is_no_lack_of_permission(
    tmp_path: Path, place: Place
) -> None:
    broken = {"/api/v1/nodes": (503, b'{"message": "shutting down"}')}
    with api_server.serving(api_server.documents(Issuer()) | broken, tmp_path):
        found = {item["name"]: item for item in place.run("check", "--pre", "--json").json["checks"]}
    assert found["kubelet-versions"]["got"] == "shutting down"
    assert found["kubelet-versions"]["remedy"].startswith("run it again")
    assert found["service-accounts"]["remedy"].startswith("give whoever runs this the role")


def test_what_to_do_is_said_for_the_namespace_where_the_chart_is(tmp_path: Path, place: Place) -> None:
    service = {"namespace": "security", "name": "podkeys-webhook"}
    registered = {
        "webhooks": [
            {"name": "pods.podkeys.dev", "failurePolicy": "Fail", "clientConfig": {"service": service}}
        ]
    }
    found = {
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podkeys": registered,
        "/api/v1/namespaces/security/configmaps": {"items": []},
    }
    documents = {path: (200, json.dumps(value).encode()) for path, value in found.items()}
    with api_server.serving(api_server.documents(Issuer()) | documents, tmp_path):
        checks = {item["name"]: item for item in place.run("check", "--json").json["checks"]}
    assert "kubectl apply --server-side -n security -f" in checks["catalog-current"]["remedy"]


def test_without_a_token_the_servers_checks_are_skipped(place: Place) -> None:
    done = place.run("check", "--pre", "--json", token="")
    assert {done.results[name] for name in SERVER_CHECKS} == {"skipped"}
    named = place.run("check", "--pre", f"--address={place.bao.address}", token="")
    assert (named.code, "no token" in named.err) == (1, True)


def test_a_server_that_does_not_answer_ends_with_69_and_the_clusters_checks_are_shown(place: Place) -> None:
    done = place.run("check", "--pre", "--json", "--address=http://127.0.0.1:1")
    assert done.code == 69
    assert (done.results["kubernetes-version"], done.results["login-mount"]) == ("ok", "unknown")


@pytest.mark.parametrize(
    ("address", "says"),
    [("http://127.0.0.1:1", "Connection refused"), ("http://nowhere.invalid", "nowhere.invalid")],
)
def test_an_api_server_that_does_not_answer_ends_with_69(place: Place, address: str, says: str) -> None:
    api_server.kubeconfig(place.folder, address)
    for word in ("check", "bootstrap"):
        done = place.run(word)
        assert (done.code, says in done.err, "check the kubeconfig" in done.err) == (69, True, True)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((200, b"<html>a proxy</html>"), 69, "got an answer that no API server gives"),
        ((401, b'{"message": "Unauthorized"}'), 1, "the API server answered 401: Unauthorized"),
    ],
)
def test_what_answers_in_an_api_servers_place_is_told(
    tmp_path: Path, place: Place, answer: tuple[int, bytes], code: int, says: str
) -> None:
    with api_server.serving({"/version": answer}, tmp_path):
        done = place.run("check")
    assert (done.code, says in done.err) == (code, True)


def test_a_key_set_that_cannot_be_read_is_unknown(tmp_path: Path, place: Place) -> None:
    documents = api_server.documents(Issuer()) | {"/openid/v1/jwks": (200, b'{"keys": [{"kty": "new"}]}')}
    with api_server.serving(documents, tmp_path):
        assert place.run("check", "--pre", "--json").results["audience"] == "unknown"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--kubeconfig=none",), 64, "give another with --kubeconfig"),
        (("--kubeconfig=kubeconfig", "--context=none"), 64, "none"),
        (("--kubeconfig=kubeconfig", "--generated=none"), 1, "run `podkeys policies generate`"),
        (("--kubeconfig=kubeconfig", "--token-file=none"), 1, "--token-file none: can't be read"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_named(
    place: Place, words: tuple[str, ...], code: int, says: str
) -> None:
    done = podkeys(place.folder, "cluster", "check", "--cluster=east", "--pre", *words)
    assert (done.code, says in done.err) == (code, True), done


@pytest.mark.parametrize("content", [b"not: [yaml", b"- a list", b"\xff\xfe\x00"])
def test_a_kubeconfig_that_is_none_is_named(place: Place, content: bytes) -> None:
    (place.folder / "broken").write_bytes(content)
    done = podkeys(place.folder, "cluster", "check", "--cluster=east", "--kubeconfig=broken")
    assert (done.code, "kubeconfig broken: got a file that is none" in done.err) == (64, True), done


def test_a_token_of_two_lines_is_refused_without_being_shown(place: Place) -> None:
    """No token in an error message."""
    api_server.kubeconfig(place.folder, "http://127.0.0.1:1", token="canary-4711\ntoken")
    done = podkeys(place.folder, "cluster", "check", "--cluster=east", "--kubeconfig=kubeconfig")
    assert (done.code, "expected one line of ASCII" in done.err, "canary" in done.err) == (64, True, False), (
        done
    )


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["none-of-this-name"], "No such file or directory: 'none-of-this-name'"),
        (["sh", "-c", "echo canary-4711; echo session expired >&2; exit 3"], "returned 3. session expired"),
        (["echo", "canary-4711"], "failed to decode process output"),
        (["echo", '{"apiVersion": "v1", "kind": "ExecCredential", "status": {}}'], "missing token"),
    ],
)
def test_a_command_that_gives_no_credentials_is_named_and_nothing_is_asked_without(
    place: Place, command: list[str], why: str
) -> None:
    """The client would go on as nobody, and the API server would say what nobody may not do."""
    user = {"exec": {"apiVersion": "v1", "command": command[0], "args": command[1:]}}
    path = api_server.kubeconfig(place.folder, "http://127.0.0.1:1", user=user)
    done = podkeys(place.folder, "cluster", "check", "--cluster=east", f"--kubeconfig={path}")
    assert (done.code, why in done.err, "canary" in done.err) == (64, True, False), done
    assert done.err.startswith("Error: kubeconfig: its command for credentials")


def test_a_command_that_fails_on_a_terminal_has_said_why_itself(place: Place) -> None:
    user = {"exec": {"apiVersion": "v1", "command": "sh", "args": ["-c", "echo session expired >&2; exit 3"]}}
    path = api_server.kubeconfig(place.folder, "http://127.0.0.1:1", user=user)
    shown, screen = pty.openpty()
    words = [sys.executable, "-m", "podkeys", "cluster", "check", "--cluster=east", f"--kubeconfig={path}"]
    done = subprocess.run(words, cwd=place.folder, stdin=screen, stdout=screen, stderr=screen, check=False)
    text = os.read(shown, 4096).decode()
    for end in (shown, screen):
        os.close(end)
    assert (done.returncode, text.startswith("session expired")) == (64, True), text
    assert "gave none (it failed, as it says above)" in text


def test_without_any_kubeconfig_it_says_where_one_is_looked_for(place: Place) -> None:
    done = podkeys(place.folder, "cluster", "check", "--cluster=east")
    assert (done.code, "expected one in KUBECONFIG, in ~/.kube/config" in done.err) == (64, True)


def test_a_catalog_that_is_none_is_named(place: Place) -> None:
    (place.folder / "generated" / "east" / "catalog" / f"shop-{place.tag}.json").write_text("{}")
    done = place.run("check")
    assert (done.code, "generate" in done.err) == (1, True)


def test_certificates_that_a_mount_keeps_are_looked_through(place: Place) -> None:
    """Signed for real: one is in use, its root is not counted, and one that was revoked is not, either."""
    assert place.run("bootstrap", "--apply").code == 0
    assert place.policies("apply").code == 0
    role, names = f"podkeys.shop-{place.tag}.shop.web", f"shop.shop-{place.tag}"
    full = ",".join([names, f"{names}.svc", f"{names}.svc.cluster.local"])
    for revoked in (False, True):
        issued = place.bao.call("POST", f"pki-{place.tag}/issue/{role}", {"alt_names": full})["data"]
        if revoked:
            place.bao.call("POST", f"pki-{place.tag}/revoke", {"serial_number": issued["serial_number"]})
    found = {
        item["name"]: item for item in place.run("check", "--pre", "--certificates", "--json").json["checks"]
    }
    got = f"1 certificate in use, none overdue; 3 stored in pki-{place.tag}"
    assert (found["serving-certificates"]["result"], found["serving-certificates"]["got"]) == ("ok", got)
    assert found["identity-certificates"]["result"] == "skipped"


def test_a_foreign_issuer_in_a_mount_is_found_on_a_real_server(place: Place) -> None:
    assert place.run("bootstrap", "--apply").code == 0
    foreign = to_pem(certificate("Corporate Root", days=3650)[0]).decode()
    place.bao.call("POST", f"pki-{place.tag}/issuers/import/cert", {"pem_bundle": foreign})
    found = {item["name"]: item for item in place.run("check", "--pre", "--json").json["checks"]}
    assert "has no key here and signed none that has" in found["serving-issuers"]["got"]
    assert found["identity-issuers"]["result"] == "ok"


def test_the_documented_policy_is_enough_for_the_server(place: Place, bao: Server) -> None:
    assert place.run("bootstrap", "--apply").code == 0
    text = (Path(__file__).parent.parent.parent / "docs" / "cluster-check.md").read_text()
    policy = text.rpartition("```hcl\n")[2].partition("```")[0]
    for mount in ("pki", "spiffe"):
        policy = policy.replace(f"{mount}-eu-nl-prod-a", f"{mount}-{place.tag}")
    policy = policy.replace("jwt-eu-nl-prod-a", f"login-{place.tag}")
    name = f"check-{place.tag}"
    bao.call("PUT", f"sys/policies/acl/{name}", {"policy": policy})
    asked = {"policies": [name], "no_default_policy": True}
    token = bao.call("POST", "auth/token/create", asked)["auth"]["client_token"]
    done = place.run("check", "--pre", "--certificates", "--json", token=token)
    assert {done.results[name] for name in SERVER_CHECKS} == {"ok"}
    assert done.results["serving-certificates"] == "skipped"
    asked = {
        "policies": [f"none-{place.tag}"],
        "no_default_policy": True,
    }  # an empty list would be root's own
    bare = bao.call("POST", "auth/token/create", asked)["auth"]["client_token"]
    lost = {item["name"]: item for item in place.run("check", "--pre", "--json", token=bare).json["checks"]}
    assert 'its policy lacks: read on "sys/auth"' in lost["login-mount"]["got"]
    assert bare not in json.dumps(lost)
    bao.call("DELETE", f"sys/policies/acl/{name}")


def test_people_read_one_entry_for_checks_that_fail_for_one_reason_and_no_control_characters() -> None:
    findings = [
        Finding("a", "skipped", "no token", "", "give one"),
        Finding("b", "ok", "fine"),
        Finding("c", "skipped", "no token", "", "give one"),
        Finding("d", "failed", "got \x1b[2K", "expected", "do"),
    ]
    assert report.text(findings).splitlines() == [
        "\x1b[90mskipped a, c\x1b[0m: no token",
        "        to do: give one",
        "\x1b[32mok      b\x1b[0m: fine",
        "\x1b[31mfailed  d\x1b[0m: got \\x1b[2K",
        "        expected: expected",
        "        to do: do",
        "",
        "1 ok, 1 failed, 2 skipped",
    ]
