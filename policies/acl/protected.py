"""Paths that need `sudo` besides the capability of the operation, at their usual mounts.

OpenBao's PathsSpecial.Root: internal/vault/logical_system.go, token_store.go and builtin/logical/pki/backend.go. `pki` mounts are
named by whoever enables them, so their two paths are asked for by the mount.
"""

_SYS = (
    "auth/*", "remount", "audit", "audit/*", "raw", "raw/*", "rotate", "rotate/keyring", "rotate/root", "config/cors",
    "config/auditing/*", "config/ui/headers/*", "plugins/catalog/*", "revoke-prefix/*", "revoke-force/*", "leases/revoke-prefix/*",
    "leases/revoke-force/*", "leases/lookup/*", "leases", "internal/inspect/*",
)  # fmt: skip
_TOKEN = ("revoke-orphan/*", "accessors*")
_PKI = ("root", "root/sign-self-issued")
_ALWAYS = (*(f"sys/{path}" for path in _SYS), *(f"auth/token/{path}" for path in _TOKEN))


def needs_sudo(path: str, pki_mounts: tuple[str, ...] = ()) -> bool:
    """`path` without a leading slash; mounts without a trailing one."""
    pki = (f"{mount}/{own}" for mount in pki_mounts for own in _PKI)
    return any(
        path.startswith(known[:-1]) if known.endswith("*") else path == known for known in (*_ALWAYS, *pki)
    )
