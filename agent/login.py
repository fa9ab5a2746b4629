"""The pod's projected token → a Vault token, and what becomes of that one."""

import base64
import json
import os

from agent import config
from agent.errors import AgentError
from agent.state import Token
from agent.vault import Answer, Vault

MAX_TOKEN_BYTES = 64 * 1024
SAID_SKEW_SECONDS = 60.0

_MINTED_AGAIN = "the kubelet writes a fresh one at 80 % of its life: look at the pod's volume podkeys-token and the node's kubelet"


def read_jwt(path: str) -> str:
    """The projected token. Raises AgentError `token`."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib would cost the agent its start
            content = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise AgentError(
            "token",
            f"can't read {path}: {os.strerror(error.errno or 0)}",
            "the pod needs the volume podkeys-token, a projected service account token",
        ) from None
    text = content.decode("ascii", "replace").strip()
    if not text or len(content) > MAX_TOKEN_BYTES or not text.isprintable() or "\ufffd" in text:
        raise AgentError(
            "token", f"{path} holds no token ({len(content)} bytes)", "expected a signed JSON web token"
        )
    return text


def log_in(vault: Vault, settings: config.Login, jwt: str) -> Token:
    """One login. The server's own reason is told; the token is in no message."""
    answer = vault.call(
        "POST", f"auth/{settings.mount}/login", {"role": settings.role, "jwt": jwt}, anonymous=True
    )
    if not answer.ok:
        raise _refusal(vault, settings, jwt, answer)
    found = answer.body.get("auth")
    auth = found if isinstance(found, dict) else {}
    value, seconds = auth.get("client_token"), auth.get("lease_duration")
    if not isinstance(value, str) or not value or not isinstance(seconds, int):
        raise AgentError(
            "login",
            f"auth/{settings.mount}/login answered {answer.status} without a token and its life",
            "check that vault.address is a Vault or OpenBao server and the auth role sets its TTLs",
        )
    service = auth.get("token_type") != "batch" and bool(auth.get("accessor"))
    return Token(
        value, str(auth.get("accessor") or ""), service, service and auth.get("renewable") is True, seconds
    )


def renew(vault: Vault, token: Token) -> int | None:
    """The seconds that the renewed token has; None when the server refuses (revoked, expired, not allowed)."""
    if not token.renewable:
        return None
    answer = vault.call("POST", "auth/token/renew-self", {})
    auth = answer.body.get("auth")
    seconds = auth.get("lease_duration") if isinstance(auth, dict) else None
    return seconds if answer.ok and isinstance(seconds, int) else None


def revoke(vault: Vault, token: str) -> bool:
    """Whether the token is gone. Its leases end with it. 403: it was gone already, or may not revoke itself."""
    before, vault.token = vault.token, token
    try:
        return vault.call("POST", "auth/token/revoke-self", {}).status in {200, 204, 403}
    finally:
        vault.token = before


def expiry(jwt: str) -> float | None:
    """`exp` of the token, unverified: it only makes a message better."""
    try:
        payload = jwt.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def _refusal(vault: Vault, settings: config.Login, jwt: str, answer: Answer) -> AgentError:
    ends = expiry(jwt)
    if ends is not None and ends <= vault.now():
        ago = vault.now() - ends
        return AgentError("token", f"{settings.token_file} expired {ago:.0f} s ago", _MINTED_AGAIN)
    where = f"auth/{settings.mount}/login refused the role {settings.role}: {answer.status}"
    if answer.status == 403:  # noqa: PLR2004 - Vault's own code
        return AgentError(
            "login",
            f"{where} {_without(jwt, answer.reason)}",
            f"check that the auth mount {settings.mount} exists on this server and in this namespace, and accepts this cluster's tokens",
        )
    return AgentError(
        "login",
        f"{where} {_without(jwt, answer.reason)}",
        "apply the role's policies to this cluster's server; issuer, audience, namespace and service account must be those of the auth role",
    )


def _without(jwt: str, text: str) -> str:
    return text.replace(jwt, "(token)")
