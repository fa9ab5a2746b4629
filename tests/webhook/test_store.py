import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from policies.catalog_files import CatalogError
from tests.webhook import catalogs
from webhook.store import kept, load


def test_a_whole_catalog_is_loaded_with_its_manifests_digest(tmp_path: Path) -> None:
    folder, cluster_file = catalogs.write(tmp_path)
    loaded = load(folder, cluster_file)
    assert loaded.cluster == catalogs.CLUSTER
    assert list(loaded.namespaces) == ["payments"]
    assert loaded.namespaces["payments"].roles["payments"].secrets["stripe"].env
    assert len(loaded.digest) == 64
    assert load(folder, cluster_file).digest == loaded.digest


def _cut(folder: Path) -> None:
    path = folder / "payments.json"
    path.write_bytes(path.read_bytes()[:-10])


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _file_missing(folder: Path) -> None:
    (folder / "payments.json").unlink()


def _file_unlisted(folder: Path) -> None:
    (folder / "orders.json").write_bytes(catalogs.namespace_bytes("orders", "orders"))


def _file_is_a_folder(folder: Path) -> None:
    (folder / "payments.json").unlink()
    (folder / "payments.json").mkdir()


def _manifest_is_no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def _manifest_escapes(folder: Path) -> None:
    (folder / "manifest.json").write_text(
        '{"version": 1, "cluster": "eu-nl-prod-a", "files": {"../payments.json": ""}}'
    )


def _manifest_of_another_cluster(folder: Path) -> None:
    catalogs.write_files(folder, {"payments": catalogs.namespace_bytes("payments")}, cluster="other")


def _namespace_of_another_cluster(folder: Path) -> None:
    catalogs.write_files(folder, {"payments": catalogs.namespace_bytes("payments", cluster="other")})


def _namespace_under_another_name(folder: Path) -> None:
    catalogs.write_files(folder, {"payments": catalogs.namespace_bytes("orders")})


def _namespace_is_no_catalog(folder: Path) -> None:
    catalogs.write_files(folder, {"payments": b'{"version": 1}'})


def _no_cluster_file(folder: Path) -> None:
    (folder.parent / "cluster.json").unlink()


def _cluster_is_no_json(folder: Path) -> None:
    (folder.parent / "cluster.json").write_bytes(b"\xff")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_cut, "payments.json: got SHA-256"),
        (_no_manifest, "manifest.json: got no such file"),
        (_file_missing, "payments.json: got no such file"),
        (_file_is_a_folder, "payments.json: got no such file"),
        (_file_unlisted, "does not list orders.json"),
        (_manifest_is_no_json, "manifest.json: got no JSON"),
        (_manifest_escapes, "got the file name '../payments.json'"),
        (_manifest_of_another_cluster, "manifest.json: got cluster 'other', expected 'eu-nl-prod-a'"),
        (_namespace_of_another_cluster, "payments.json: got cluster 'other'"),
        (_namespace_under_another_name, "payments.json: got namespace 'orders', expected 'payments'"),
        (_namespace_is_no_catalog, "payments.json: namespace: got nothing"),
        (_no_cluster_file, "cluster.json: got no such file"),
        (_cluster_is_no_json, "cluster.json: got no JSON"),
    ],
)
def test_a_damaged_catalog_is_refused_with_the_file_and_what_was_expected(
    tmp_path: Path, damage: Callable[[Path], None], expected: str
) -> None:
    """A catalog is loaded whole, matching its manifest, or not at all."""
    folder, cluster_file = catalogs.write(tmp_path)
    damage(folder)
    with pytest.raises(CatalogError) as refusal:
        load(folder, cluster_file)
    assert expected in str(refusal.value)


def test_the_cluster_file_may_stand_in_the_catalog_folder(tmp_path: Path) -> None:
    folder, cluster_file = catalogs.write(tmp_path)
    moved = cluster_file.rename(folder / "cluster.json")
    assert load(folder, moved).cluster.name == "eu-nl-prod-a"


def test_the_last_good_catalog_is_kept_while_the_files_are_wrong(tmp_path: Path) -> None:
    folder, cluster_file = catalogs.write(tmp_path, "payments")
    clock = iter([100.0, 200.0, 300.0, 400.0])
    store = kept(folder, cluster_file, lambda _: None, lambda: next(clock))
    good = store.refresh().value

    (folder / "manifest.json").write_text("{")
    broken = store.refresh()
    assert broken.value is good
    assert "manifest.json: got no JSON" in broken.error
    assert (broken.loaded_at, broken.succeeded_at) == (100, 100)

    catalogs.write(tmp_path, "payments", "orders")
    repaired = store.refresh()
    assert repaired.error == ""
    assert repaired.value
    assert list(repaired.value.namespaces["payments"].roles) == ["orders", "payments"]
    assert (repaired.loaded_at, repaired.succeeded_at) == (300, 300)

    unchanged = store.refresh()
    assert unchanged.value is repaired.value
    assert (unchanged.loaded_at, unchanged.succeeded_at) == (300, 400)


def test_without_any_good_catalog_there_is_none(tmp_path: Path) -> None:
    store = kept(tmp_path / "none", tmp_path / "none.json", lambda _: None)
    assert store.refresh().value is None
    assert "none.json: got no such file" in store.state.error


def test_a_swap_of_a_configmap_volume_is_noticed(tmp_path: Path) -> None:
    _, cluster_file = catalogs.write(tmp_path)
    for number, names in enumerate((["payments"], ["orders"]), start=1):
        content = catalogs.namespace_bytes("payments", *names)
        catalogs.write_files(tmp_path / f"v{number}", {"payments": content})
    volume = tmp_path / "volume"
    catalogs.mount(volume, tmp_path / "v1")
    store = kept(volume, cluster_file, lambda _: None)
    first = store.refresh().value
    catalogs.mount(volume, tmp_path / "v2")
    second = store.refresh().value
    assert first
    assert second
    assert list(first.namespaces["payments"].roles) == ["payments"]
    assert list(second.namespaces["payments"].roles) == ["orders"]


def test_a_wrong_catalog_is_read_again_even_when_its_files_look_the_same(tmp_path: Path) -> None:
    """Reading may have failed for a passing reason, or in the middle of a swap."""
    folder, cluster_file = catalogs.write(tmp_path)
    shutil.move(folder / "payments.json", tmp_path / "aside.json")
    store = kept(folder, cluster_file, lambda _: None)
    assert store.refresh().error
    shutil.move(tmp_path / "aside.json", folder / "payments.json")
    assert store.refresh().error == ""
