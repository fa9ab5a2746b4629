"""`make demo`: from a role file to a running program with its secret, certificate and identity, on this machine alone."""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from demo import admission_steps, mounts, openbao, pod_steps, server_steps
from demo.ending import as_by_ctrl_c
from demo.screen import Screen, StepError
from demo.service_accounts import Issuer
from demo.stage import CLUSTER, Stage


def main() -> int:
    as_by_ctrl_c()
    screen = Screen()
    screen.title("Podkeys: from a role file to a running program with its secret, certificate and identity")
    try:
        play(screen)
    except StepError as error:
        screen.failed(error)
        return 1
    except KeyboardInterrupt:
        screen.interrupted()
        return 130
    screen.end()
    return 0


def play(screen: Screen) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podkeys-demo-")))
        screen.step("A Vault server starts")
        server = stack.enter_context(openbao.running())
        names = mounts.Mounts("kv", "kv1", f"pki-{CLUSTER}", f"spiffe-{CLUSTER}", f"jwt-{CLUSTER}", Issuer())
        stage = Stage(screen, folder, server, names)
        server_steps.prepare_server(stage, stack)
        server_steps.generate(stage)
        server_steps.apply(stage)
        screen.step("The admission webhook serves over TLS")
        with admission_steps.serve_webhook(stage) as hook:
            pod = admission_steps.admit(stage, hook)
        pod_steps.run_init(stage, pod)
        pod_steps.show_certificates(stage, pod)
        pod_steps.ask_for_more(stage, pod)
        pod_steps.run_sidecar(stage, pod)
        pod_steps.search_for_secrets(stage, pod)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.TimeoutExpired, RuntimeError) as error:
        sys.exit(f"demo: {error}")
