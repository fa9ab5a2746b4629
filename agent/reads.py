"""One read of a secret: key-value version 2 and 1, and database credentials with their lease."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.config import Login, Read
from agent.errors import AgentError
from agent.state import Lease
from agent.vault import Answer, Vault

DATABASE = "database"


class Secret(NamedTuple):
    """The keys and values of one read; `lease` for database credentials alone."""

    values: Mapping[str, Any]
    lease: Lease | None = None


def read(vault: Vault, name: str, item: Read, login: Login) -> Secret:
    """Raises AgentError `refused`, `unreachable`, or `config` for an unknown engine."""
    if item.engine not in {"kv1", "kv2", DATABASE}:
        raise AgentError(
            "config", f"reads: engine {item.engine!r} is unknown", "expected kv1, kv2 or database"
        )
    answer = vault.call("GET", item.path)
    if answer.status == 404:  # noqa: PLR2004 - HTTP's own code
        raise _missing(name, item, answer)
    if not answer.ok:
        raise refusal(answer, f"read {item.path}", login)
    values = answer.fields.get("data") if item.engine == "kv2" else answer.fields
    if not isinstance(values, dict):
        raise AgentError(
            "refused",
            f"{item.path} answered without values, expected those of engine {item.engine}",
            f"correct the engine or the path of {name} in the role file",
        )
    lease = _lease(answer) if item.engine == DATABASE else None
    if item.engine == DATABASE and not lease:  # it would be due for ever, a new account each time
        raise AgentError(
            "refused",
            f"{item.path} answered without a lease, expected credentials that end",
            f"give {name} a path MOUNT/creds/ROLE in the role file, or list it under secrets",
        )
    return Secret(values, lease)


def renew_lease(vault: Vault, lease: Lease) -> int | None:
    """The seconds that the renewed lease has; None when the server refuses."""
    if not lease.renewable:
        return None
    answer = vault.call("POST", "sys/leases/renew", {"lease_id": lease.id, "increment": lease.seconds})
    seconds = answer.body.get("lease_duration")
    return seconds if answer.ok and isinstance(seconds, int) else None


def refusal(answer: Answer, what: str, login: Login) -> AgentError:
    """A final answer to something that the role should allow: who was refused what, and by which login role."""
    role = login.role.rsplit(".", 2)[-2] if login.role.count(".") >= 2 else login.role  # noqa: PLR2004 - podkeys.NS.ROLE.SA
    if answer.status == 403:  # noqa: PLR2004 - Vault's own code
        return AgentError(
            "refused",
            f"role {role} may not {what}: 403 at login role {login.role}",
            "declare it in the role file and apply the policies, or ask the security team",
        )
    return AgentError(
        "refused",
        f"{what}: {answer.status} {answer.reason} (role {role}, login role {login.role})",
        "apply the policies; if that changes nothing, the role file asks for what the server does not have",
    )


def _missing(name: str, item: Read, answer: Answer) -> AgentError:
    found = answer.fields.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    if metadata.get("destroyed") is True:
        what, remedy = "its newest version is destroyed", "write a new version"
    elif metadata.get("deletion_time"):
        what, remedy = (
            f"its newest version was deleted at {metadata['deletion_time']}",
            "undelete it or write a new version",
        )
    elif answer.body.get("warnings"):
        what, remedy = (
            "the mount is key-value version 2 and the path is one of version 1",
            "leave engine out of the role file",
        )
    else:
        what, remedy = "there is no such secret", f"write it, or correct the path of {name} in the role file"
    return AgentError("refused", f"{name} at {item.path}: 404, {what}", remedy)


def _lease(answer: Answer) -> Lease | None:
    identity, seconds = answer.body.get("lease_id"), answer.body.get("lease_duration")
    if not isinstance(identity, str) or not identity or not isinstance(seconds, int) or seconds <= 0:
        return None
    return Lease(identity, answer.body.get("renewable") is True, seconds)
