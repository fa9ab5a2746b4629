"""`make bench-cluster`: what injection adds to the creation of a pod through a real API server, and to its start.

Needs what tests/e2e need: KUBECONFIG of a cluster to try things in, kubectl, helm, and their images in its nodes. Where
VAULT_K8S names a binary of hashicorp/vault-k8s (for Linux, statically linked), it is measured in the same run.
"""

import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bench import vault_k8s
from bench.apiserver import ApiServer, at_rate
from bench.table import header, percentile, row
from tests.e2e.installation import NAMESPACE, installed
from tests.e2e.kubectl import Json, apply, get, kubectl, wait_for
from tests.e2e.workloads import pod, template, workload

RATE = 100  # creations a second
BLOCK = 200  # creations of one kind in a row, then the next kind
ROUNDS = 10
THREADS = 32
ALONE = 200  # creations of each kind, one at a time
STARTS = 12
KUBELET_SECONDS = 20  # in which each kubelet has looked at each container again
LABEL = {"app": "bench"}
ASKS = {"inject": "true", "secrets": "card", "certificates": "serving"}
SAY = "print('started', flush=True); import time; time.sleep(3600)"


@dataclass(frozen=True)
class Kind:
    """One way to create pods; the seconds that creations took, and those of the API server's processor, for each round.

    `container` is what the pods of its injector call theirs; "" where there is none.
    """

    name: str
    namespace: str
    annotations: dict[str, str]
    container: str
    rounds: list[list[float]] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        return [seconds for block in self.rounds for seconds in block]

    def body(self) -> bytes:
        """A pod that no scheduler looks at, so that no kubelet is busy with it."""
        made = pod("bench", template({}), self.namespace)
        metadata = {"generateName": "bench-", "labels": LABEL, "annotations": self.annotations}
        made["metadata"] = metadata
        made["spec"]["schedulingGates"] = [{"name": "example.com/bench"}]
        return json.dumps(made).encode()


def create(api: ApiServer, kind: Kind, count: int) -> list[float]:
    """Raises RuntimeError where a pod is not created as its kind says."""
    path, body = f"/api/v1/namespaces/{kind.namespace}/pods", kind.body()

    def one(number: int) -> None:
        status, content = api.send("POST", path, body)
        if status != 201:
            raise RuntimeError(f"pod {number} of {kind.name}: expected 201, got {status}: {content[:500]!r}")
        if (b'"initContainers"' in content) != bool(kind.annotations):
            raise RuntimeError(
                f"pod {number} of {kind.name}: injected when it should not be, or not: {content[:500]!r}"
            )

    taken = at_rate(one, count, rate=RATE, threads=min(THREADS, count))
    api.send("DELETE", f"{path}?labelSelector=app%3Dbench&gracePeriodSeconds=0")
    return taken


def measure_creations(api: ApiServer, kinds: list[Kind]) -> None:
    for number in range(ROUNDS):
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            before = processor_seconds(api)
            kind.rounds.append(create(api, kind, BLOCK))
            kind.processor.append(processor_seconds(api) - before)


def processor_seconds(api: ApiServer) -> float:
    """What the API server has used of a processor since it was started, by its own account."""
    status, content = api.send("GET", "/metrics")
    found = re.search(rb"^process_cpu_seconds_total (\S+)$", content, re.MULTILINE)
    if not found:
        raise RuntimeError(
            f"GET /metrics: expected process_cpu_seconds_total, got {status}: {content[:300]!r}"
        )
    return float(found[1])


@contextmanager
def measured_processor(api: ApiServer, kinds: list[Kind]) -> Iterator[None]:
    """Prints what each creation within took of a processor, its deletion included, in the API server and in the injector."""
    injectors = [kind.container for kind in kinds if kind.container]

    def used() -> dict[str, float]:
        time.sleep(KUBELET_SECONDS)
        return {name: sum(of_kubelets(api, name, "cpu", "usageCoreNanoSeconds")) * 1e-9 for name in injectors}

    before = used()
    yield
    after = used()
    header("pods", "ms of a processor in the API server", "added", "in the injector")
    base = sum(kinds[0].processor) / len(kinds[0].all)
    for kind in kinds:
        server = sum(kind.processor) / len(kind.all)
        own = (after.get(kind.container, 0) - before.get(kind.container, 0)) / len(kind.all)
        row(kind.name, *(f"{seconds * 1000:.2f}" for seconds in (server, server - base, own)))


def measure_alone(api: ApiServer, kinds: list[Kind]) -> None:
    """One creation at a time, of each kind in turn: what one costs where nothing waits for another."""
    taken: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for _ in range(ALONE):
        for kind in kinds:
            taken[kind.name] += create(api, kind, 1)
    header("one pod at a time", "creations", "p25 ms", "p50 ms", "added p25 ms", "added p50 ms")
    base = taken[kinds[0].name]
    for name, times in taken.items():
        values = [percentile(times, share) * 1000 for share in (0.25, 0.5)]
        added = [
            value - percentile(base, share) * 1000 for value, share in zip(values, (0.25, 0.5), strict=True)
        ]
        row(name, len(times), *(f"{value:.2f}" for value in values), *(f"{value:.2f}" for value in added))


def report_creations(kinds: list[Kind]) -> None:
    """Added: for p50 the median of the rounds' differences and their range, for p99 the difference over all rounds."""
    plain = kinds[0]
    header("pods", "creations", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms")
    added = {}
    for kind in kinds:
        medians = [
            (statistics.median(block) - statistics.median(base)) * 1000
            for block, base in zip(kind.rounds, plain.rounds, strict=True)
        ]
        tail = (percentile(kind.all, 0.99) - percentile(plain.all, 0.99)) * 1000
        added[kind.name] = statistics.median(medians), tail
        more = (f"{statistics.median(medians):.2f} ({min(medians):.2f} to {max(medians):.2f})", f"{tail:.2f}")
        row(
            kind.name,
            len(kind.all),
            f"{statistics.median(kind.all) * 1000:.2f}",
            f"{percentile(kind.all, 0.99) * 1000:.2f}",
            *(more if kind is not plain else ("", "")),
        )
    if len(kinds) > 2:
        (ours, ours_tail), (theirs, theirs_tail) = (added[kind.name] for kind in kinds[1:])
        print(
            f"\nTo vault-k8s: {ours / theirs:.2f} of its added p50, {ours_tail / theirs_tail:.2f} of its added p99."
        )
    else:
        print("\nvault-k8s was not measured: VAULT_K8S names no binary.")


def started_after(name: str, annotations: dict[str, str]) -> tuple[float, Json]:
    """Seconds from the request to the first line of the app, by the node's clock, and the pod as it was then."""
    begin = time.time()
    apply(pod(name, template(annotations, SAY)))

    def first_line() -> str:
        words = ("logs", name, "-c", "app", "--timestamps")
        return kubectl("-n", NAMESPACE, *words, check=False).stdout

    try:
        stamp = wait_for(f"the app of {name}", first_line).split()[0]
        return datetime.fromisoformat(stamp).timestamp() - begin, get("pod", NAMESPACE, name)
    finally:
        kubectl("-n", NAMESPACE, "delete", "pod", name, "--force")


def init_seconds(started: Json) -> float:
    """In whole seconds, as the kubelet writes both times cut: right on average, not for one pod."""
    (status,) = (
        item for item in started["status"]["initContainerStatuses"] if item["name"] == "podkeys-init"
    )
    ended = status["state"]["terminated"]
    times = [datetime.fromisoformat(ended[name]).timestamp() for name in ("startedAt", "finishedAt")]
    return times[1] - times[0]


def measure_starts() -> None:
    pairs, inits = [], []
    for number in range(STARTS):
        plain, _ = started_after(f"bench-plain-{number}", {})
        asked, found = started_after(f"bench-asks-{number}", ASKS)
        pairs.append((plain, asked))
        inits.append(init_seconds(found))
    header("pods", "from the request to the app's first line, s")
    row("without annotations", f"{statistics.median(plain for plain, _ in pairs):.2f}")
    row("injected", f"{statistics.median(asked for _, asked in pairs):.2f}")
    differences = [asked - plain for plain, asked in pairs]
    row("added", f"{statistics.median(differences):.2f} ({min(differences):.2f} to {max(differences):.2f})")
    print(
        f"\npodkeys-init ran for {statistics.mean(inits):.2f} s, the mean of {STARTS}: the kubelet's times have whole seconds."
    )


def of_kubelets(api: ApiServer, container: str, resource: str, field: str) -> list[float]:
    """What the kubelets count of each container of this name; what they have no figure of is left out."""
    nodes = [item["metadata"]["name"] for item in get("nodes", "")["items"]]
    pods = [found for node in nodes for found in api.get(f"/api/v1/nodes/{node}/proxy/stats/summary")["pods"]]
    used = [
        item.get(resource, {}).get(field, 0)
        for found in pods
        for item in found.get("containers", [])
        if item["name"] == container
    ]
    return [value for value in used if value]


def resident(api: ApiServer, container: str) -> list[float]:
    """MB of each container of this name."""
    return [value / 2**20 for value in of_kubelets(api, container, "memory", "rssBytes")]


def measure_memory(api: ApiServer, containers: tuple[str, ...]) -> None:
    header("container", "how many", "resident MB")
    wait_for("the kubelets' figures", lambda: all(resident(api, name) for name in containers))
    for name in containers:
        found = resident(api, name)
        row(name, len(found), f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})")


@contextmanager
def sleeping() -> Iterator[None]:
    """Three pods with a sidecar that has nothing to do for a while."""
    made = workload("Deployment", "bench", template(ASKS, SAY))
    made["spec"]["replicas"] = 3
    apply(made)
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/bench", "--timeout=90s")
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "deployment", "bench", "--wait=false")


def main() -> None:
    if not os.environ.get("KUBECONFIG"):
        sys.exit("make bench-cluster: expected KUBECONFIG, of a cluster to try things in; got none")
    binary = os.environ.get("VAULT_K8S", "")
    with ExitStack() as stack:
        given = os.environ.get("E2E_FOLDER")
        folder = Path(given or stack.enter_context(tempfile.TemporaryDirectory(prefix="podkeys-bench-")))
        stack.enter_context(installed(folder))
        api = ApiServer(THREADS)
        asks = {f"podkeys.dev/{name}": value for name, value in ASKS.items()}
        kinds = [Kind("without annotations", NAMESPACE, {}, ""), Kind("injected", NAMESPACE, asks, "webhook")]
        if binary:
            theirs = stack.enter_context(vault_k8s.running(Path(binary)))
            kinds.append(Kind("injected by vault-k8s", theirs, vault_k8s.ANNOTATIONS, vault_k8s.NAME))
        print(
            f"{os.cpu_count()} cores; {RATE} creations a second, in turns of {BLOCK}\n\n## Creation\n",
            flush=True,
        )
        for kind in kinds:
            create(api, kind, THREADS * 2)  # opens the connections, here and to the webhooks
        with measured_processor(api, kinds):
            measure_creations(api, kinds)
            report_creations(kinds)
            print(flush=True)
        print(flush=True)
        measure_alone(api, kinds)
        print("\n## Start\n", flush=True)
        measure_starts()
        print("\n## Memory\n", flush=True)
        with sleeping():
            measure_memory(api, ("podkeys-sidecar", *(kind.container for kind in kinds if kind.container)))


if __name__ == "__main__":
    main()
