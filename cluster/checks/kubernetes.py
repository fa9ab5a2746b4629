"""Whether API server and nodes are new enough, and keep what is in memory there. Pure."""

from cluster.facts import Node, Version, shown
from cluster.finding import Fact, Finding, Unread, count, failed, listed, ok
from cluster.generated import Tree

NATIVE_SIDECARS: Version = (1, 33)  # GA
ENV_FROM_FILES: Version = (1, 35)  # `fileKeyRef` is on
SWAP_REPORTED: Version = (1, 34)  # in the node's status, and only where there is some
NOSWAP_KUBELET: Version = (1, 31)  # mounts memory-backed volumes so that they are never swapped,
NOSWAP_KERNEL: Version = (6, 4)  # with these kernels


def kubernetes_version(tree: Tree, got: Fact[Version]) -> Finding:
    name = "kubernetes-version"
    if isinstance(got, Unread):
        return got.finding(name)
    needed, why = _needed(tree)
    if got >= needed:
        return ok(name, f"{shown(got)}; {shown(needed)} is needed for {why}")
    return failed(
        name,
        got=shown(got),
        expected=f"{shown(needed)} or newer, for {why}",
        remedy="upgrade the API server, or correct kubernetesVersion and minKubeletVersion in the cluster file",
    )


def kubelet_versions(tree: Tree, nodes: Fact[tuple[Node, ...]]) -> Finding:
    name = "kubelet-versions"
    if isinstance(nodes, Unread):
        return nodes.finding(name)
    needed, why = _needed(tree)
    old = [f"{node.name} {shown(node.kubelet)}" for node in nodes if node.kubelet < needed]
    if not old:
        return ok(name, f"{count(len(nodes), 'node')}, each {shown(needed)} or newer, for {why}")
    return failed(
        name,
        got=listed(old),
        expected=f"{shown(needed)} or newer on every node, for {why}",
        remedy="upgrade these nodes, or set minKubeletVersion in the cluster file and generate again: role files that "
        "need more are then refused",
    )


def _needed(tree: Tree) -> tuple[Version, str]:
    """The oldest version that will do, and what for: of equally new reasons the first, which tells most."""
    reasons = [(NATIVE_SIDECARS, "native sidecars")]
    if any(secret.env for secret in tree.secrets()):
        reasons.append((ENV_FROM_FILES, "secrets as environment variables (`env: true` in role files)"))
    reasons.append(
        (tree.cluster.min_kubelet, "minKubeletVersion of the cluster file, which the webhook relies on")
    )
    return max(reasons, key=lambda reason: reason[0])


def memory_volumes(nodes: Fact[tuple[Node, ...]]) -> Finding:
    """Secrets and keys lie in memory-backed volumes: a node that swaps them writes them to its disk."""
    name = "memory-volumes"
    if isinstance(nodes, Unread):
        return nodes.finding(name)
    swapping = [f"{node.name} (kernel {shown(node.kernel)})" for node in nodes if keeps_memory(node) is False]
    if swapping:
        return failed(
            name,
            got=f"swap on {listed(swapping)}, whose kubelet and kernel let memory-backed volumes go there",
            expected=f"no swap, or kernel {shown(NOSWAP_KERNEL)} and kubelet {shown(NOSWAP_KUBELET)} or newer",
            remedy="swapoff on these nodes, or upgrade them; then replace the secrets that were there",
        )
    unclear = [node.name for node in nodes if keeps_memory(node) is None]
    if unclear:
        return Unread(
            f"whether {listed(unclear)} has swap: kubelets before {shown(SWAP_REPORTED)} don't say, and their settings "
            "could not be read",
            "allow `get` on nodes/proxy (it is strong: docs/cluster-check.md), or look at /proc/swaps on these nodes",
        ).finding(name)
    return ok(name, f"{count(len(nodes), 'node')}; none swaps memory-backed volumes")


def keeps_memory(node: Node) -> bool | None:
    """Whether a node never writes memory-backed volumes to its disk; None where that can't be told."""
    if node.kernel >= NOSWAP_KERNEL and node.kubelet >= NOSWAP_KUBELET:
        return True
    if node.swap_bytes is not None:
        return node.swap_bytes == 0
    if node.kubelet >= SWAP_REPORTED:
        return True
    return node.fails_on_swap
