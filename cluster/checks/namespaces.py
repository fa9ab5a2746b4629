"""Whether what the role files name is there. Pure."""

from collections.abc import Mapping

from cluster.facts import ACCOUNT, LABEL
from cluster.finding import Fact, Finding, Unread, count, failed, listed, ok
from cluster.generated import Tree

Labels = Mapping[str, Mapping[str, str]]  # of namespaces, by name


def role_namespaces(tree: Tree, found: Fact[Labels]) -> Finding:
    name = "role-namespaces"
    if isinstance(found, Unread):
        return found.finding(name)
    missing = sorted(tree.namespaces.keys() - found.keys())
    if not missing:
        return ok(name, f"{count(len(tree.namespaces), 'namespace')} of role files, all there")
    return failed(
        name,
        got=f"no namespace {listed(missing)}",
        expected="every namespace that a role file names",
        remedy="create it, or correct runsAs in the role file: whoever creates it first gets the role",
    )


def injection_label(tree: Tree, found: Fact[Labels], own: str) -> Finding:
    """`own`: the webhook's namespace, where nothing is injected, and which may have a role for its serving certificate."""
    name = "injection-label"
    if isinstance(found, Unread):
        return found.finding(name)
    there = sorted((tree.namespaces.keys() & found.keys()) - {own})
    without = [namespace for namespace in there if found[namespace].get(LABEL) != "enabled"]
    if not without:
        return ok(name, f"{LABEL}=enabled on {count(len(there), 'namespace')}")
    return failed(
        name,
        got=f"no label {LABEL}=enabled on {listed(without)}",
        expected="the label on every namespace that a role file names: pods that ask are refused without it",
        remedy=f"kubectl label namespace {' '.join(without[:3])} {LABEL}=enabled",
    )


def service_accounts(tree: Tree, found: Fact[frozenset[tuple[str, str]]], own: str) -> Finding:
    """`own`: the webhook's namespace, whose account the chart makes; Helm refuses one that somebody else has made."""
    name = "service-accounts"
    if isinstance(found, Unread):
        return found.finding(name)
    wanted = {(namespace, account): source for namespace, account, source in tree.accounts()}
    wanted.pop((own, ACCOUNT), None)
    missing = [f"{key[0]}/{key[1]} ({source})" for key, source in sorted(wanted.items()) if key not in found]
    if not missing:
        return ok(name, f"{count(len(wanted), 'service account')} of role files, all there")
    return failed(
        name,
        got=f"no service account {listed(missing)}",
        expected="every service account that a role file names",
        remedy="create it, or correct serviceAccounts in the role file: whoever creates it first gets the role",
    )
