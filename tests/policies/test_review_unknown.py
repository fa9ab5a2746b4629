"""What the token may not read, and what isn't read, is unknown: neither no nor nobody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.apply.server import Server as BaoSession
from policies.apply.server import anywhere, connect
from policies.apply.state import Stored
from policies.review import live
from tests.policies.identity_bench import READER, Bench


def test_what_the_token_may_not_read_is_unknown(bench: Bench) -> None:
    """Neither no nor nobody, in any form of an answer; what is allowed stays allowed."""
    own, more = bench.give(), bench.give()
    role = bench.role(own)
    bench.server.call("PUT", "sys/policies/acl/half", {"policy": READER.replace('"identity/group', '"no')})
    body = {"policies": ["half"], "no_default_policy": True}
    token = bench.server.call("POST", "auth/token/create", body)["auth"]["client_token"]
    path = f"kv/data/{more}"
    refused = bench.ask("can", role, "read", path, token=token)
    assert (refused.return_value, refused.stdout) == (1, "unknown\n")
    assert 'its policy lacks: list on "identity/group/id"' in refused.stderr
    assert bench.ask("can", role, "read", f"kv/data/{own}", token=token).stdout == "yes\n"
    nobody = bench.ask("who-can", "delete", "nothing/of/it", token=token)
    assert (nobody.return_value, nobody.stdout.splitlines()[-1]) == (
        0,
        "Nobody can delete nothing/of/it, as far as is known.",
    )
    for words in (("who-can", "delete", "nothing/of/it"), ("can", role, "read", path), ("reach", role)):
        assert "identity/group/id" in bench.ask(*words, "--json", token=token).stdout


@dataclass(frozen=True)
class WithDirectory:
    """A session with the server, as if it had a method that OpenBao's own binary doesn't have."""

    inner: BaoSession

    def read(self, path: str) -> Stored | None:
        found = self.inner.read(path)
        return (
            Stored({**found.fields, "directory/": {"type": "ldap"}})
            if found and path == "sys/auth"
            else found
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        return getattr(self.inner, name)


def test_an_auth_mount_that_is_not_read_is_unknown_where_it_is_asked_who(bench: Bench) -> None:
    with connect(anywhere(bench.server.address, "", ""), bench.reader) as session:
        inventory = live.read(WithDirectory(session), iter)
    assert inventory.unknown == ("who logs in at directory, of the method ldap: not read",)
    assert inventory.identity.unknown == (), "it is nobody's who logs in elsewhere"


def test_policy_tests_fail_where_the_answer_is_not_known(bench: Bench, tmp_path: Path) -> None:
    role = bench.role(bench.give())
    file = tmp_path / "test.yaml"
    denied = f"{{subject: {role}, operation: read, path: kv/data/other, expected: denied}}"
    file.write_text(f"apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n- {denied}\n")
    assert bench.ask("test", str(file)).return_value == 0
    bench.server.call("PUT", "sys/policies/acl/blind", {"policy": READER.replace('"identity/', '"no')})
    body = {"policies": ["blind"], "no_default_policy": True}
    token = bench.server.call("POST", "auth/token/create", body)["auth"]["client_token"]
    asked = bench.ask("test", str(file), token=token)
    assert asked.return_value == 1
    assert "not known, expected denied" in asked.stdout
