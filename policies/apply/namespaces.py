"""A namespace is asked of a server that has some: the others ignore it in silence, and answer for their root. Pure."""

from policies.apply.errors import RefusedError
from policies.apply.protections import Product


def check_namespace(server: Product, namespace: str) -> None:
    """Raises RefusedError."""
    if namespace and not server.has_namespaces:
        raise RefusedError(
            f"{server} has no namespaces, and would answer for its root: got the namespace {namespace}, expected none; leave it "
            "out (spec.vault.namespace in the cluster file, or --server-namespace), or use OpenBao 2.3 or newer, or HashiCorp "
            "Vault Enterprise"
        )
