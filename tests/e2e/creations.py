"""Pods that ask for injection, created without pause while a test disturbs the webhook."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3.exceptions import HTTPError

from bench.apiserver import ApiServer
from tests.e2e.injected import CARD
from tests.e2e.installation import NAMESPACE
from tests.e2e.workloads import pod, template

THREADS = 4
PACE = 0.02  # seconds between two of one thread
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@contextmanager
def without_pause() -> Iterator[list[str]]:
    """Yields what was said to each creation, empty where the pod was created with our init container.

    One thread creates pods that no scheduler looks at and deletes them; the others have the server try it out.
    """
    api, over, said = ApiServer(THREADS), threading.Event(), list[str]()

    def create(keep: bool) -> None:  # noqa: FBT001 - called in one place
        while not over.is_set():
            said.append(_created(api, keep=keep))
            time.sleep(PACE)

    threads = [threading.Thread(target=create, args=(number == 0,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield said
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _created(api: ApiServer, *, keep: bool) -> str:
    made = pod("steady", template(CARD))
    made["metadata"] = {"generateName": "steady-", "annotations": made["metadata"]["annotations"]}
    made["spec"]["schedulingGates"] = [{"name": "e2e.example.com/never"}]
    try:
        status, content = api.send("POST", PODS if keep else f"{PODS}?dryRun=All", json.dumps(made).encode())
    except HTTPError as error:
        return f"no answer: {error}"
    answer = json.loads(content)
    if status != 201:
        return str(answer.get("message", answer))
    if keep:
        api.send("DELETE", f"{PODS}/{answer['metadata']['name']}?gracePeriodSeconds=0")
    names = [container["name"] for container in answer["spec"].get("initContainers", [])]
    return "" if "podkeys-init" in names else f"created without podkeys-init, with {names}"
