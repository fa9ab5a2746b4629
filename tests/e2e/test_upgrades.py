"""Restarts, upgrades, new certificates and kills, while pods are created without pause: who notices.

E2E_ROUNDS says how often each is repeated.
"""

import base64
import os
import signal
import time

from tests.e2e.creations import THREADS, without_pause
from tests.e2e.injected import (
    CARD,
    REPLICAS,
    look_at_volumes,
    metric,
    replicas,
    restart_webhook,
    wait_until_rolled_out,
)
from tests.e2e.installation import NAMESPACE, WEBHOOK, Installation, upgrade
from tests.e2e.kubectl import apply, get, kubectl, wait_for
from tests.e2e.signals import sent
from tests.e2e.workloads import template, workload

ROUNDS = int(os.environ.get("E2E_ROUNDS", "2"))
ENDS = "podkeys_serving_certificate_remaining_seconds"
# From within the container, whose process 1 nobody there can kill.
KILL_WORKER = """
import os, pathlib, signal
for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
    pid, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
    if parent == 1 and pid != os.getpid():
        os.kill(pid, signal.SIGKILL)
"""


def failures(said: list[str], rounds: int = 1) -> list[str]:
    assert len(said) > 10 * rounds
    return [text for text in said if text]


def test_rolling_restarts_lose_no_creation_of_a_pod(installation: Installation) -> None:
    del installation
    with without_pause() as said:
        for _ in range(ROUNDS):
            before = replicas()
            restart_webhook()
            assert not set(before) & set(replicas())
    assert failures(said, ROUNDS) == []


def test_upgrades_of_the_chart_lose_no_creation_of_a_pod(installation: Installation) -> None:
    del installation
    try:
        with without_pause() as said:
            for number in range(ROUNDS):
                before = replicas()
                upgrade(f"flags.catalog-poll={number % 2 + 3}")
                assert not set(before) & set(replicas())
        assert failures(said, ROUNDS) == []
    finally:
        upgrade()


def test_new_serving_certificates_lose_no_creation_of_a_pod(installation: Installation) -> None:
    """Without a restart. The next one only when the last one is served, as docs/install.md says."""
    del installation
    before = replicas()
    with without_pause() as said:
        for _ in range(ROUNDS):
            last = max(certificate_ends(name) for name in before)
            upgrade("certificate.renewAfterDays=0")
            look_at_volumes()
            wait_until_served(before, last)
    assert failures(said, ROUNDS) == []
    assert replicas() == before


def test_a_serving_certificate_whose_secret_was_lost_is_replaced_without_losing_a_creation(
    installation: Installation,
) -> None:
    """So does one that comes from elsewhere: what the replicas still serve is trusted until the next upgrade."""
    del installation
    before, trusted = replicas(), bundle()
    last = max(certificate_ends(name) for name in before)
    with without_pause() as said:
        kubectl("-n", WEBHOOK, "delete", "secret", "podkeys-webhook-tls")
        upgrade()
        assert bundle().endswith(trusted)
        look_at_volumes()
        wait_until_served(before, last)
        upgrade()
        assert trusted not in bundle()
    assert failures(said) == []
    assert replicas() == before


def bundle() -> bytes:
    """Whom the API server trusts to be the webhook."""
    (webhook,) = get("mutatingwebhookconfiguration", "", "podkeys")["webhooks"]
    return base64.b64decode(webhook["clientConfig"]["caBundle"])


def wait_until_served(names: list[str], last: float) -> None:
    """Whole seconds, as a certificate's own times are."""
    wait_for("all to serve the new one", lambda: all(certificate_ends(name) > last + 1 for name in names))


def certificate_ends(replica: str) -> float:
    return time.time() + metric(replica, ENDS)


def test_a_killed_worker_loses_at_most_the_creations_that_it_had_in_hand(installation: Installation) -> None:
    """Its parent keeps the listening socket, so that new connections wait for the next worker."""
    del installation
    victim, before = replicas()[0], restarts()
    with without_pause() as said:
        wait_until_created(said)
        kubectl("-n", WEBHOOK, "exec", victim, "--", "/opt/podkeys/bin/python", "-c", KILL_WORKER)
        wait_until_created(said)
    assert len(failures(said)) <= THREADS, failures(said)
    assert restarts() == before


def test_a_replica_that_is_killed_whole_hinders_creations_for_a_moment_and_controllers_repeat_them(
    installation: Installation,
) -> None:
    """The API server dials it until its kubelet has noticed; connections to the other replica are not affected."""
    del installation
    gated = template(CARD, schedulingGates=[{"name": "e2e.example.com/never"}])
    many = workload("Deployment", "many", gated)
    many["spec"]["replicas"] = 20
    before = restarts()
    try:
        with without_pause() as said:
            wait_until_created(said)
            with sent(signal.SIGKILL, replicas()[0]):
                wait_for("the kill", lambda: any(said) or restarts() > before, 30)
                apply(many)
                wait_until_created(said)
                wait_until_rolled_out()
        wait_for("all pods", lambda: get("deployment", NAMESPACE, "many")["status"].get("replicas") == 20, 30)
        assert {text for text in failures(said) if "failed calling webhook" not in text} == set()
    finally:
        kubectl("-n", NAMESPACE, "delete", "deployment", "many", "--wait=false", "--ignore-not-found")


def test_a_frozen_replica_is_out_of_the_way_in_seconds_and_replaced_without_a_person(
    installation: Installation,
) -> None:
    """What was sent to it waits for the webhook's timeout, ten seconds, and is refused: one creation of each thread,
    or two where its next one took a connection that was still kept.
    """
    del installation
    victim, before = replicas()[0], restarts()
    with without_pause() as said:
        wait_until_created(said)
        with sent(signal.SIGSTOP, victim):
            wait_for("the Service to leave it out", lambda: victim not in endpoints(), 30)
            wait_until_created(said)
            wait_for("its end", lambda: restarts() > before)
            wait_for("its return", lambda: victim in endpoints())
            wait_until_created(said)
    assert len(failures(said)) <= 2 * THREADS, failures(said)
    assert {text for text in failures(said) if "failed calling webhook" not in text} == set()


def endpoints() -> set[str]:
    """The replicas that the Service sends creations to."""
    slices = get("endpointslices", WEBHOOK, "-l", "kubernetes.io/service-name=podkeys-webhook")["items"]
    return {
        endpoint["targetRef"]["name"]
        for item in slices
        for endpoint in item["endpoints"] or ()
        if endpoint["conditions"].get("ready")
    }


def restarts() -> int:
    items = get("pods", WEBHOOK, *REPLICAS)["items"]
    return sum(item["status"]["containerStatuses"][0]["restartCount"] for item in items)


def wait_until_created(said: list[str]) -> None:
    """The next fifty in a row."""
    start = len(said)
    wait_for(
        "fifty creations in a row",
        lambda: len(said) > start + 50 and not any(said[max(start, len(said) - 50) :]),
        30,
    )
