"""Reads one cluster's folder of the generated tree. It is untrusted: a changed file must not reach past its own role.

Whatever a file says, what is written is only the path that its place in the tree gives, on the cluster's own
mounts. Symbolic links are refused, so that the tree that was reviewed is the tree that is read.
"""

import json
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies import names
from policies.apply import certificates
from policies.apply.bundle import digest
from policies.apply.errors import TreeError
from policies.apply.state import Desired, Item, policy_path
from policies.catalog import Cluster
from policies.catalog_files import CatalogError, parse_cluster

CLUSTER_FILES = ("cluster.json", "catalog.configmap.yaml")
CATALOG = "catalog"  # holds files; as the name of a Kubernetes namespace it holds folders too

_MOUNT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_SERVERS_OWN = frozenset({"auth", "cubbyhole", "identity", "sys"})
_REGENERATE = "run `podkeys policies generate` and review what it changes"


@dataclass(frozen=True, slots=True)
class _Folder:
    """One service role's folder."""

    cluster: Cluster
    namespace: str
    role: str
    text: "Reader"

    @property
    def policy(self) -> str:
        return names.role_policy(self.cluster.name, self.namespace, self.role)

    def identity_policy(self, account: str) -> str:
        return names.identity_policy(self.cluster.name, self.namespace, self.role, account)


class Reader:
    """Reads each file once; with a bundle's digests, only what was reviewed."""

    def __init__(self, generated: Path, reviewed: Mapping[str, str] | None = None) -> None:
        self._generated = generated
        self._reviewed = reviewed
        self._read: set[str] = set()

    def __call__(self, file: Path) -> str:
        name = file.relative_to(self._generated).as_posix()
        self._read.add(name)
        try:
            content = file.read_bytes()
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise TreeError(f"{file}: can't be read as UTF-8 text: {error}") from None
        if self._reviewed is not None and self._reviewed.get(name) != digest(content):
            known = "changed since its review" if name in self._reviewed else "not reviewed"
            raise TreeError(f"{file}: {known}; expected the tree of the bundle: check out what was signed")
        return text

    def check_all(self, cluster: str) -> None:
        """Whether all that was reviewed is there: what is missing would be pruned."""
        own = {name for name in self._reviewed or () if name.startswith(f"{cluster}/") and _applied(name)}
        missing = sorted(own - self._read)
        if missing:
            raise TreeError(
                f"{self._generated / missing[0]}: missing, and it was reviewed; check out what was signed"
            )


def _applied(name: str) -> bool:
    """Whether apply reads a file of the tree: the catalog goes to Kubernetes alone."""
    parts = name.split("/")
    return parts[-1] != CLUSTER_FILES[1] and not (len(parts) == 3 and parts[1] == CATALOG)  # noqa: PLR2004 - cluster/catalog/file


def read(generated: Path, cluster_name: str, reviewed: Mapping[str, str] | None = None) -> Desired:
    """The tree below `generated/<cluster>/`; with `reviewed`, the digests of a bundle, only as they say.

    Raises TreeError, which names the file.
    """
    if not names.is_label(cluster_name):
        raise TreeError(f"cluster: got {cluster_name!r}, expected a name such as eu-nl-prod-a")
    top = generated / cluster_name
    if top.is_symlink() or not top.is_dir():
        known = ", ".join(sorted(path.parent.name for path in generated.glob("*/cluster.json"))) or "none"
        raise TreeError(
            f"{top}: no such folder; expected a generated cluster (here: {known}); "
            "give its name with --cluster, the tree with --generated, or run `podkeys policies generate`"
        )
    text = Reader(generated, reviewed)
    cluster = _cluster(top, cluster_name, text)
    items: dict[str, Item] = {}
    for folder, path in _role_folders(top, cluster, text):
        for item in _role_items(folder, path):
            items[item.path] = item
    text.check_all(cluster_name)
    return Desired(cluster, items)


def _cluster(top: Path, name: str, text: Reader) -> Cluster:
    entries = _entries(top)
    file = top / "cluster.json"
    if "cluster.json" not in entries:
        raise TreeError(f"{file}: no such file; {_REGENERATE}")
    try:
        cluster = parse_cluster(text(file).encode())
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


def _role_folders(top: Path, cluster: Cluster, text: Reader) -> Iterator[tuple[_Folder, Path]]:
    for namespace, is_folder in _entries(top).items():
        if not is_folder:
            if namespace not in CLUSTER_FILES:
                raise TreeError(f"{top / namespace}: unexpected file; remove it, or {_REGENERATE}")
            continue
        for role, holds_files in _entries(top / namespace).items():
            path = top / namespace / role
            if not holds_files and namespace == CATALOG:
                continue
            if not holds_files or not names.is_label(namespace) or not names.is_label(role):
                raise TreeError(
                    f"{path}: expected a folder <namespace>/<role>, both names of at most "
                    f"{names.MAX_LABEL} lower-case letters, digits and dashes; remove it, or {_REGENERATE}"
                )
            yield _Folder(cluster, namespace, role, text), path


def _role_items(folder: _Folder, path: Path) -> Iterator[Item]:
    files = _entries(path)
    if "policy.hcl" not in files:
        raise TreeError(
            f"{path}/policy.hcl: no such file, and it carries the mark of ownership; {_REGENERATE}"
        )
    for name, is_folder in files.items():
        kind, _, entry = name.rpartition(".")[0].partition(".")
        if is_folder or name not in _file_names(entry) or (entry and not names.is_label(entry)):
            raise TreeError(
                f"{path / name}: unexpected; expected only policy.hcl, policy.ACCOUNT.hcl, auth.ACCOUNT.json, "
                f"pki.CERTIFICATE.json and identity.ACCOUNT.json; remove it, or {_REGENERATE}"
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
            "policy", policy_path(name), owner, {"policy": _policy(file, folder.text(file), name)}, str(file)
        )
    if kind == "auth":
        path = f"auth/{cluster.auth_mount}/role/{names.auth_role(*parts)}"
        fields = _fields(file, folder.text(file), path)
        _check_login(folder, file, entry, fields)
        return Item("auth role", path, owner, fields, str(file))
    path = (
        f"{cluster.serving_mount}/roles/{names.serving_pki_role(*parts)}"
        if kind == "pki"
        else f"{cluster.identity_mount}/roles/{names.identity_pki_role(*parts)}"
    )
    fields = _fields(file, folder.text(file), path)
    _check_names(file, fields, folder.namespace, "" if kind == "pki" else entry)
    return Item("PKI role", path, owner, fields, str(file))


def _policy(file: Path, text: str, name: str) -> str:
    """The text, whose header carries the mark and says once whose it is: a file copied from elsewhere is refused."""
    header = text.partition("\n\n")[0].split("\n")
    said = [line for line in header if line.startswith("# policy:")]
    if not text.startswith(names.MARK) or said != [f"# policy: {name}"]:
        raise TreeError(
            f"{file}: expected a header that starts with `{names.MARK}` and says `# policy: {name}` once; {_REGENERATE}"
        )
    return text


def _fields(file: Path, text: str, path: str) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise TreeError(f"{file}: got no JSON ({error}); {_REGENERATE}") from None
    if not isinstance(document, dict) or set(document) != {"generatedFrom", "path", "data"}:
        raise TreeError(f"{file}: expected an object of generatedFrom, path and data; {_REGENERATE}")
    if document["path"] != path:
        raise TreeError(
            f"{file}: path: got {document['path']!r}, expected {path}, by its place; {_REGENERATE}"
        )
    fields = document["data"]
    if not isinstance(fields, dict) or not fields:
        raise TreeError(f"{file}: data: expected an object of the role's fields; {_REGENERATE}")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice would show one value to the reviewer and another to the server."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key is given twice among {', '.join(sorted(found))}")
    return found


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
            f"{file}: data.token_policies: got {policies!r}, expected only {', '.join(allowed)}; {_REGENERATE}"
        )
    for field, value in _binding(folder, account).items():
        if fields.get(field) != value:
            raise TreeError(
                f"{file}: data.{field}: got {fields.get(field)!r}, expected {value!r}, by its place; {_REGENERATE}"
            )


def _check_names(file: Path, fields: dict[str, Any], namespace: str, account: str) -> None:
    """A PKI role gives names of its own namespace, or of its own service account, and nothing else."""
    wrong = (*certificates.openings(fields), *certificates.foreign_names(fields, namespace, account))
    for field, got, expected in wrong:
        raise TreeError(
            f"{file}: data.{field}: got {got!r}, expected {expected}, by its place; {_REGENERATE}"
        )


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
                f"remove it, or {_REGENERATE}"
            )
    return {name: stat.S_ISDIR(mode) for name, mode in found.items()}
