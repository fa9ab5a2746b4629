"""What can be wrong around a starting pod: the exit code, one clear line in both places, and nothing lost."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from agent import config, init
from agent.clock import Clock
from agent.errors import EXIT_CODES, AgentError
from agent.files import read_set
from demo import openbao
from tests.agent.conftest import Ended, World, certificate
from tests.agent.servers import answer, serving


def failed(world: World, name: str, *words: str) -> Ended:
    """`init` must fail as `name`, with the words, the same line twice, no canary, and the old files in place."""
    before = read_set(str(world.files))
    done = world.run("init")
    assert done.code == EXIT_CODES[name], done.err
    assert done.message.startswith(f"{name}: ")
    assert done.message in done.err
    assert len(done.message.splitlines()) == 1
    for word in words:
        assert word in done.message
    assert "canary" not in done.err
    assert "eyJ" not in done.err  # the start of every JSON web token
    assert read_set(str(world.files)) == before
    return done


def started(world: World) -> World:
    assert world.run("init").code == 0
    return world


def test_no_settings(world: World) -> None:
    broken = replace(world, environment={config.VARIABLE: "{"})
    failed_code = broken.run("init")
    assert failed_code.code == EXIT_CODES["config"]
    assert "PODKEYS_CONFIG: got no JSON" in failed_code.err


def test_a_termination_log_that_cannot_be_written_is_said_and_changes_nothing(world: World) -> None:
    folders = world.settings.folders._replace(termination_log=str(world.home / "nowhere" / "log"))
    done = world.with_settings(folders=folders, reads={"stripe": config.Read("kv3", "x")}, env=()).run("init")
    assert "termination-log" in done.err
    assert done.code == EXIT_CODES["config"]


@pytest.mark.parametrize("path", ["../escape", "/etc/x", "..data/x", "secrets/../../x"])
def test_a_path_that_leaves_the_folder(world: World, path: str) -> None:
    failed(world.with_settings(files=(config.File(path, "stripe", "json", "0440"),)), "config", "the path")


def test_two_files_in_one_place(world: World) -> None:
    file = config.File("secrets/a", "stripe", "json", "0440")
    failed(world.with_settings(files=(file, file)), "config", "two files would be written to secrets/a")
    below = file._replace(path="secrets/a/b")
    failed(world.with_settings(files=(file, below)), "config", "a file and a folder")


@pytest.mark.parametrize("mode", ["rw", "9", "01777", "0", "-1", ""])
def test_a_mode_that_is_none(world: World, mode: str) -> None:
    failed(world.with_settings(files=(config.File("a", "stripe", "json", mode),)), "config", "mode")


def test_a_missing_token_file(world: World) -> None:
    Path(world.settings.login.token_file).unlink()
    failed(world, "token", "can't read", "No such file", "podkeys-token")


@pytest.mark.parametrize("text", ["", "\n", "two words\nand a line", "x" * 70_000])
def test_a_token_file_that_holds_none(world: World, text: str) -> None:
    Path(world.settings.login.token_file).write_text(text)
    failed(world, "token", "holds no token")


def test_an_expired_token(world: World) -> None:
    started(world)
    world.write_token(issued=time.time() - 7200)
    failed(world, "token", "expired 3", "s ago", "kubelet")


def test_a_token_of_another_audience_is_refused_with_the_servers_reason(world: World) -> None:
    started(world)
    world.write_token(audience="other")
    failed(world, "login", "refused the role podkeys.payments", "400", "audience")


def test_an_unknown_login_role(world: World) -> None:
    login = world.settings.login._replace(role="podkeys.payments.payments.nobody")
    failed(world.with_settings(login=login), "login", "podkeys.payments.payments.nobody", "400")


def test_an_unknown_auth_mount(world: World) -> None:
    login = world.settings.login._replace(mount="jwt-nowhere")
    failed(world.with_settings(login=login), "login", "403", "check that the auth mount jwt-nowhere exists")


def test_a_path_that_the_role_may_not_read(world: World) -> None:
    started(world)
    path = f"{world.mounts.kv}/data/ledger/signing"
    reads = {**world.settings.reads, "stripe": config.Read("kv2", path)}
    failed(
        world.with_settings(reads=reads),
        "refused",
        f"role payments may not read {path}: 403 at login role {world.role}",
    )


def test_a_secret_that_is_not_there(world: World) -> None:
    reads = {**world.settings.reads, "stripe": config.Read("kv2", f"{world.mounts.kv}/data/payments/none")}
    failed(world.with_settings(reads=reads), "refused", "there is no such secret")


def test_a_deleted_and_a_destroyed_version_are_told_apart(world: World) -> None:
    started(world)
    path = "payments/stripe"
    world.bao.call("DELETE", f"{world.mounts.kv}/data/{path}")
    failed(world, "refused", "was deleted at 20", "undelete")
    world.bao.call("POST", f"{world.mounts.kv}/destroy/{path}", {"versions": [1]})
    failed(world, "refused", "is destroyed", "write a new version")


def test_a_path_of_version_1_on_version_2(world: World) -> None:
    bare = f"{world.mounts.kv}/payments/stripe"
    world.bao.call(
        "PUT",
        f"sys/policies/acl/agent-{world.role}",
        {"policy": f'path "{world.mounts.kv}/*" {{ capabilities = ["read"] }}'},
    )
    asked = world.with_settings(
        reads={"stripe": config.Read("kv1", bare)}, env=(), certificates=(), files=world.settings.files[:1]
    )
    failed(asked, "refused", "key-value version 2 and the path is one of version 1")


def test_a_key_that_the_secret_has_not(world: World) -> None:
    started(world)
    file = config.File("secrets/x", "stripe", "raw", "0440", key="pasword")
    failed(world.with_settings(files=(file,)), "render", "no key 'pasword'; it has key, port, tls, user")


def test_a_value_that_no_environment_variable_carries(world: World) -> None:
    world.put("payments/stripe", {"key": "canary'"})
    failed(
        world.with_settings(env=(config.Variable("KEY", "stripe", "key"),)), "render", "holds a single quote"
    )
    assert not Path(world.settings.folders.env, "variables").exists()


def test_a_server_that_is_down(world: World) -> None:
    started(world)
    vault = world.settings.vault._replace(address="http://127.0.0.1:1")
    failed(world.with_settings(vault=vault, deadline_seconds=1), "unreachable", "Connection refused")


def test_a_sealed_server(world: World) -> None:
    started(world)
    with openbao.running() as other:
        other.call("PUT", "sys/seal")
        vault = world.settings.vault._replace(address=other.address)
        failed(world.with_settings(vault=vault, deadline_seconds=1), "unreachable", "is sealed", "unseal it")


def test_a_certificate_name_that_the_pki_role_refuses(world: World) -> None:
    started(world)
    asked = certificate(world.mounts, world.role, dns_names=("ledger.payments",))
    failed(
        world.with_settings(certificates=(asked,)), "refused", "have", "sign certs/serving", "400", "ledger"
    )


def test_a_certificate_that_is_not_what_was_asked_is_not_written(world: World) -> None:
    """The server signs for an hour where a day was asked, and without one of the usages."""
    started(world)
    world.pki_role(world.mounts.serving, client_flag=False)
    done = failed(
        world.with_settings(certificates=world.settings.certificates[:1]), "answer", "certs/serving"
    )
    assert "client" in done.message


def test_a_mount_without_an_issuer(world: World) -> None:
    started(world)
    world.bao.call("DELETE", f"{world.mounts.serving}/root")
    failed(world, "refused", "issuers lists no issuer", "root or intermediate")


def test_pod_addresses_are_asked_for_and_missing(world: World) -> None:
    asked = certificate(world.mounts, world.role, pod_ip=True)
    without = replace(world, environment={config.POD_IPS_VARIABLE: ""})
    failed(without.with_settings(certificates=(asked,)), "config", "PODKEYS_POD_IPS")


def test_a_folder_that_is_not_there_or_not_ours(world: World) -> None:
    started(world)
    folders = world.settings.folders._replace(state=str(world.home / "nowhere"))
    done = world.with_settings(folders=folders).run("init")
    assert done.code == EXIT_CODES["volume"]
    assert "podkeys-state" in done.message


@contextmanager
def dated(world: World, *, hours: int) -> Iterator[World]:
    """The same world behind a server whose Date is off: it knows login and one read."""
    date = format_datetime(datetime.fromtimestamp(time.time() + hours * 3600, UTC), usegmt=True)
    auth = {"auth": {"client_token": "canary", "lease_duration": 600, "token_type": "batch"}}
    bodies = (auth, {"data": {"a": "1"}})
    with serving(*(answer(200, json.dumps(body), headers=(f"Date: {date}",)) for body in bodies)) as odd:
        yield world.with_settings(
            vault=world.settings.vault._replace(address=odd.address),
            reads={"smtp": config.Read("kv1", "kv1/a")},
            files=(config.File("a", "smtp", "json", "0440"),),
            env=(),
            certificates=(),
        )


def test_a_clock_an_hour_off_is_said_and_secrets_still_arrive(world: World) -> None:
    """No certificate is asked for, so nothing that a wrong clock would make useless."""
    with dated(world, hours=1) as ahead:
        done = ahead.run("init")
    assert done.code == 0, done.err
    said = re.search(r"event=clock server_ahead=(\d+)s", done.err)
    assert said, done.err
    assert abs(int(said[1]) - 3600) < 30  # the header has whole seconds, and the answer takes its time


@pytest.mark.parametrize(("hours", "direction"), [(-1, "behind"), (1, "ahead of")])
def test_a_certificate_that_this_nodes_clock_makes_useless_is_not_written(
    world: World, hours: int, direction: str
) -> None:
    """The app would start with a certificate that is not yet valid, or over, on its own node."""
    started(world)
    before = read_set(str(world.files))
    clock = Clock(wall=lambda: time.time() + hours * 3600)
    with pytest.raises(AgentError) as caught:
        init.run(world.env(), clock)
    assert caught.value.exit_code == 18
    assert f"clock is 3600 s {direction} the server's" in caught.value.line.replace("3599", "3600")
    assert "NTP" in caught.value.line
    assert read_set(str(world.files)) == before


def test_a_clock_some_minutes_off_is_said_and_the_certificate_is_used(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    init.run(world.env(), Clock(wall=lambda: time.time() + 300))
    assert "event=clock server_ahead=-" in capfd.readouterr().err
    assert (world.files / "certs/serving/tls.crt").exists()


def test_credentials_without_a_lease(world: World) -> None:
    """They would be due at every tick, a new account each time."""
    reads = {**world.settings.reads, "smtp": config.Read("database", f"{world.mounts.kv1}/payments/smtp")}
    failed(world.with_settings(reads=reads, env=()), "refused", "answered without a lease", "smtp")
