"""Services prove to each other who they are, with nothing but what Podkeys gave them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.installation import NAMESPACE, Installation
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.workloads import pod, seen, template

PROGRAMS = Path(__file__).parent / "programs"
MUTUAL = {"inject": "true", "certificates": "serving", "identity": "true"}


def peer(name: str, program: str, annotations: dict[str, str], *arguments: str) -> Json:
    """A pod of service account `name` that runs one of our programs."""
    made = template(annotations, (PROGRAMS / f"{program}.py").read_text(), serviceAccountName=name)
    made["spec"]["containers"][0]["command"] += arguments
    return pod(name, made)


def service(name: str) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"selector": {"app": name}, "ports": [{"port": 8443}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def address(name: str) -> str:
    """Of a pod, when it runs."""

    def running() -> str:
        status = get("pod", NAMESPACE, name)["status"]
        return str(status["podIP"]) if status["phase"] == "Running" else ""

    found: str = wait_for(f"pod {name} to run", running)
    return found


@contextmanager
def here(*objects: Json) -> Iterator[None]:
    apply(*objects)
    try:
        yield
    finally:
        for item in objects:
            words = (item["kind"], item["metadata"]["name"], "--ignore-not-found")
            kubectl("-n", NAMESPACE, "delete", *words)


def test_services_know_each_other_by_name_and_by_address_and_refuse_another_trust_domain(
    installation: Installation,
) -> None:
    """The stranger has the names and the root's name right, and only the keys wrong: neither side lets it in."""
    del installation
    with here(service("back"), peer("back", "mutual_server", MUTUAL)):
        back = address("back")
        forged = ("spiffe-e2e root", "spiffe://elsewhere.example.com/ns/shop/sa/front", "back.shop.svc")
        stranger = peer("stranger", "mutual_stranger", {}, back, *forged)
        with here(stranger):
            calls = [
                "back.shop.svc=back.shop.svc",
                "back.shop.svc.cluster.local=back.shop.svc.cluster.local",
                f"{back}={back}",
                f"{back}=front.shop.svc",
                f"{address('stranger')}=back.shop.svc",
            ]
            front = peer("front", "mutual_client", MUTUAL, *calls)
            front["spec"]["restartPolicy"] = "Never"
            with here(front):
                *known, other_name, other_root = (seen("front")[call] for call in calls)
            refused = seen("stranger")["answer"]
    assert known == ["(('URI', 'spiffe://e2e.example.com/ns/shop/sa/front'),)"] * 3
    assert "Hostname mismatch" in other_name
    assert "certificate verify failed" in other_root
    assert "ALERT" in refused
