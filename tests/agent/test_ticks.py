"""What the sidecar's short process does, against the real server; the monotonic clock is moved, nobody sleeps for it."""

import shutil
import socket
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import config, init, tick
from agent.clock import Clock
from agent.files import read_set
from agent.pod import pod_from
from demo import redis
from tests.agent.conftest import World, certificate
from tests.agent.servers import answer, serving

HALF = 2000.0  # past half of the hour that certificates and leases live here


def start(world: World) -> World:
    init.run(world.env(), Clock())
    return world


def ticked(world: World, *, later: float = 0.0, started: bool = False) -> float:
    """One tick, `later` seconds after now by the monotonic clock. Returns the seconds until the next one."""
    clock = Clock(monotonic=lambda: time.monotonic() + later)
    return tick.Tick(pod_from(world.env()), clock).run(started=started)


def alive(world: World, token: str) -> bool:
    try:
        world.bao.call("GET", "auth/token/lookup-self", token=token)
    except urllib.error.HTTPError as error:
        # without the permission to look at itself a live token gets the same 403 as a dead one: ask as root
        error.close()
        try:
            world.bao.call("POST", "auth/token/lookup", {"token": token})
        except urllib.error.HTTPError as gone:
            gone.close()
            return False
    return True


def held(world: World) -> str:
    value: str = world.state["token"]["value"]
    return value


def contents(world: World) -> dict[str, bytes]:
    return {path: entry.content for path, entry in read_set(str(world.files)).items()}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {path for path in before | after if before.get(path) != after.get(path)}


SERVING = {f"certs/serving/{name}" for name in ("tls.crt", "tls.key", "tls.pem")}
IDENTITY = {f"identity/{name}" for name in ("svid.pem", "svid.key")}


def test_a_tick_with_nothing_due_changes_nothing(world: World) -> None:
    before = contents(start(world))
    wait = ticked(world)
    assert contents(world) == before
    assert 200 < wait <= 330


def test_past_half_of_their_lives_both_certificates_are_new_with_new_keys(world: World) -> None:
    before = contents(start(world))
    ticked(world, later=HALF)
    assert changed(before, contents(world)) == SERVING | IDENTITY


def test_without_state_or_files_a_tick_does_all_that_init_does(world: World) -> None:
    ticked(world, started=True)
    assert len(contents(world)) == 9
    assert Path(world.settings.folders.env, "variables").exists()


def test_a_lost_file_is_made_again_and_the_others_stay(world: World) -> None:
    before = contents(start(world))
    (world.files / "..data/secrets/stripe").unlink()
    ticked(world)
    assert contents(world) == before


def test_broken_state_is_as_none(world: World) -> None:
    start(world)
    Path(world.settings.folders.state, "state.json").write_text('{"version": 1')
    ticked(world, started=True)
    assert world.state["token"]


def test_a_changed_secret_reaches_file_and_environment_at_the_next_poll(world: World) -> None:
    before = contents(start(world))
    world.bao.call("POST", f"{world.mounts.kv1}/payments/smtp", {"password": "canary-2"})
    ticked(world, later=340)
    assert changed(before, contents(world)) == {"secrets/smtp"}
    assert Path(world.settings.folders.env, "variables").read_text() == "SMTP_PASSWORD='canary-2'\n"


def test_a_new_issuer_joins_the_bundle_at_the_next_poll(world: World) -> None:
    before = contents(start(world))
    fields = {"common_name": "next root", "key_type": "ec", "key_bits": 256, "ttl": "87600h"}
    world.bao.call("POST", f"{world.mounts.serving}/root/rotate/internal", fields)
    ticked(world, later=340)
    after = contents(world)
    assert changed(before, after) == {"certs/serving/ca.crt"}
    assert after["certs/serving/ca.crt"].count(b"BEGIN") == 2


def test_an_imported_certificate_without_its_key_is_not_trusted(world: World, tmp_path: Path) -> None:
    """A corporate root, imported as part of a chain, would speak for everybody else that it ever signed."""
    key = tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3"
    made = subprocess.run(
        [*command.split(), "-subj", "/CN=corporate root", "-keyout", str(key)],
        capture_output=True,
        text=True,
        check=True,
    )
    world.bao.call("POST", f"{world.mounts.serving}/issuers/import/cert", {"pem_bundle": made.stdout})
    start(world)
    assert contents(world)["certs/serving/ca.crt"].count(b"BEGIN") == 1


def test_a_refused_poll_keeps_the_last_good_set_and_backs_off(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    before = contents(start(world))
    world.bao.call("DELETE", f"{world.mounts.kv}/data/payments/stripe")
    wait = ticked(world, later=340)
    assert contents(world) == before
    assert 25 <= wait <= 300
    err = capfd.readouterr().err
    assert "event=failed task=poll" in err
    assert "was deleted" in err
    assert "canary" not in err


def test_what_never_worked_is_tried_less_and_less_often(world: World) -> None:
    reads = {**world.settings.reads, "stripe": config.Read("kv2", f"{world.mounts.kv}/data/ledger/x")}
    refused = world.with_settings(reads=reads, certificates=())
    waits: list[float] = []
    for _ in range(4):
        ticked(refused, later=sum(waits))
        failed = refused.state["failed"]["poll"]
        waits.append(failed["retry"] - time.monotonic() - sum(waits) + 0.01)
    assert failed["in_a_row"] == 4
    assert waits == sorted(waits)
    assert 25 <= waits[0] < waits[3] / 2


def test_a_server_that_is_down_costs_no_file_and_is_loud_in_the_last_tenth(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    start(world)
    before = contents(world)
    down = world.with_settings(
        vault=world.settings.vault._replace(address="http://127.0.0.1:1"), deadline_seconds=1
    )
    late = Clock(wall=lambda: time.time() + 3400, monotonic=lambda: time.monotonic() + 3400)
    tick.Tick(pod_from(down.env()), late).run(started=False)
    assert contents(world) == before
    message = Path(world.settings.folders.termination_log).read_text()
    assert message.startswith("expiring: certificate ")
    assert "ends in" in message
    assert "event=failed task=certificate:certs/serving" in capfd.readouterr().err


def test_a_full_or_lost_volume_counts_as_a_failure_of_what_was_got(world: World) -> None:
    start(world)
    before = world.state["terms"]["certificate:identity"]
    shutil.rmtree(world.files)
    world.files.write_text("no folder")
    wait = ticked(world, later=HALF)
    assert world.state["failed"]["certificate:identity"]["in_a_row"] == 1
    assert world.state["terms"].get("certificate:identity") in (None, before)
    assert wait > 0


def test_a_token_near_its_maximum_is_replaced_before_it_ends_and_revoked_after_a_grace(world: World) -> None:
    """Certificates that follow their token are issued anew under the new one before the old one goes."""
    world.role_fields(token_ttl=600, token_max_ttl=601)
    world.pki_role(world.mounts.serving, generate_lease=True, no_store=False)
    asked = certificate(world.mounts, world.role, revoke=True)
    short = world.with_settings(certificates=(asked, world.settings.certificates[1]))
    start(short)
    old, before = held(short), contents(short)
    world.role_fields(token_ttl=600, token_max_ttl=1200)
    world.bao.call("POST", "auth/token/lookup", {"token": old})
    shorten(short)
    ticked(short, later=320)
    new = held(short)
    assert new != old
    assert alive(short, old)
    assert changed(before, contents(short)) == SERVING
    ticked(short, later=320 + 31)
    assert not alive(short, old)
    assert alive(short, new)


def shorten(world: World) -> None:
    """As if the login had granted more than the maximum now leaves: a renewal grants less than nine tenths."""
    path = Path(world.settings.folders.state, "state.json")
    text = path.read_text().replace('"seconds": 600', '"seconds": 900')
    path.write_text(text)


def test_a_move_to_a_new_token_that_fails_half_way_changes_nothing(world: World) -> None:
    """The new token is given back, the old one and what it leased stay."""
    world.pki_role(world.mounts.serving, generate_lease=True, no_store=False)
    asked = certificate(world.mounts, world.role, revoke=True)
    short = world.with_settings(certificates=(asked,))
    start(short)
    old, before = held(short), contents(short)
    shorten(short)
    world.bao.call("DELETE", f"{world.mounts.serving}/roles/{world.role}")
    ticked(short, later=320)
    assert held(short) == old
    assert alive(short, old)
    assert contents(short) == before
    assert short.state["retired"] == []
    assert len(tokens(short)) == 1


def in_the_way(world: World) -> Path:
    """Something that keeps the set from being written and not from being read."""
    link = world.files / "secrets"
    link.unlink()
    link.write_text("in the way")
    return link


def test_a_move_to_a_new_token_that_is_not_written_changes_nothing(database: World) -> None:
    """Readers still have the accounts of the old token, so it is the new one that is given back."""
    start(database)
    before, old = contents(database), held(database)
    shorten(database)
    obstacle = in_the_way(database)
    ticked(database, later=320)
    assert (held(database), tokens(database)) == (old, [database.state["token"]["accessor"]])
    assert contents(database) == before
    obstacle.unlink()
    ticked(database, later=720)
    assert held(database) != old
    assert "secrets/orders" in changed(before, contents(database))


def test_an_account_that_was_not_written_is_got_again_not_renewed(database: World) -> None:
    before = contents(start(database))
    database.bao.call("PUT", "sys/leases/revoke", {"lease_id": database.state["leases"]["orders"]["id"]})
    obstacle = in_the_way(database)
    ticked(database, later=HALF)
    obstacle.unlink()
    ticked(database, later=HALF + 400)
    assert "secrets/orders" in changed(before, contents(database))


class Killed(BaseException):
    """What no handler of the program sees, as with SIGKILL."""


def killed(world: World, met: Callable[[], object], *, later: float) -> None:
    """A tick that ends at its first look at the clock once `met` is true."""

    def monotonic() -> float:
        if met():
            raise Killed
        return time.monotonic() + later

    made = tick.Tick(pod_from(world.env()), Clock(monotonic=monotonic))
    with pytest.raises(Killed):
        made.run(started=False)
    made._vault.close()  # a killed process closes it by itself


def test_a_tick_that_is_killed_in_a_move_leaves_the_old_token_in_place(database: World) -> None:
    """The new token is on record as one to give back, before anything is asked for with it."""
    start(database)
    before, old = contents(database), held(database)
    shorten(database)
    killed(database, lambda: database.state["retired"], later=320)
    assert held(database) == old
    ticked(database, later=350)
    assert held(database) != old
    assert len(tokens(database)) == 2
    assert "secrets/orders" in changed(before, contents(database))


def test_a_tick_that_is_killed_after_its_files_were_written_leaves_accounts_that_live(
    database: World,
) -> None:
    before = contents(start(database))
    old = held(database)
    shorten(database)
    killed(database, lambda: contents(database) != before, later=320)
    ticked(database, later=350)
    ticked(database, later=381)
    assert len(tokens(database)) == 1
    assert held(database) != old
    assert _leased(database, database.state["leases"]["orders"]["id"])


def test_a_refused_secret_holds_up_neither_the_others_nor_the_trust_bundles(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    before = contents(start(world))
    world.bao.call("DELETE", f"{world.mounts.kv1}/payments/smtp")
    world.put("payments/stripe", {"key": "new"})
    fields = {"common_name": "next root", "key_type": "ec", "key_bits": 256, "ttl": "87600h"}
    world.bao.call("POST", f"{world.mounts.serving}/root/rotate/internal", fields)
    ticked(world, later=340)
    assert changed(before, contents(world)) == {"secrets/stripe", "certs/serving/ca.crt"}
    assert world.state["failed"]["poll"]["in_a_row"] == 1
    assert "there is no such secret" in capfd.readouterr().err


def test_a_value_that_no_variable_can_carry_holds_up_no_certificate(world: World) -> None:
    before = contents(start(world))
    world.bao.call("POST", f"{world.mounts.kv1}/payments/smtp", {"password": "it's"})
    ticked(world, later=HALF)
    assert changed(before, contents(world)) == {"secrets/smtp"} | SERVING | IDENTITY
    assert Path(world.settings.folders.env, "variables").read_text() == "SMTP_PASSWORD='canary-smtp'\n"


def test_a_token_that_an_administrator_revoked_is_replaced_when_something_is_due(world: World) -> None:
    start(world)
    world.bao.call("POST", "auth/token/revoke", {"token": held(world)})
    world.put("payments/stripe", {"key": "new"})
    ticked(world, later=350)
    assert alive(world, held(world))
    assert b"new" in contents(world)["secrets/stripe"]


def test_a_healthy_token_is_kept_when_one_path_is_refused(world: World) -> None:
    start(world)
    old = held(world)
    reads = {**world.settings.reads, "stripe": config.Read("kv2", f"{world.mounts.kv}/data/ledger/x")}
    ticked(world.with_settings(reads=reads), later=350)
    assert held(world) == old


def test_after_a_stop_a_sidecar_that_starts_alone_issues_anew_what_was_revoked(world: World) -> None:
    world.pki_role(world.mounts.serving, generate_lease=True, no_store=False)
    asked = certificate(world.mounts, world.role, revoke=True)
    leased = world.with_settings(certificates=(asked, world.settings.certificates[1]))
    start(leased)
    before, old = contents(leased), held(leased)
    tick.stop(leased.env(), Clock())
    assert not alive(leased, old)
    assert leased.state["token"] is None
    ticked(leased, started=True)
    assert changed(before, contents(leased)) == SERVING
    assert alive(leased, held(leased))


def test_a_batch_token_is_got_anew_when_something_is_due_and_never_revoked(world: World) -> None:
    world.role_fields(token_type="batch", token_ttl=600, token_max_ttl=600)
    before = contents(start(world))
    first = held(world)
    assert not world.state["token"]["service"]
    ticked(world, later=HALF)
    assert held(world) != first
    assert changed(before, contents(world)) == SERVING | IDENTITY
    tick.stop(world.env(), Clock())
    assert world.state["token"]


def test_init_revokes_its_token_where_no_sidecar_follows_and_nothing_is_leased(world: World) -> None:
    alone = world.with_settings(sidecar=False)
    start(alone)
    assert tokens(world) == []
    assert not Path(world.settings.folders.state, "state.json").exists()


def test_init_leaves_its_token_where_something_is_leased_and_no_sidecar_follows(world: World) -> None:
    """Else the certificate would be revoked before the app reads it."""
    asked = certificate(world.mounts, world.role, revoke=True)
    start(world.with_settings(sidecar=False, certificates=(asked,)))
    assert len(tokens(world)) == 1


def test_an_init_that_fails_leaves_no_token_behind(world: World) -> None:
    reads = {**world.settings.reads, "stripe": config.Read("kv2", f"{world.mounts.kv}/data/ledger/x")}
    assert world.with_settings(reads=reads).run("init").code == 13
    assert tokens(world) == []


def tokens(world: World) -> list[str]:
    """Accessors of the live tokens that this world's own auth mount gave."""
    accessors: list[str] = world.bao.call("LIST", "auth/token/accessors")["data"]["keys"]
    return [accessor for accessor in accessors if _path(world, accessor) == f"auth/{world.mounts.jwt}/login"]


def _path(world: World, accessor: str) -> str:
    try:
        found = world.bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
    except urllib.error.HTTPError as gone:  # another test's, ended meanwhile
        gone.close()
        return ""
    path: str = found["data"]["path"]
    return path


def test_an_init_that_runs_again_has_the_first_ones_token_revoked(world: World) -> None:
    start(world)
    first = held(world)
    start(world)
    ticked(world, later=31)
    assert not alive(world, first)
    assert alive(world, held(world))


def test_the_app_is_told_of_a_change_and_not_of_anything_else(world: World) -> None:
    with serving(answer(200)) as app:
        port = int(app.address.rpartition(":")[2])
        told = world.with_settings(on_change=config.OnChange(port, "reload"))
        start(told)
        ticked(told)
        assert app.requests == []
        ticked(told, later=HALF)
        assert app.requests == ["POST /reload HTTP/1.1"]


def test_an_app_that_does_not_answer_is_said_and_changes_nothing(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told = world.with_settings(on_change=config.OnChange(port, "/reload"))
    start(told)
    ticked(told, later=HALF)
    assert "event=on-change port" in capfd.readouterr().err


@pytest.fixture
def database(world: World) -> Iterator[World]:
    if not redis.available():
        pytest.skip(
            "NO redis-server ON THIS MACHINE: database leases are NOT tested (apt install redis-server)"
        )
    mount = f"database-{world.mounts.kv}"
    with redis.database(world.bao, mount, "orders"):
        yield world.with_settings(
            reads={**world.settings.reads, "orders": config.Read("database", f"{mount}/creds/orders")},
            files=(*world.settings.files, config.File("secrets/orders", "orders", "dotenv", "0440")),
        )


def test_a_lease_is_renewed_without_a_change_of_the_file(database: World) -> None:
    before = contents(start(database))
    assert b"username=" in before["secrets/orders"]
    ticked(database, later=HALF)
    assert "secrets/orders" not in changed(before, contents(database))
    assert database.state["terms"]["lease:orders"]["success"] > time.monotonic() + 1900


def test_a_lease_that_is_gone_is_replaced_by_a_new_account(database: World) -> None:
    before = contents(start(database))
    database.bao.call("PUT", "sys/leases/revoke", {"lease_id": database.state["leases"]["orders"]["id"]})
    ticked(database, later=HALF)
    assert "secrets/orders" in changed(before, contents(database))


def test_new_accounts_are_there_before_the_old_token_ends_theirs(database: World) -> None:
    before = contents(start(database))
    old = held(database)
    shorten(database)
    ticked(database, later=320)
    after = contents(database)
    assert "secrets/orders" in changed(before, after)
    assert alive(database, old)
    ticked(database, later=352)
    assert not alive(database, old)
    assert contents(database)["secrets/orders"] == after["secrets/orders"]


def test_accounts_end_with_the_stop(database: World) -> None:
    start(database)
    lease = database.state["leases"]["orders"]["id"]
    tick.stop(database.env(), Clock())
    end = time.monotonic() + 5  # the server ends a token's leases right after the token
    while _leased(database, lease):
        assert time.monotonic() < end
        time.sleep(0.02)


def _leased(world: World, lease: str) -> bool:
    try:
        world.bao.call("PUT", "sys/leases/lookup", {"lease_id": lease})
    except urllib.error.HTTPError as gone:
        gone.close()
        return False
    return True
