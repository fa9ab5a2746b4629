"""kubectl as a person uses it; objects go in and come out as JSON."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
    return done


def apply(*objects: Mapping[str, Any], check: bool = True) -> subprocess.CompletedProcess[str]:
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    return kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=items, check=check)


def get(kind: str, namespace: str, *words: str) -> Json:
    value: Json = json.loads(kubectl("-n", namespace, "get", kind, "-o", "json", *words).stdout)
    return value


def wait_for(what: str, seen: Callable[[], object], seconds: float = 90) -> Any:  # noqa: ANN401 - what `seen` returns
    """The first true value of `seen`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = seen()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {what}")
