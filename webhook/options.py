"""The operator's flags that `serve` and `inject` share, each with an environment variable.

The same flags must give the same decision offline, so they are declared and checked here alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from webhook.config import OperatorSettings, Resources
from webhook.layout import ENV_LIMIT, STATE_LIMIT
from webhook.resources import amount

ENV_PREFIX = "PODKEYS_"
MAX_ID = 2**31 - 1  # Kubernetes refuses larger users and groups
MAX_DEADLINE = 3600
MAX_POLL = 86400
PROCESS_BYTES = 40 * 2**20  # what Python with cryptography takes, beside the volumes

_CPU = re.compile(r"[1-9][0-9]{0,5}m?")
_MEMORY = re.compile(r"[1-9][0-9]{0,11}(|k|M|G|Ki|Mi|Gi)")
_DEFAULTS = OperatorSettings(image="")

Command = Callable[..., Any]


def cpu(text: str) -> str:
    if not _CPU.fullmatch(text):
        raise click.BadParameter(f"got {text!r}, expected a quantity of CPU such as 100m or 1")
    return text


def memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise click.BadParameter(f"got {text!r}, expected a quantity of memory such as 64Mi or 1Gi")
    return text


def interpreter(text: str) -> str:
    if not text.startswith("/") or "$(" in text:
        raise click.BadParameter(f"got {text!r}, expected an absolute path such as {_DEFAULTS.python}")
    return text


def names(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def option(flag: str, text: str, **attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """An option with its environment variable: `--tls-cert` is PODKEYS_TLS_CERT."""
    variable = ENV_PREFIX + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(
        flag,
        help=text,
        envvar=variable,
        show_envvar=True,
        show_default=attributes.get("default") is not None,
        **attributes,
    )


def generated(ctx: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """What stands in it may still be wrong, and become right; that it isn't there is a mistake in the flag."""
    if not path.exists():
        raise click.UsageError(
            f"{parameter.opts[0]}: got {str(path)!r}, which is not there; expected what `podkeys policies generate` writes",
            ctx,
        )
    return path


_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)

CATALOG_OPTIONS = (
    option(
        "--catalog",
        "Folder of the generated catalog, with manifest.json.",
        required=True,
        type=_FOLDER,
        callback=generated,
    ),
    option("--cluster", "The generated cluster.json.", required=True, type=_FILE, callback=generated),
)


def _resource_options(flag: str, who: str, default: Resources) -> tuple[Callable[[Command], Command], ...]:
    return (
        option(f"--{flag}-cpu", f"CPU reserved for {who}.", type=cpu, default=default.cpu),
        option(
            f"--{flag}-cpu-limit",
            "The most that it uses; reserved in Guaranteed pods.",
            type=cpu,
            default=default.cpu_limit,
        ),
        option(f"--{flag}-memory", f"Memory reserved for {who}.", type=memory, default=default.memory),
        option(
            f"--{flag}-memory-limit",
            "The most that it uses, with the volumes that it fills; reserved in Guaranteed pods.",
            type=memory,
            default=default.memory_limit,
        ),
    )


SETTINGS_OPTIONS = (
    option(
        "--image-pull-policy",
        "When nodes pull it.",
        type=click.Choice(["Always", "IfNotPresent", "Never"]),
        default=_DEFAULTS.image_pull_policy,
    ),
    option(
        "--agent-python",
        "Path of the interpreter in the image.",
        type=interpreter,
        default=_DEFAULTS.python,
        metavar="PATH",
    ),
    option(
        "--deadline",
        "Seconds after which the init container gives up.",
        type=click.IntRange(5, MAX_DEADLINE),
        default=_DEFAULTS.deadline_seconds,
    ),
    option(
        "--poll-interval",
        "Seconds between looks of the sidecar at static secrets.",
        type=click.IntRange(1, MAX_POLL),
        default=_DEFAULTS.poll_seconds,
    ),
    *_resource_options("init", "the init container", _DEFAULTS.init_resources),
    *_resource_options("sidecar", "the sidecar", _DEFAULTS.sidecar_resources),
    option(
        "--files-limit",
        "Size limit of the volume with the files.",
        type=memory,
        default=_DEFAULTS.files_limit,
    ),
    option(
        "--uid",
        "The image's numeric user, for pods that agree on none.",
        type=click.IntRange(1, MAX_ID),
        default=_DEFAULTS.uid,
    ),
    option(
        "--gid",
        "The group that owns the files then, and that such pods join.",
        type=click.IntRange(1, MAX_ID),
        default=_DEFAULTS.gid,
    ),
    option(
        "--proxies",
        "Containers, comma-separated, that other webhooks inject: they start first, and get no mounts unless named.",
        type=names,
        default=",".join(_DEFAULTS.proxies),
    ),
    option(
        "--allow-shared-pid",
        "Inject pods with shareProcessNamespace or hostPID: any container there can read the token for Vault.",
        is_flag=True,
    ),
)


def catalog_options(command: Command) -> Command:
    """Adds the parameters `catalog` and `cluster`, both paths."""
    return _with(command, CATALOG_OPTIONS)


def settings_options(command: Command) -> Command:
    """Adds the operator's flags; the command hands them, as keyword arguments, to `operator_settings`."""
    return _with(command, (_image(required=True), *SETTINGS_OPTIONS))


def offline_settings_options(command: Command) -> Command:
    """The same flags, where nothing pulls the image and any name does."""
    return _with(command, (_image(default=f"podkeys:{version('podkeys')}"), *SETTINGS_OPTIONS))


def _image(**attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    return option("--image", "Image of the agent, best with its digest.", **attributes)


def _with(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for add in reversed(options):
        command = add(command)
    return command


def operator_settings(**flags: Any) -> OperatorSettings:  # noqa: ANN401 - click hands out values of many types
    """The flags → settings. Raises click.UsageError where they don't fit together."""
    settings = OperatorSettings(
        image=flags["image"],
        image_pull_policy=flags["image_pull_policy"],
        python=flags["agent_python"],
        deadline_seconds=flags["deadline"],
        poll_seconds=flags["poll_interval"],
        init_resources=_resources("init", flags),
        sidecar_resources=_resources("sidecar", flags),
        files_limit=flags["files_limit"],
        uid=flags["uid"],
        gid=flags["gid"],
        proxies=flags["proxies"],
        allow_shared_pid=flags["allow_shared_pid"],
        version=version("podkeys"),
    )
    _check(settings)
    return settings


def _resources(flag: str, flags: Mapping[str, Any]) -> Resources:
    found = Resources(*(flags[f"{flag}_{name}"] for name in ("cpu", "memory", "cpu_limit", "memory_limit")))
    for name, reserved, limit in (
        ("cpu", found.cpu, found.cpu_limit),
        ("memory", found.memory, found.memory_limit),
    ):
        if amount(reserved) > amount(limit):
            raise click.UsageError(
                f"--{flag}-{name}: got {reserved}, expected at most --{flag}-{name}-limit, {limit}"
            )
    return found


def _check(settings: OperatorSettings) -> None:
    if not settings.image.strip() or settings.image != settings.image.strip():
        raise click.UsageError(f"--image: got {settings.image!r}, expected the name of an image")
    # Memory files are charged to the container that writes them; each of the two may fill all volumes.
    volumes = sum(amount(limit) for limit in (settings.files_limit, ENV_LIMIT, STATE_LIMIT))
    for flag, resources in (
        ("--init-memory-limit", settings.init_resources),
        ("--sidecar-memory-limit", settings.sidecar_resources),
    ):
        if amount(resources.memory_limit) < volumes + PROCESS_BYTES:
            needed = -(-(volumes + PROCESS_BYTES) // 2**20)
            raise click.UsageError(
                f"{flag}: got {resources.memory_limit}, expected at least {needed}Mi: the volumes "
                f"({settings.files_limit}, {ENV_LIMIT}, {STATE_LIMIT}) and {PROCESS_BYTES // 2**20}Mi for the process"
            )
