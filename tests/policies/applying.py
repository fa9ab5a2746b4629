"""Runs plan and apply as a person does, and looks at what then stands on the server."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply import cli
from policies.catalog import Cluster


def podkeys(command: str, generated: Path, token: str, *more: str) -> click.testing.Result:
    """`more` names the clusters."""
    result = click.testing.CliRunner().invoke(
        {"plan": cli.plan, "apply": cli.apply}[command],
        [*more, "--generated", str(generated)],
        env={"VAULT_TOKEN": token, "BAO_TOKEN": ""},
        standalone_mode=False,
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def limited_token(bao: Server, text: str) -> str:
    """A token with this policy and no other."""
    bao.call("PUT", "sys/policies/acl/applying", {"policy": text})
    body = {"policies": ["applying"], "no_default_policy": True, "ttl": "10m"}
    return str(bao.call("POST", "auth/token/create", body)["auth"]["client_token"])


def forget(bao: Server) -> None:
    """The server is shared, and policies are not below a test's own mounts."""
    for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"]:
        if name.startswith("podkeys."):
            bao.call("DELETE", f"sys/policies/acl/{name}")


@dataclass(frozen=True)
class Standing:
    """What stands on the server for one cluster."""

    bao: Server
    cluster: Cluster

    def policies(self) -> set[str]:
        found = self.bao.call("LIST", "sys/policies/acl")["data"]["keys"]
        start = f"podkeys.{self.cluster.name}."
        return {name for name in found if name.startswith(start)} - {f"{start}apply"}

    def logins(self) -> dict[str, list[str]]:
        """Auth role → its policies."""
        mount = f"auth/{self.cluster.auth_mount}/role"
        return {
            name: self.bao.call("GET", f"{mount}/{name}")["data"]["token_policies"]
            for name in self._names(mount)
        }

    def logins_without_a_policy(self) -> list[str]:
        there = self.policies()
        return [name for name, policies in self.logins().items() if not there.issuperset(policies)]

    def everything(self) -> dict[str, Any]:
        """Path → what stands there, of all that is ours."""
        of = self.cluster
        folders = (f"{of.serving_mount}/roles", f"{of.identity_mount}/roles", f"auth/{of.auth_mount}/role")
        paths = [f"sys/policies/acl/{name}" for name in sorted(self.policies())]
        paths += [f"{folder}/{name}" for folder in folders for name in self._names(folder)]
        found = {path: self.bao.call("GET", path)["data"] for path in paths}
        for fields in found.values():
            for changing in ("version", "modified"):
                fields.pop(changing, None)
        return found

    def _names(self, folder: str) -> Iterator[str]:
        try:
            yield from sorted(self.bao.call("LIST", folder)["data"]["keys"])
        except OSError:  # an empty folder is none to the server
            return


def log_in(bao: Server, mounts: Mounts, role: str, account: str = "payments/api") -> str:
    """The token that this service account gets by an auth role."""
    namespace, _, name = account.partition("/")
    body = {"role": role, "jwt": mounts.issuer.token(namespace, name)}
    return str(bao.call("POST", f"auth/{mounts.jwt}/login", body, token="")["auth"]["client_token"])


def document(result: click.testing.Result) -> dict[str, Any]:
    """What `--json` printed."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found
