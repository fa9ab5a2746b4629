"""Reads one cluster's folder of the generated tree. It is untrusted: a changed file must not reach past its own role.

Whatever a file says, what is written is only the path that its place in the tree gives, on the cluster's own
mounts. Symbolic links are refused, so that the tree that was reviewed is the tree that is read.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies import names
from policies.apply import certificates
from policies.apply.errors import TreeError
from policies.apply.reader import CATALOG, CLUSTER_FILES, REGENERATE, Reader
from policies.apply.state import Desired, Item, policy_path
from policies.catalog import Cluster
from policies.catalog_files import CatalogError, parse_cluster

_MOUNT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_SERVERS_OWN = frozenset({"auth", "cubbyhole", "identity", "sys"})


@dataclass(frozen=True, slots=True)
class _Folder:
    """One service role's folder."""

    cluster: Cluster
    namespace: str
    role: str
    reader: Reader

    @property
    def policy(self) -> str:
        return names.role_policy(self.cluster.name, self.namespace, self.role)

    def identity_policy(self, account: str) -> str:
        return names.identity_policy(self.cluster.name, self.namespace, self.role, account)


def read(generated: Path, cluster_name: str, reviewed: Mapping[str, str] | None = None) -> Desired:
    """The tree below `generated/<cluster>/`; with `reviewed`, the digests of a bundle, only as they say.

    Raises TreeError, which names the file.
    """
    if not names.is_label(cluster_name):
        raise TreeError(f"cluster: got {cluster_name!r}, expected a name such as eu-nl-prod-a")
    top = generated / cluster_name
    if not _is_folder(top):
        known = ", ".join(sorted(path.parent.name for path in generated.glob("*/cluster.json"))) or "none"
        raise TreeError(
            f"{top}: no such folder; expected a generated cluster (here: {known}); "
            "give its name with --cluster, the tree with --generated, or run `podkeys policies generate`"
        )
    reader = Reader(generated, reviewed)
    cluster = _cluster(top, cluster_name, reader)
    items: dict[str, Item] = {}
    for folder, path in _role_folders(top, cluster, reader):
        for item in _role_items(folder, path):
            items[item.path] = item
    reader.check_all(cluster_name)
    return Desired(cluster, items)


def _cluster(top: Path, name: str, reader: Reader) -> Cluster:
    entries = _entries(top)
    file = top / "cluster.json"
    if "cluster.json" not in entries:
        raise TreeError(f"{file}: no such file; {REGENERATE}")
    try:
        cluster = parse_cluster(reader.json(file)[0].encode())
    except CatalogError as error:
        raise TreeError(f"{file}: {error}") from None
    if cluster.name != name:
        raise TreeError(f"{file}: cluster: got {cluster.name!r}, expected {name}, as its folder is called")
    mounts = (cluster.auth_mount, cluster.serving_mount, cluster.identity_mount)
    for mount in mounts:
        if not _MOUNT.fullmatch(mount) or mount.split("/")[0] in _SERVERS_OWN:
            raise TreeError(f"{file}: got {mount!r}, expected the path of a mount such as pki-eu-nl-prod-a")
    if cluster.serving_mount == cluster.identity_mount:
        raise TreeError(f"{file}: pki: got {mount!r} twice, expected two mounts, each with its own root")
    return cluster


def _role_folders(top: Path, cluster: Cluster, reader: Reader) -> Iterator[tuple[_Folder, Path]]:
    for namespace, is_folder in _entries(top).items():
        if not is_folder:
            if namespace not in CLUSTER_FILES:
                raise TreeError(f"{top / namespace}: unexpected file; remove it, or {REGENERATE}")
            continue
        for role, holds_files in _entries(top / namespace).items():
            path = top / namespace / role
            if not holds_files and namespace == CATALOG:
                continue
            if not holds_files or not names.is_label(namespace) or not names.is_label(role):
                raise TreeError(
                    f"{path}: expected a folder <namespace>/<role>, both names of at most "
                    f"{names.MAX_LABEL} lower-case letters, digits and dashes; remove it, or {REGENERATE}"
                )
            yield _Folder(cluster, namespace, role, reader), path


def _role_items(folder: _Folder, path: Path) -> Iterator[Item]:
    files = _entries(path)
    if "policy.hcl" not in files:
        raise TreeError(
            f"{path}/policy.hcl: no such file, and it carries the mark of ownership; {REGENERATE}"
        )
    for name, is_folder in files.items():
        kind, _, entry = name.rpartition(".")[0].partition(".")
        if is_folder or name not in _file_names(entry) or (entry and not names.is_label(entry)):
            raise TreeError(
                f"{path / name}: unexpected; expected only policy.hcl, policy.ACCOUNT.hcl, auth.ACCOUNT.json, "
                f"pki.CERTIFICATE.json and identity.ACCOUNT.json; remove it, or {REGENERATE}"
            )
        yield _item(folder, path / name, kind, entry)


def _file_names(entry: str) -> tuple[str, ...]:
    if not entry:
        return ("policy.hcl",)
    return (f"policy.{entry}.hcl", f"auth.{entry}.json", f"pki.{entry}.json", f"identity.{entry}.json")


def _item(folder: _Folder, file: Path, kind: str, entry: str) -> Item:
    cluster, owner = folder.cluster, policy_path(folder.policy)
    parts = (folder.namespace, folder.role, entry)
    if kind == "policy":
        name = folder.identity_policy(entry) if entry else folder.policy
        return Item(
            "policy",
            policy_path(name),
            owner,
            {"policy": _policy(file, folder.reader.text(file), name)},
            str(file),
        )
    if kind == "auth":
        path = f"auth/{cluster.auth_mount}/role/{names.auth_role(*parts)}"
        fields = _fields(file, folder.reader.json(file)[1], path)
        _check_login(folder, file, entry, fields)
        return Item("auth role", path, owner, fields, str(file))
    path = (
        f"{cluster.serving_mount}/roles/{names.serving_pki_role(*parts)}"
        if kind == "pki"
        else f"{cluster.identity_mount}/roles/{names.identity_pki_role(*parts)}"
    )
    fields = _fields(file, folder.reader.json(file)[1], path)
    _check_names(file, fields, folder.namespace, "" if kind == "pki" else entry)
    return Item("PKI role", path, owner, fields, str(file))


def _policy(file: Path, text: str, name: str) -> str:
    """The text, whose header carries the mark and says once whose it is: a file copied from elsewhere is refused."""
    header = text.partition("\n\n")[0].split("\n")
    said = [line for line in header if line.startswith("# policy:")]
    if not text.startswith(names.MARK) or said != [f"# policy: {name}"]:
        raise TreeError(
            f"{file}: expected a header that starts with `{names.MARK}` and says `# policy: {name}` once; {REGENERATE}"
        )
    return text


def _fields(file: Path, document: object, path: str) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != {"generatedFrom", "path", "data"}:
        raise TreeError(f"{file}: expected an object of generatedFrom, path and data; {REGENERATE}")
    if document["path"] != path:
        raise TreeError(
            f"{file}: path: got {document['path']!r}, expected {path}, by its place; {REGENERATE}"
        )
    fields = document["data"]
    if not isinstance(fields, dict) or not fields:
        raise TreeError(f"{file}: data: expected an object of the role's fields; {REGENERATE}")
    return fields


def _check_login(folder: _Folder, file: Path, account: str, fields: dict[str, Any]) -> None:
    """A login role gives its own service account its own policies and nothing else."""
    allowed = [folder.policy]
    if (file.parent / f"policy.{account}.hcl").exists():
        allowed.append(folder.identity_policy(account))
    policies = fields.get("token_policies")
    if (
        "policies" in fields
        or not isinstance(policies, list)
        or not all(name in allowed for name in policies)
    ):
        raise TreeError(
            f"{file}: data.token_policies: got {policies!r}, expected only {', '.join(allowed)}; {REGENERATE}"
        )
    for field, value in _binding(folder, account).items():
        if fields.get(field) != value:
            raise TreeError(
                f"{file}: data.{field}: got {fields.get(field)!r}, expected {value!r}, by its place; {REGENERATE}"
            )


def _check_names(file: Path, fields: dict[str, Any], namespace: str, account: str) -> None:
    """A PKI role gives names of its own namespace, or of its own service account, and nothing else."""
    wrong = (*certificates.openings(fields), *certificates.foreign_names(fields, namespace, account))
    for field, got, expected in wrong:
        raise TreeError(f"{file}: data.{field}: got {got!r}, expected {expected}, by its place; {REGENERATE}")


def _binding(folder: _Folder, account: str) -> dict[str, Any]:
    if folder.cluster.auth_method == "jwt":
        return {
            "bound_audiences": [folder.cluster.audience],
            "bound_subject": f"system:serviceaccount:{folder.namespace}:{account}",
        }
    return {
        "audience": folder.cluster.audience,
        "bound_service_account_names": [account],
        "bound_service_account_namespaces": [folder.namespace],
        "bound_service_account_namespace_selector": "",  # would add namespaces to the one above
    }


def _is_folder(path: Path) -> bool:
    """No symbolic link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TreeError(f"{path}: can't be read: {error.strerror}") from None


def _entries(folder: Path) -> dict[str, bool]:
    """What stands in a folder, sorted: name → whether it is a folder. Only folders and regular files are let through."""
    try:
        found = {path.name: path.lstat().st_mode for path in sorted(folder.iterdir())}
    except OSError as error:
        raise TreeError(f"{folder}: can't be read: {error.strerror}") from None
    for name, mode in found.items():
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise TreeError(
                f"{folder / name}: expected a plain file or folder, no symbolic link and nothing else; "
                f"remove it, or {REGENERATE}"
            )
    return {name: stat.S_ISDIR(mode) for name, mode in found.items()}
