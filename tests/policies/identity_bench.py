"""A server with entities and groups, and what it says of a token beside what we say."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import click.testing

import podkeys
from demo import mounts, openbao
from demo.openbao import Server
from demo.service_accounts import Issuer
from policies.apply.server import anywhere, connect
from policies.review import live
from policies.review.find import named
from policies.review.questions import ask
from policies.review.subjects import Policies, Reading

AUDIT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
READER = re.findall(r"```hcl\n(.*?)```", AUDIT, re.DOTALL)[0]
SELF = 'path "sys/capabilities-self" { capabilities = ["update"] }\n'
_numbers = count()


@dataclass(frozen=True)
class Bench:
    """A server on which `give` makes a policy that reads one path of its own name."""

    server: Server
    names: mounts.Mounts
    reader: str

    @property
    def accessor(self) -> str:
        found: dict[str, dict[str, str]] = self.server.call("GET", "sys/auth")["data"]
        return found[f"{self.names.jwt}/"]["accessor"]

    def give(self, text: str = "") -> str:
        name = f"p{next(_numbers)}"
        text = text or f'path "kv/data/{name}" {{ capabilities = ["read"] }}'
        self.server.call("PUT", f"sys/policies/acl/{name}", {"policy": SELF + text})
        return name

    def role(self, *policies: str, **fields: object) -> str:
        """A jwt role for the service account of its own name in the namespace of that name, unless told otherwise."""
        name = f"r{next(_numbers)}"
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["vault"],
            "bound_subject": f"system:serviceaccount:{name}:{name}",
            "token_policies": policies,
            "token_no_default_policy": True,
        }
        self.server.call("POST", f"auth/{self.names.jwt}/role/{name}", role | fields)
        return name

    def login(self, role: str, account: str = "") -> dict[str, Any]:
        space, _, name = (account or f"{role}/{role}").partition("/")
        body = {"role": role, "jwt": self.names.issuer.token(space, name)}
        found: dict[str, Any] = self.server.call("POST", f"auth/{self.names.jwt}/login", body)["auth"]
        return found

    def group(self, *policies: str, **fields: object) -> tuple[str, str]:
        """Its name and id."""
        name = f"g{next(_numbers)}"
        body = {"name": name, "policies": policies, **fields}
        return name, self.server.call("POST", "identity/group", body)["data"]["id"]

    def external(self, alias: str, *policies: str) -> tuple[str, str]:
        found = self.group(*policies, type="external")
        body = {"name": alias, "mount_accessor": self.accessor, "canonical_id": found[1]}
        self.server.call("POST", "identity/group-alias", body)
        return found

    def ask(self, *arguments: str, token: str = "") -> click.testing.Result:
        words = ["policies", *arguments, "--address", self.server.address]
        given = {"BAO_TOKEN": token or self.reader}
        return click.testing.CliRunner().invoke(podkeys.cli, words, env=given, standalone_mode=False)

    def can(self, subject: str, policy: str) -> str:
        return self.ask("can", subject, "read", f"kv/data/{policy}").stdout.strip()

    def really(self, token: str, *policies: str) -> list[str]:
        """What the server says of the same."""
        paths = [f"kv/data/{policy}" for policy in policies]
        found = self.server.call("POST", "sys/capabilities-self", {"paths": paths}, token=token)["data"]
        return ["yes" if "read" in found[path] else "no" for path in paths]


@contextmanager
def running() -> Iterator[Bench]:
    """Entities and groups of all tests of a server are read, so others' would be seen."""
    with openbao.running() as server:
        names = mounts.Mounts("kv", "kv1", "pki", "spiffe", "jwt-east", Issuer())
        mounts.create(server, names)
        server.call("PUT", "sys/policies/acl/reader", {"policy": READER})
        body = {"policies": ["reader"], "no_default_policy": True, "type": "batch"}
        reader = server.call("POST", "auth/token/create", body)["auth"]["client_token"]
        yield Bench(server, names, reader)


def agree(bench: Bench, subject: str, token: str, *policies: str) -> list[str]:
    """Both answers, which are one."""
    server = anywhere(bench.server.address, "", "")
    with connect(server, bench.reader) as session:
        inventory = live.read(session, iter)
    read, meant = Policies(inventory, Reading()), named(inventory, subject)
    may = [any(ask(read, one, "read", f"kv/data/{policy}").may for one in meant) for policy in policies]
    ours = ["yes" if each else "no" for each in may]
    assert ours == bench.really(token, *policies)
    return ours
