"""Reading while the folder is swapped, and what is no certificate folder at all."""

import os
import socket
import threading
from pathlib import Path

import pytest

from certs.errors import CertificateError
from certs.read import IDENTITY, MAX_BYTES, SERVING, read
from tests import permissions
from tests.certs import folders
from tests.certs.authority import Asked

PAIRS = [folders.pair(Asked(names=folders.NAMES)) for _ in range(4)]


def matching(files: object) -> bool:
    return any(
        (pair.serving["tls.crt"], pair.serving["tls.key"], pair.serving["ca.crt"], pair.serving["tls.pem"])
        == files
        for pair in PAIRS
    )


@pytest.mark.parametrize("below", ["", "certs", "certs/serving"])
def test_key_certificate_and_bundle_match_at_every_moment_of_a_swap(tmp_path: Path, below: str) -> None:
    """A reader that opens the folder once finds a complete, matching set."""
    for number, pair in enumerate(PAIRS):
        folders.swap(tmp_path, str(number), {"certs/serving": pair.serving})
    done = threading.Event()

    def swapping() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (tmp_path / "..data_tmp").symlink_to(f"..{number % len(PAIRS)}")
            os.replace(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH105 - the call that the agent makes

    thread = threading.Thread(target=swapping)
    thread.start()
    try:
        seen = {found for _ in range(1500) for found in read(tmp_path / below)}
    finally:
        done.set()
        thread.join()
    assert len(seen) > 1
    assert all(matching((found.chain, found.key, found.ca, found.combined)) for found in seen)


def test_the_parent_folder_gives_every_certificate_in_it(tmp_path: Path) -> None:
    folders.swap(
        tmp_path,
        "1",
        {
            "certs/serving": PAIRS[0].serving,
            "certs/admin": PAIRS[1].serving,
            "identity": PAIRS[2].identity,
            "secrets": {"stripe": b"{}"},
        },
    )
    found = read(tmp_path)
    assert [(files.path, files.layout) for files in found] == [
        (f"{tmp_path}/certs/admin", SERVING),
        (f"{tmp_path}/certs/serving", SERVING),
        (f"{tmp_path}/identity", IDENTITY),
    ]
    assert found[2].ca == PAIRS[2].ca


def test_a_secret_volume_of_the_kubelet_is_read_too(tmp_path: Path) -> None:
    folders.write(tmp_path / "..2026", {"tls.crt": PAIRS[0].chain, "tls.key": b"key"})
    (tmp_path / "..data").symlink_to("..2026")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (found,) = read(tmp_path)
    assert (found.chain, found.key, found.ca) == (PAIRS[0].chain, b"key", b"")


def test_one_file_is_read_with_the_key_in_it(tmp_path: Path) -> None:
    folders.write(tmp_path, PAIRS[0].serving)
    assert read(tmp_path / "tls.crt")[0].key == b""
    assert read(tmp_path / "tls.pem")[0].key == PAIRS[0].serving["tls.pem"]


def test_key_material_is_not_in_the_text_of_what_was_read(tmp_path: Path) -> None:
    """Nor, therefore, in a traceback or a log."""
    folders.write(tmp_path, PAIRS[0].serving)
    for path in (tmp_path, tmp_path / "tls.pem"):
        assert "PRIVATE" not in repr(read(path))


def refused(path: Path, message: str) -> None:
    with pytest.raises(CertificateError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    folders.write(tmp_path / "set", PAIRS[0].serving)
    (tmp_path / "set/tls.key").unlink()
    os.mkfifo(tmp_path / "set/tls.key")
    refused(tmp_path / "set", "tls.key: got a FIFO")
    refused(tmp_path / "set/tls.key", "got a FIFO")


def test_sockets_and_devices_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        refused(tmp_path / "socket", "No such device")
    refused(Path("/dev/zero"), "expected a regular file")


def test_a_file_of_ten_megabytes_is_refused_and_one_at_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_bytes(b"x" * 10 * 1024 * 1024)
    refused(tmp_path, f"got more than {MAX_BYTES} bytes")
    (tmp_path / "tls.crt").write_bytes(b"x" * MAX_BYTES)
    assert len(read(tmp_path)[0].chain) == MAX_BYTES


def test_a_folder_without_certificates_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    folders.write(tmp_path / "a/b/c/d", PAIRS[0].serving)
    refused(tmp_path, "expected tls.crt or svid.pem in it or below")
    refused(tmp_path / "absent", "No such file")


def test_links_to_folders_are_not_followed_downwards(tmp_path: Path) -> None:
    """A loop or a way out of the folder is no part of it."""
    folders.write(tmp_path / "outside", PAIRS[0].serving)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to("../outside")
    refused(tmp_path / "inside", "got a folder without certificates")


def test_a_swapped_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "..data").touch()
    refused(tmp_path, "..data: Not a directory, expected a folder")


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / str(number)).touch()
    refused(tmp_path, "got 1001 entries, expected at most 1000")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    folders.write(tmp_path, PAIRS[0].serving)
    (tmp_path / "tls.key").chmod(0)
    with permissions.held():
        refused(tmp_path, "Permission denied, expected a file or folder that this user may read")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    folders.swap(tmp_path, "1", {"certs/serving": PAIRS[0].serving})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
