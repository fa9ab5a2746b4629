"""HashiCorp Vault signs nothing that would begin before its issuer: for a minute after one was made, a pod waits."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from agent import config
from agent.errors import EXIT_CODES
from demo.openbao import Server
from tests.agent.conftest import World, certificate
from tests.policies.listening import Handler, Listener, listening

YOUNG = "notBefore before signer's notBefore"  # Vault 1.21.4, builtin/logical/pki/issuing/issue_common.go
WRAPPED = "1 error occurred:\n\t* cannot issue: notBefore is before the signer's NotBefore\n\n"


@dataclass
class Refusing(Listener):
    """The real server, but that the first requests to sign are refused with these words; `signed` counts them all."""

    bao: Server
    words: list[str]
    signed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusing)

    __hash__ = object.__hash__


class _Refusing(Handler):
    server: Refusing

    def answer(self) -> None:
        body = self.read_body()
        if "/sign/" in self.path:
            self.server.signed.append(self.path)
            if self.server.words:
                words = self.server.words.pop(0)
                self.reply(400, {}, json.dumps({"errors": [words]}).encode())
                return
        headers = {
            name: self.headers[name] for name in ("X-Vault-Token", "Content-Type") if self.headers[name]
        }
        request = urllib.request.Request(  # noqa: S310 - the test's own server
            self.server.bao.address + self.path, data=body or None, headers=headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                self.reply(answer.status, {}, answer.read())
        except urllib.error.HTTPError as error:
            self.reply(error.code, {}, error.read())


@contextmanager
def refusing(world: World, *words: str, seconds: int = 60) -> Iterator[tuple[World, Refusing]]:
    with listening(Refusing(world.bao, list(words))) as server:
        vault = config.Vault(server.address, "", "")
        changed = world.with_settings(
            vault=vault, certificates=(certificate(world.mounts, world.role),), deadline_seconds=seconds
        )
        yield changed, server


@pytest.mark.parametrize("words", [YOUNG, WRAPPED, YOUNG.upper()])
def test_what_a_young_issuer_does_not_sign_is_asked_again(world: World, words: str) -> None:
    with refusing(world, words, words) as (pod, server):
        done = pod.run("init")
        assert done.code == 0, done.err
        assert len(server.signed) == 3


def test_an_issuer_that_stays_too_young_is_named_with_what_to_do(world: World) -> None:
    with refusing(world, *[YOUNG] * 1000, seconds=3) as (pod, server):
        done = pod.run("init")
        assert done.code == EXIT_CODES["unreachable"], done.err
        assert f"answered 400: {YOUNG}; the mount's issuer is so young" in done.message
        assert "not_before_duration=1h" in done.message
        assert len(server.signed) > 1


@pytest.mark.parametrize("words", ["notAfter before notBefore", "the signer is unknown", ""])
def test_another_refusal_to_sign_stays_final(world: World, words: str) -> None:
    with refusing(world, *[words] * 100) as (pod, server):
        done = pod.run("init")
        assert done.code == EXIT_CODES["refused"], done.err
        assert len(server.signed) == 1
