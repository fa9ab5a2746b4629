"""The webhook gone, the server gone: who is hindered, what a person is told, and that it heals without one."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime

import pytest

from tests.e2e.injected import (
    ASLEEP,
    CARD,
    DEPLOYMENT,
    REPLICAS,
    deployed,
    described,
    failure_of,
    pod_of,
    refused,
    replicas,
    wait_until_ready,
    wait_until_rolled_out,
)
from tests.e2e.installation import DEADLINE_SECONDS, NAMESPACE, SECRETS, WEBHOOK, Installation
from tests.e2e.kubectl import apply, get, kubectl, wait_for
from tests.e2e.workloads import digest, pod, template

DIGEST = """
import hashlib, json
print(hashlib.sha256(json.load(open("/var/run/podkeys/secrets/card"))["api_key"].encode()).hexdigest())
"""
# The nodes' ways to a Service change a moment after the Service.
UNTIL_UNREACHABLE = """
import socket, time
while True:
    try:
        socket.create_connection(("vault.vault.svc", 8200), 2).close()
    except OSError:
        break
    time.sleep(0.1)
"""
Fault = Callable[[Installation], AbstractContextManager[None]]


def card_in(name: str) -> str:
    """The SHA-256 of the secret that the app finds in its file."""
    words = ("exec", f"deployment/{name}", "-c", "app", "--", "/opt/podkeys/bin/python", "-c", DIGEST)
    return kubectl("-n", NAMESPACE, *words).stdout.strip()


def creation_failures(name: str) -> str:
    """The messages of the FailedCreate events of a workload's controllers."""
    events = get("events", NAMESPACE, "--field-selector", "reason=FailedCreate")["items"]
    return "".join(event["message"] for event in events if event["involvedObject"]["name"].startswith(name))


def restarts(name: str) -> int:
    status = pod_of(name)["status"]
    return sum(item["restartCount"] for item in status["containerStatuses"] + status["initContainerStatuses"])


@contextmanager
def without_webhook() -> Iterator[None]:
    kubectl("-n", WEBHOOK, "scale", DEPLOYMENT, "--replicas=0")
    try:
        kubectl("-n", WEBHOOK, "wait", "--for=delete", "pod", *REPLICAS, "--timeout=60s")
        yield
    finally:
        kubectl("-n", WEBHOOK, "scale", DEPLOYMENT, "--replicas=2")
        wait_until_rolled_out()


@contextmanager
def unreachable(installation: Installation) -> Iterator[None]:
    """Its Service leads nowhere; the tests' own way to it stays open."""
    del installation
    _select("nobody")
    try:
        apply(pod("looks", template({}, UNTIL_UNREACHABLE, restartPolicy="Never")))
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        kubectl("-n", NAMESPACE, "wait", ended, "pod/looks", "--timeout=60s")
        yield
    finally:
        _select("vault")
        kubectl("-n", NAMESPACE, "delete", "pod", "looks", "--force", "--ignore-not-found")


def _select(app: str) -> None:
    kubectl(
        "-n", "vault", "patch", "service", "vault", "-p", f'{{"spec": {{"selector": {{"app": "{app}"}}}}}}'
    )


@contextmanager
def sealed(installation: Installation) -> Iterator[None]:
    log = kubectl("-n", "vault", "logs", "deployment/vault").stdout
    key = next(line.split()[-1] for line in log.splitlines() if line.startswith("Unseal Key:"))
    installation.call("PUT", "sys/seal")
    try:
        yield
    finally:
        installation.call("PUT", "sys/unseal", {"key": key})
        wait_for("the server to be active", lambda: _active(installation))


def _active(installation: Installation) -> bool:
    try:
        return not installation.call("GET", "sys/health")["sealed"]
    except OSError:  # 503 until it has taken over
        return False


def test_without_the_webhook_pods_that_ask_are_refused_and_all_others_start(
    installation: Installation,
) -> None:
    """A pod that asked for injection never runs without it; one that did not ask, or opted out, never waits for us."""
    del installation
    plain = {"serviceAccountName": "default"}
    others = [
        (NAMESPACE, pod("declines", template({"inject": "false"}, ASLEEP, **plain))),
        *(
            (namespace, pod("beside", template({}, ASLEEP, **plain), namespace))
            for namespace in (NAMESPACE, "kube-system")
        ),
    ]
    with without_webhook():
        assert 'failed calling webhook "pods.podkeys.dev"' in refused()
        try:
            apply(*(item for _, item in others))
            for namespace, item in others:
                name = f"pod/{item['metadata']['name']}"
                kubectl("-n", namespace, "wait", "--for=condition=Ready", name, "--timeout=60s")
        finally:
            for namespace, item in others:
                name = f"pod/{item['metadata']['name']}"
                kubectl("-n", namespace, "delete", name, "--wait=false", "--ignore-not-found")


def test_a_workload_made_while_the_webhook_was_away_starts_once_it_is_back(
    installation: Installation,
) -> None:
    del installation
    with ExitStack() as stack:
        with without_webhook():
            stack.enter_context(deployed("waits", CARD))
            wait_for("the ReplicaSet's event", lambda: "pods.podkeys.dev" in creation_failures("waits"))
        wait_until_ready("waits")


def test_all_replicas_of_the_webhook_deleted_at_once_come_back_by_themselves(
    installation: Installation,
) -> None:
    del installation
    before = set(replicas())
    kubectl("-n", WEBHOOK, "delete", "pods", *REPLICAS, "--force")
    with deployed("heals", CARD):
        wait_until_ready("heals")
    wait_until_rolled_out()
    assert not before & set(replicas())


@pytest.mark.parametrize(("fault", "said"), [(unreachable, "can't be reached"), (sealed, "is sealed")])
def test_without_the_server_pods_are_admitted_and_say_why_they_wait_and_recover(
    installation: Installation, fault: Fault, said: str
) -> None:
    """The reason shows in `kubectl describe pod`, and init ends by its deadline."""
    name = f"recovers-{fault.__name__}"
    with ExitStack() as stack:
        with fault(installation):
            stack.enter_context(deployed(name, CARD))
            found = failure_of(name)
            assert found["exitCode"] == 14
            assert "unreachable: https://vault.vault.svc:8200" in found["message"]
            assert said in found["message"]
            times = [datetime.fromisoformat(found[field]) for field in ("startedAt", "finishedAt")]
            assert (times[1] - times[0]).total_seconds() <= DEADLINE_SECONDS + 1
            assert said in described(name)
        wait_until_ready(name)
        assert card_in(name) == digest("shop/card", "api_key")


def test_running_pods_outlast_a_sealed_server_with_their_files_and_follow_it_again(
    installation: Installation,
) -> None:
    with deployed("lasts", CARD | {"sidecar": "true"}):
        wait_until_ready("lasts")
        with sealed(installation):
            logs = ("logs", "-l", "app=lasts", "-c", "podkeys-sidecar", "--tail=-1")
            wait_for("the sidecar to notice", lambda: "is sealed" in kubectl("-n", NAMESPACE, *logs).stdout)
            assert card_in("lasts") == digest("shop/card", "api_key")
        installation.call("POST", "kv/data/shop/card", {"data": {"api_key": "changed meanwhile"}})
        try:
            changed = hashlib.sha256(b"changed meanwhile").hexdigest()
            wait_for("the file to follow", lambda: card_in("lasts") == changed)
        finally:
            installation.call("POST", "kv/data/shop/card", {"data": SECRETS["shop/card"]})
        assert restarts("lasts") == 0
