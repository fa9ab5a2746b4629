"""Warnings for whoever creates the pod: it is allowed, but may not do what is meant. Pure.

Clients cut a warning after 120 characters or so: each is one short line.
"""

from collections.abc import Iterator

from webhook.annotations import PREFIX
from webhook.containers import Users
from webhook.pod import Pod
from webhook.selection import Selection
from webhook.wording import clip

GROUP_READS = 0o040
ALL_READ = 0o004


def advise(pod: Pod, selection: Selection, users: Users, *, sidecar: bool) -> Iterator[str]:
    expiring = selection.expiring()
    if expiring and not sidecar and pod.restart_policy == "Always":
        yield f"{PREFIX}sidecar is false: nothing renews {_some(expiring)}"
    if pod.host_network and pod.dns_policy == "ClusterFirst":
        yield "hostNetwork without dnsPolicy: ClusterFirstWithHostNet has no cluster DNS; Vault's name may not resolve"
    if users.group is not None:
        for name, mode in sorted(selection.modes.items()):
            if not int(mode, 8) & (GROUP_READS | ALL_READ):
                yield (
                    f"{PREFIX}mode.{name}: only user {users.user} can read {mode}; "
                    "set one runAsUser for the pod"
                )


def _some(names: tuple[str, ...]) -> str:
    first = clip(names[0], 50)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"
