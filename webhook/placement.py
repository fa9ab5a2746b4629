"""Where in the pod things go: which containers get the mounts, and after which proxies ours start. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webhook.annotations import PREFIX
from webhook.outcome import Misnamed, Problem, first
from webhook.pod import Container, Pod
from webhook.wording import listed, quote


@dataclass(frozen=True, slots=True)
class Target:
    """A container that gets the mounts; `path` is its JSON pointer in the pod as it was sent."""

    path: str
    container: Container


@dataclass(frozen=True, slots=True)
class Placement:
    """`position`: the index among the init containers at which ours are inserted."""

    position: int
    targets: tuple[Target, ...]


def place(pod: Pod, names: Sequence[str], proxies: Sequence[str]) -> tuple[Placement, list[Problem]]:
    """`names` are those of the annotation, empty for the default: all but init containers and proxies.

    A proxy gets the mounts where it is named: a gateway's pod is nothing but its proxy.
    """
    position = _position(pod, proxies)
    apps = [Target(f"/spec/containers/{index}", container) for index, container in enumerate(pod.containers)]
    later = [
        Target(f"/spec/initContainers/{index}", container)
        for index, container in enumerate(pod.init_containers or ())
        if index >= position
    ]
    if names:
        wanted = frozenset(names)
        targets = tuple(target for target in (*later, *apps) if target.container.name in wanted)
        unknown = sorted(wanted.difference(target.container.name for target in targets))
        return Placement(position, targets), first(_not_targets(pod, unknown, apps + later))
    targets = tuple(target for target in apps if target.container.name not in proxies)
    return Placement(position, targets), [] if targets else [_no_target(pod)]


def _position(pod: Pod, proxies: Sequence[str]) -> int:
    """Behind the last proxy that is a native sidecar, as it must be up for us to reach the server; else first."""
    behind = [
        index + 1
        for index, container in enumerate(pod.init_containers or ())
        if container.always and container.name in proxies
    ]
    return max(behind, default=0)


def _no_target(pod: Pod) -> Problem:
    return Problem(
        "containers",
        f"spec.containers: got {listed(item.name for item in pod.containers)}, expected a container that is no "
        f"injected proxy; name the one that needs the files in {PREFIX}containers, or remove {PREFIX}inject",
    )


def _not_targets(pod: Pod, names: Sequence[str], targets: Sequence[Target]) -> Iterator[Problem]:
    known = tuple(target.container.name for target in targets)
    expected = listed(known)
    early = {container.name for container in pod.init_containers or ()}
    for name in names:
        got = f"{PREFIX}containers: got {quote(name)}"
        if name in early:
            yield Problem(
                "containers",
                f"{got}, an init container that runs before podkeys-init, when there are no files yet; remove it",
            )
        else:
            slip = Misnamed(name, known)
            yield Problem(
                "containers", f"{got}, which the pod does not have; expected some of {expected}", slip
            )
