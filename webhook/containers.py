"""Our two containers, our volumes and the agent's settings, as plain JSON values. Pure."""

from dataclasses import dataclass
from typing import Any

from agent import config as agent
from policies.catalog import Cluster
from webhook import layout
from webhook.config import OperatorSettings, Resources
from webhook.pod import Pod
from webhook.resources import ours
from webhook.selection import SecretFile, Selection

RETRYABLE = 14  # the agent's exit code for a server that can't be reached
RESTART_RULES_SINCE = (1, 35)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Users:
    """As whom our containers run; None leaves it to the platform. `group` joins the pod's supplemental groups."""

    user: int | None = None
    group: int | None = None
    join: bool = False


def users(pod: Pod, cluster: Cluster, settings: OperatorSettings) -> Users:
    """Whoever runs the applications must be able to read 0440 files.

    One non-root user for all containers: ours is the same, which also keeps the pod's tokens at 0600. Otherwise
    the image's, whose group the pod joins; a pod's fsGroup owns the files instead, through setgid.
    """
    if cluster.platform == "openshift":
        return Users()
    agreed = agreed_user(pod)
    if agreed:
        return Users(user=agreed)
    has_fs_group = pod.security is not None and pod.security.fs_group is not None
    return Users(user=settings.uid, group=settings.gid, join=not has_fs_group)


def agreed_user(pod: Pod) -> int | None:
    """The one user as which all containers run, by their own setting or the pod's; None without one."""
    inherited = pod.security.run_as_user if pod.security else None
    found = {
        inherited if container.run_as_user is None else container.run_as_user
        for container in (*pod.containers, *(pod.init_containers or ()))
    }
    return found.pop() if len(found) == 1 else None


def agent_config(
    selection: Selection,
    cluster: Cluster,
    settings: OperatorSettings,
    on_change: agent.OnChange | None,
    *,
    sidecar: bool,
) -> agent.AgentConfig:
    secrets = {item.secret.name: item.secret for item in selection.files}
    secrets |= {secret.name: secret for _, secret in selection.env}
    return agent.AgentConfig(
        vault=agent.Vault(cluster.vault_address, cluster.vault_namespace, cluster.ca_pem),
        login=agent.Login(
            cluster.auth_mount, selection.account.auth_role, f"{layout.TOKEN}/{layout.TOKEN_FILE}"
        ),
        folders=layout.FOLDERS,
        deadline_seconds=settings.deadline_seconds,
        poll_seconds=settings.poll_seconds,
        sidecar=sidecar,
        reads={name: agent.Read(secrets[name].engine, secrets[name].path) for name in sorted(secrets)},
        files=tuple(_file(item) for item in selection.files),
        env=tuple(agent.Variable(item.variable, item.entry, item.key) for item, _ in selection.env),
        certificates=_certificates(selection, cluster),
        on_change=on_change,
    )


def variable(config: agent.AgentConfig) -> str:
    """The settings as they stand in a pod: the kubelet expands $(NAME), and reads $$ as one $."""
    return agent.to_json(config).replace("$", "$$")


def _file(item: SecretFile) -> agent.File:
    options = item.options
    raw = "raw" if options.key or options.template else layout.DEFAULT_FORMAT
    return agent.File(
        path=item.path,
        source=item.secret.name,
        format=options.format or raw,
        mode=options.mode or layout.DEFAULT_MODE,
        key=options.key,
        template=options.template,
    )


def _certificates(selection: Selection, cluster: Cluster) -> tuple[agent.Certificate, ...]:
    serving = tuple(
        agent.Certificate(
            folder=layout.certificate_folder(item.name),
            mount=cluster.serving_mount,
            sign=item.sign,
            key=item.key,
            usages=item.usages,
            ttl_seconds=item.ttl_seconds,
            mode=selection.modes.get(item.name, layout.DEFAULT_MODE),
            files=layout.SERVING_FILES,
            dns_names=item.dns_names,
            pod_ip=item.pod_ip,
            revoke=item.revoke,
        )
        for item in selection.certificates
    )
    if not selection.identity:
        return serving
    svid = agent.Certificate(
        folder=layout.IDENTITY,
        mount=cluster.identity_mount,
        sign=selection.identity.sign,
        key=layout.SVID_KEY,
        usages=layout.SVID_USAGES,
        ttl_seconds=selection.identity.ttl_seconds,
        mode=selection.modes.get(layout.IDENTITY, layout.DEFAULT_MODE),
        files=layout.IDENTITY_FILES,
        spiffe_id=selection.identity.spiffe_id,
    )
    return (*serving, svid)


def volumes(audience: str, settings: OperatorSettings, *, env: bool) -> list[Json]:
    token = {
        "audience": audience,
        "expirationSeconds": layout.TOKEN_SECONDS,
        "path": layout.TOKEN_FILE,
    }
    return [
        _memory(layout.FILES_VOLUME, settings.files_limit),
        *([_memory(layout.ENV_VOLUME, layout.ENV_LIMIT)] if env else []),
        _memory(layout.STATE_VOLUME, layout.STATE_LIMIT),
        {"name": layout.TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]


def _memory(name: str, limit: str) -> Json:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": limit}}


@dataclass(frozen=True, slots=True)
class Agent:
    """What both containers share. `config` is the variable's value in the pod."""

    pod: Pod
    settings: OperatorSettings
    config: str
    users: Users
    env: bool

    def init(self, *, restart: bool) -> Json:
        """`restart`: the pod is never restarted as a whole, so a server that can't be reached would end it."""
        container = self._container(layout.INIT, "init", self.settings.init_resources)
        if restart:
            rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [RETRYABLE]}}
            container |= {"restartPolicy": "Never", "restartPolicyRules": [rule]}
        return container

    def sidecar(self) -> Json:
        """A native sidecar: an init container that stays."""
        container = self._container(layout.SIDECAR, "sidecar", self.settings.sidecar_resources)
        return container | {"restartPolicy": "Always"}

    def _container(self, name: str, command: str, resources: Resources) -> Json:
        return {
            "name": name,
            "image": self.settings.image,
            "imagePullPolicy": self.settings.image_pull_policy,
            "command": [self.settings.python, "-I", "-m", "agent", command],
            "env": [
                {"name": agent.VARIABLE, "value": self.config},
                {"name": agent.POD_UID_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                {"name": agent.POD_IPS_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
            ],
            "resources": ours(
                {"cpu": resources.cpu, "memory": resources.memory},
                {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
                guaranteed=self.pod.guaranteed,
                shared=self.pod.shared_resources,
            ),
            "securityContext": self._security(),
            "terminationMessagePath": layout.FOLDERS.termination_log,
            "terminationMessagePolicy": "File",
            "volumeMounts": self._mounts(),
        }

    def _security(self) -> Json:
        """The restricted Pod Security Standard, and a root file system that can't be written."""
        context: Json = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        if self.users.user is not None:
            context["runAsUser"] = self.users.user
        if self.users.group is not None:
            context["runAsGroup"] = self.users.group
        return context

    def _mounts(self) -> list[Json]:
        return [
            {"name": layout.FILES_VOLUME, "mountPath": layout.FILES},
            *([{"name": layout.ENV_VOLUME, "mountPath": layout.FOLDERS.env}] if self.env else []),
            {"name": layout.STATE_VOLUME, "mountPath": layout.FOLDERS.state},
            {"name": layout.TOKEN_VOLUME, "mountPath": layout.TOKEN, "readOnly": True},
        ]
