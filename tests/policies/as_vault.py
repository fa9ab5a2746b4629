"""Stands in front of a real OpenBao and answers as HashiCorp Vault 1.21.4 Community does, where the two differ for plan and apply.

What it changes was read on the real server; test_vault_facts.py asks the same questions of both.
"""

import http.client
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from demo import openbao
from tests.policies.listening import Handler, Listener, listening

VERSION = "1.21.4"
NOT_IN_PKI_ROLES = (
    "allow_globs_in_identity_templates",
    "allowed_ip_sans_cidr",
    "not_after_bound",
    "not_before",
    "not_before_bound",
)
IN_PKI_ROLES_ALONE = "serial_number_source"
_PASSED_ON = ("X-Vault-Token", "X-Vault-Request")  # and no namespace: it is ignored in silence


class VaultLike(Listener):
    """`before`: called with method and path of each request before it is passed on. A real Vault's answers pass as they are."""

    def __init__(self, address: str, before: Callable[[str, str], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Translating)
        self.behind = urlsplit(address)
        self.before = before
        self.translates = not os.environ.get(openbao.VARIABLE)
        self.writes: list[tuple[str, str]] = []


class _Translating(Handler):
    server: VaultLike

    def answer(self) -> None:
        body = self.read_body()
        path = self.path.partition("?")[0].removeprefix("/v1/")
        if self.command in ("PUT", "POST", "DELETE"):
            self.server.writes.append((self.command, path))
        self.server.before(self.command, path)
        if not self.server.translates:
            status, answer = self._ask(body)
            self.reply(status, {"Content-Type": "application/json"}, answer)
            return
        if self.command == "SCAN":
            self.reply(405, {}, b'{"errors": ["unsupported operation"]}')
            return
        status, answer = self._ask(_request(path, body))
        self.reply(status, {"Content-Type": "application/json"}, _answer(path, answer))

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            str(self.server.behind.hostname), self.server.behind.port, timeout=10
        )
        try:
            headers = {name: value for name in _PASSED_ON if (value := self.headers.get(name))}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _request(path: str, body: bytes) -> bytes:
    if not body:
        return body
    fields: dict[str, Any] = json.loads(body)
    if path.startswith("sys/policies/acl/"):
        fields.pop("cas", None)  # there is no check-and-set
    elif _is_pki_role(path):
        for name in (*NOT_IN_PKI_ROLES, IN_PKI_ROLES_ALONE):
            fields.pop(name, None)
        fields["allowed_ip_sans_cidr"] = ["0.0.0.0/0", "::/0"] if fields.get("allow_ip_sans", True) else []
        fields |= {"not_after_bound": "permit", "not_before_bound": "permit"}
    return json.dumps(fields).encode()


def _answer(path: str, body: bytes) -> bytes:
    if path == "sys/health":
        return json.dumps(json.loads(body) | {"version": VERSION, "enterprise": False}).encode()
    if not body or not (path.startswith("sys/policies/acl/") or _is_pki_role(path)):
        return body
    answer: dict[str, Any] = json.loads(body)
    data = answer.get("data") or {}
    hidden = NOT_IN_PKI_ROLES if _is_pki_role(path) else ("version", "modified", "cas_required")
    for name in hidden:
        data.pop(name, None)
    if data and _is_pki_role(path):
        data[IN_PKI_ROLES_ALONE] = "json"
    return json.dumps(answer).encode()


def _is_pki_role(path: str) -> bool:
    mount, _, name = path.rpartition("/roles/")
    return bool(mount and name)


def vault_like(
    address: str, before: Callable[[str, str], None] = lambda *_: None
) -> AbstractContextManager[VaultLike]:
    return listening(VaultLike(address, before))
