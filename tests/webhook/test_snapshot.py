"""What was last read well must outlive the process that read it, whole or not at all."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policies.catalog_files import CatalogError
from tests.webhook import catalogs, serving
from tests.webhook.serving import Webhook, post, review
from tests.webhook.test_webhook_server import _served, _worker
from webhook import store
from webhook.snapshot import Snapshot, anonymous


@pytest.fixture
def slots() -> Iterator[list[int]]:
    made: list[int] = []
    yield made
    for descriptor in made:
        os.close(descriptor)


@pytest.fixture
def snapshot(slots: list[int]) -> Snapshot:
    def make() -> int:
        slots.append(anonymous())
        return slots[-1]

    return Snapshot(make)


def _content(snapshot: Snapshot) -> bytes | None:
    saved = snapshot.read()
    return saved.content if saved else None


def test_the_last_that_was_written_is_read(snapshot: Snapshot) -> None:
    assert _content(snapshot) is None
    for number in range(5):
        snapshot.write(b"%d" % number * 1000, float(number))
        saved = snapshot.read()
        assert saved
        assert (saved.content, saved.at) == (b"%d" % number * 1000, float(number))


@pytest.mark.parametrize("size", [0, 5, 47, 48, 60])
def test_a_write_that_was_cut_short_leaves_the_one_before(
    snapshot: Snapshot, slots: list[int], size: int
) -> None:
    for content in (b"first", b"second", os.urandom(100)):
        snapshot.write(content, 1)
    newest = next(slot for slot in slots if snapshot._slot(slot) == snapshot.read())
    os.ftruncate(newest, size)
    assert _content(snapshot) == b"second"
    snapshot.write(b"third", 2)
    assert _content(snapshot) == b"third"


def test_what_nobody_of_ours_wrote_is_not_read(snapshot: Snapshot, slots: list[int]) -> None:
    for slot in slots:
        os.pwrite(slot, os.urandom(300), 0)
    assert _content(snapshot) is None


def test_it_has_no_name_on_a_disk_and_nobody_else_may_open_it(slots: list[int]) -> None:
    slots.append(anonymous(b"x"))
    status = os.fstat(slots[0])
    assert (status.st_nlink, status.st_mode & 0o777) == (0, 0o600)


def test_a_process_reads_what_its_forerunner_wrote(snapshot: Snapshot) -> None:
    child = os.fork()
    if not child:
        snapshot.write(b"from the child", 1)
        os._exit(0)
    os.waitpid(child, 0)
    assert _content(snapshot) == b"from the child"


def test_a_catalog_that_is_recalled_is_checked_as_on_disk(tmp_path: Path) -> None:
    folder, cluster_file = catalogs.write(tmp_path)
    loaded, content = store.read(folder, cluster_file)
    assert store.parse(content, folder, cluster_file) == loaded == store.load(folder, cluster_file)
    contents = json.loads(content)
    name = next(path for path in contents if path.endswith("payments.json"))
    contents[name] += " "
    with pytest.raises(CatalogError, match="got SHA-256"):
        store.parse(json.dumps(contents).encode(), folder, cluster_file)


def _replace_worker(webhook: Webhook) -> None:
    before = _worker(webhook)
    os.kill(before, signal.SIGKILL)
    while not (after := _workers(webhook)) or after == [before]:
        time.sleep(0.02)
    assert webhook.page("/healthz")[0] == 200


def _workers(webhook: Webhook) -> list[int]:
    children = Path(f"/proc/{webhook.process.pid}/task/{webhook.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    with serving.serving(tmp_path, "--drain", "0", "--catalog-poll", "0.1") as running:
        if not Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").exists():
            pytest.skip("this system does not list a process's children")
        yield running


BREAK: dict[str, Callable[[Path], object]] = {
    "manifest": lambda home: serving.replace(home / "catalog" / "manifest.json", b"{"),
    "cluster": lambda home: serving.replace(home / "cluster.json", b"{}"),
    "folder": lambda home: (home / "catalog").rename(home / "gone"),
}


@pytest.mark.parametrize("part", BREAK)
def test_a_worker_that_dies_leaves_its_catalog_to_the_next_one(webhook: Webhook, part: str) -> None:
    """A pod is not refused because a process ended: the last good catalog is the newest, not that of the start."""
    catalogs.write(webhook.home, "payments", "orders")
    webhook.eventually("podkeys_catalog_roles", 2)
    BREAK[part](webhook.home)
    webhook.eventually("podkeys_catalog_last_attempt_ok", 0)
    loaded = webhook.metric("podkeys_catalog_loaded_timestamp_seconds")
    for number in range(2):
        _replace_worker(webhook)
        assert webhook.page("/readyz")[0] == 200
        assert webhook.metric("podkeys_catalog_last_attempt_ok") == 0
        assert webhook.metric("podkeys_catalog_roles") == 2
        assert webhook.metric("podkeys_catalog_loaded_timestamp_seconds") == loaded
        with webhook.connect() as connection:
            assert post(connection, review(f"uid-{number}"))[1]["allowed"]
    assert {line["so"] for line in webhook.events("catalog-refused")} == {"the last good catalog is kept"}


def test_a_worker_that_dies_leaves_its_renewed_certificate_to_the_next_one(webhook: Webhook) -> None:
    serving.write_certificate(webhook.home, common_name="renewed")
    webhook.wait_for_events("certificate-loaded", 1)
    renewed = _served(webhook)
    serving.replace(webhook.home / "tls.crt", b"no certificate")
    webhook.wait_for_events("certificate-refused", 1)
    _replace_worker(webhook)
    assert _served(webhook) == renewed
    assert webhook.metric("podkeys_serving_certificate_last_attempt_ok") == 0
