"""Signals to all processes of a replica of the webhook at once, sent from its node: death for memory, or a freeze."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.installation import WEBHOOK
from tests.e2e.kubectl import apply, kubectl
from tests.e2e.workloads import pod, template

_SEND = """
import os, pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if b"HOSTNAME={name}" in (folder / "environ").read_bytes().split(b"\\0"):
            os.kill(int(folder.name), {number})
    except OSError:
        pass
"""


@contextmanager
def sent(number: signal.Signals, replica: str) -> Iterator[None]:
    """By a pod of the same user that sees the node's processes; it is gone afterwards."""
    user = {"runAsUser": 64000, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "hostPID": True,
        "restartPolicy": "Never",
        "serviceAccountName": "default",
        "securityContext": user,
    }
    script = _SEND.replace("{name}", replica).replace("{number}", str(int(number)))
    try:
        apply(pod("signals", template({}, script, **spec), WEBHOOK))
        yield
    finally:
        kubectl("-n", WEBHOOK, "delete", "pod", "signals", "--force", "--ignore-not-found")
