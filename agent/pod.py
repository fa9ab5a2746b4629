"""The environment that the webhook set → what the agent works by."""

from collections.abc import Mapping
from typing import NamedTuple

from agent.config import POD_IPS_VARIABLE, POD_UID_VARIABLE, VARIABLE, AgentConfig, ConfigError, parse
from agent.errors import AgentError
from agent.layout import Outputs, outputs
from agent.schedule import Plan


class Pod(NamedTuple):
    """What the webhook set: the settings, the pod's uid and addresses; `outputs` are the paths by task."""

    config: AgentConfig
    uid: str
    ips: tuple[str, ...]
    outputs: Outputs

    @property
    def plan(self) -> Plan:
        return Plan(tuple(sorted(self.outputs)), self.config.poll_seconds, self.uid)


def pod_from(environment: Mapping[str, str]) -> Pod:
    """The environment → settings. Raises AgentError `config`."""
    text = environment.get(VARIABLE)
    if text is None:
        raise AgentError(
            "config", f"{VARIABLE} is not set", "the webhook sets it; run the injected container"
        )
    try:
        config = parse(text)
    except ConfigError as error:
        raise AgentError(
            "config", f"{VARIABLE}: {error}", "webhook and agent must be the same release"
        ) from None
    ips = tuple(filter(None, (ip.strip() for ip in environment.get(POD_IPS_VARIABLE, "").split(","))))
    return Pod(config, environment.get(POD_UID_VARIABLE, ""), ips, outputs(config))
