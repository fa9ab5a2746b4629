"""Which task writes which files. Pure; paths are checked here again, whoever wrote the settings."""

from collections.abc import Iterator

from agent.config import AgentConfig, Certificate
from agent.errors import AgentError
from agent.files import parsed_mode, path_problem
from agent.reads import DATABASE
from agent.state import POLL, certificate_task, lease_task

Outputs = dict[str, list[str]]


def outputs(config: AgentConfig) -> Outputs:
    """Paths by task, every task of these settings included. Raises AgentError `config`."""
    found: Outputs = {}
    for task, path, mode in _files(config):
        if path:
            _check(path, mode)
        found.setdefault(task, []).extend([path] if path else [])
    _check_together([path for paths in found.values() for path in paths])
    return found


def read_task(config: AgentConfig, name: str) -> str:
    """Database credentials are a task each, for each has a lease; key-value secrets are polled together."""
    return lease_task(name) if config.reads[name].engine == DATABASE else POLL


def leased(config: AgentConfig) -> frozenset[str]:
    """The tasks whose results end with the token that got them."""
    return frozenset(
        [lease_task(name) for name, item in config.reads.items() if item.engine == DATABASE]
        + [certificate_task(item.folder) for item in config.certificates if item.revoke]
    )


def ca_path(item: Certificate) -> str:
    return f"{item.folder}/{item.files.ca}"


def _files(config: AgentConfig) -> Iterator[tuple[str, str, str]]:
    for name in config.reads:
        yield read_task(config, name), "", ""
    for item in config.files:
        yield read_task(config, item.source), item.path, item.mode
    for certificate in config.certificates:
        names = certificate.files
        for name in filter(None, (names.chain, names.key, names.ca, names.combined)):
            yield certificate_task(certificate.folder), f"{certificate.folder}/{name}", certificate.mode
        yield POLL, "", ""  # the trust bundle can change at any time


def _check(path: str, mode: str) -> None:
    problem = path_problem(path)
    if problem:
        raise AgentError(
            "config", f"the path {path!r} {problem}", "expected a relative path below the pod's folder"
        )
    parsed_mode(mode)


def _check_together(paths: list[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise AgentError("config", f"two files would be written to {path}", "give one another name")
        seen.add(path)
    folders = {path[:at] for path in paths for at, character in enumerate(path) if character == "/"}
    for path in sorted(folders & seen):
        raise AgentError("config", f"{path} would be a file and a folder", "give one another name")
