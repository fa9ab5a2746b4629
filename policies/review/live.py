"""The policies and auth roles of a live server, as an inventory. Reading only; docs/audit.md says what the token needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from policies.apply.at_once import read_all
from policies.apply.errors import RefusedError
from policies.apply.state import POLICIES, Store
from policies.apply.turn import is_turn
from policies.review import live_identity
from policies.review.inventory import AuthRole, Inventory, PolicyFile, auth_role

# Below auth/MOUNT/, where each method keeps what gives its tokens policies.
_LISTINGS = {
    "jwt": "role",
    "oidc": "role",
    "kubernetes": "role",
    "approle": "role",
    "cert": "certs",
    "userpass": "users",
}
Progress = Callable[[Sequence[str]], Iterable[str]]


def read(server: Store, progress: Progress) -> Inventory:
    """Without `root`, which has no text, and without apply's note of which run writes.

    Raises ApplyError.
    """
    policies = {}
    paths = [f"{POLICIES}/{name}" for name in server.names(POLICIES) if name != "root"]
    for path, stored in read_all(server, paths, progress):
        name = path.removeprefix(f"{POLICIES}/")
        text = str(stored.fields["policy"]) if stored else ""  # removed meanwhile
        if stored and not is_turn(text):
            policies[name] = PolicyFile(name, path, text.encode(), stored.loose)
    mounts = sorted(_mounts(server).items())
    unread = (f"{mount}, of the method {kind}" for mount, kind in mounts if kind not in _LISTINGS)
    return Inventory(
        dict(sorted(policies.items())),
        tuple(_roles(server, mounts, progress)),
        identity=live_identity.read(server, progress),
        unread=tuple(unread),
    )


def _roles(server: Store, mounts: Iterable[tuple[str, str]], progress: Progress) -> Iterator[AuthRole]:
    for mount, kind in mounts:
        listing = _LISTINGS.get(kind)
        if listing is None:
            continue
        start = f"auth/{mount}/{listing}/"
        paths = [start + name for name in server.names(start.removesuffix("/"))]
        for path, stored in read_all(server, paths, progress):
            if stored:
                yield auth_role(mount, path.removeprefix(start), path, stored.fields)


def _mounts(server: Store) -> Mapping[str, str]:
    """Path without its last slash → type, without that of tokens, which has no logins."""
    stored = server.read("sys/auth")
    if stored is None:
        raise RefusedError(
            "sys/auth: got nothing, expected the list of auth mounts; check the server's namespace"
        )
    return {
        path.removesuffix("/"): str(mount.get("type", ""))
        for path, mount in stored.fields.items()
        if isinstance(mount, dict) and path != "token/"
    }
