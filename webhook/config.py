"""What the operator sets, once for all pods of a cluster. Pod authors can choose none of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from policies.catalog import Cluster, NamespaceCatalog


@dataclass(frozen=True, slots=True)
class Resources:
    """Kubernetes quantities: what is reserved, and how much may be used at most.

    The agent sleeps, and then works for a tenth of a second: a limit as small as what is reserved would make that
    seconds, and leave no time to revoke a token on the way out. In a Guaranteed pod the limits are reserved.
    """

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """The flags that `podkeys webhook serve` and `podkeys webhook inject` share.

    `uid` and `gid` are the image's numeric user, used where the pod names none of its own. `proxies` are
    containers that other webhooks inject: ours start after those that are native sidecars, and none of them
    gets our mounts unless the pod names it. `python` is the interpreter's path inside the image. The memory of
    both containers includes what full volumes take. `version` is the release that the status annotation names.
    """

    image: str
    image_pull_policy: str = "IfNotPresent"
    python: str = "/opt/podkeys/bin/python"
    deadline_seconds: int = 60
    poll_seconds: int = 300
    init_resources: Resources = Resources("100m", "64Mi", "1", "64Mi")
    sidecar_resources: Resources = Resources("10m", "16Mi", "500m", "64Mi")
    files_limit: str = "8Mi"
    uid: int = 64000
    gid: int = 64000
    proxies: tuple[str, ...] = ("istio-proxy", "linkerd-proxy")
    allow_shared_pid: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class LoadedCatalog:
    """A catalog that was whole when it was read. `digest` is the manifest's, hex; namespaces by name."""

    cluster: Cluster
    namespaces: Mapping[str, NamespaceCatalog]
    digest: str
