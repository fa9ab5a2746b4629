"""Tokens with Vault's audience, as nobody but a node gets them, and what the server answers to them."""

import json
import urllib.error
from dataclasses import dataclass
from typing import Any

from tests.e2e.installation import Installation
from tests.e2e.kubectl import Json, kubectl


@dataclass(frozen=True)
class Answer:
    """`text`: the reasons of a refusal."""

    status: int
    text: str
    body: Any = None


def token_of(pod: Json) -> str:
    """What the kubelet mounts in our containers: asked for as the pod's node does, and bound to the pod."""
    metadata, spec = pod["metadata"], pod["spec"]
    bound = ["--bound-object-kind=Pod", *(f"--bound-object-{key}={metadata[key]}" for key in ("name", "uid"))]
    node = [f"--as=system:node:{spec['nodeName']}", "--as-group=system:nodes"]
    words = ("create", "token", spec["serviceAccountName"], "--audience=vault", *bound, *node)
    return kubectl("-n", metadata["namespace"], *words).stdout.strip()


def ask(
    installation: Installation, method: str, path: str, body: Json | None = None, *, token: str
) -> Answer:
    """Speak to the server as a pod does, with no more rights than `token` has."""
    try:
        return Answer(200, "", installation.call(method, path, body, token=token))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, " ".join(json.load(error).get("errors", [])))


def log_in(installation: Installation, jwt: str, role: str, mount: str = "jwt-e2e") -> Answer:
    body = {"role": role, "jwt": jwt}
    return ask(installation, "POST", f"auth/{mount}/login", body, token="none")
