"""The API server of KUBECONFIG, spoken to in bytes over kept connections: what a client adds to a latency stays small."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, Configuration


class ApiServer:
    """Safe to use from as many threads as there are `connections`."""

    def __init__(self, connections: int) -> None:
        settings = Configuration()
        config.load_kube_config(client_configuration=settings)
        settings.retries = False
        settings.connection_pool_maxsize = connections
        client = ApiClient(settings)
        self._host = settings.host
        self._pool = client.rest_client.pool_manager
        self._headers: dict[str, str] = {"Content-Type": "application/json"}
        token = settings.get_api_key_with_prefix("authorization")
        if token:
            self._headers["Authorization"] = token

    def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and content. Raises urllib3's errors where there is no answer."""
        answer = self._pool.request(method, self._host + path, body=body, headers=self._headers)
        return answer.status, answer.data

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        status, content = self.send("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: expected 200, got {status}: {content[:300]!r}")
        return json.loads(content)


def at_rate(call: Callable[[int], None], count: int, *, rate: float, threads: int) -> list[float]:
    """Make `count` calls, each with its number, begun `rate` a second whether or not earlier ones have ended.

    Returns the seconds that each took. A call that finds all threads busy begins late.
    """
    taken = [0.0] * count
    start = time.perf_counter() + 0.05

    def work(first: int) -> None:
        for number in range(first, count, threads):
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
            begin = time.perf_counter()
            call(number)
            taken[number] = time.perf_counter() - begin

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))  # raises what a call raised
    return taken
