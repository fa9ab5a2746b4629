"""`python -I -m agent init|sidecar`: the program inside pods. `tick` and `stop` are the sidecar's own children."""

import atexit
import gc
import os
import signal
import sys

TYPE_CHECKING = False  # as typing's, without loading it
if TYPE_CHECKING:
    from agent.errors import AgentError

USAGE = "usage: podkeys-agent init|sidecar, with the settings in PODKEYS_CONFIG"
EXIT_BUG = 70
EXIT_USAGE = 64


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["sidecar"]:
        from agent import sidecar  # noqa: PLC0415 - it sleeps for days: nothing else is loaded

        sys.exit(sidecar.run())
    if arguments not in (["init"], ["tick"], ["tick", "started"], ["stop"]):
        sys.stderr.write(f"{USAGE}\n")
        sys.exit(EXIT_USAGE)
    code = _told(arguments)
    atexit._run_exitfuncs()  # noqa: SLF001 - and nothing after: taking modules apart costs a tenth of the whole
    sys.stdout.flush()
    os._exit(code)


def _told(arguments: list[str]) -> int:
    from agent import report  # noqa: PLC0415 - as above
    from agent.errors import AgentError  # noqa: PLC0415

    gc.disable()  # a process of a tenth of a second makes no garbage worth looking for
    os.umask(0o022)
    try:
        _run(arguments)
    except AgentError as error:
        report.last_word(error, _termination_log())
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: type and place, never a value
        report.last_word(_bug(error), _termination_log())
        return EXIT_BUG
    return 0


def _run(arguments: list[str]) -> None:
    from agent.clock import Clock  # noqa: PLC0415 - as above

    if arguments == ["init"]:
        from agent import init  # noqa: PLC0415

        signal.signal(signal.SIGTERM, _leave)
        init.run(os.environ, Clock())
    else:
        from agent import tick  # noqa: PLC0415

        if arguments == ["stop"]:
            tick.stop(os.environ, Clock())
        else:
            tick.run(os.environ, Clock(), started=len(arguments) > 1)


def _leave(number: int, frame: object) -> None:
    """The pod is deleted. Process 1 of a container passes over a SIGTERM without a handler; this one revokes its token."""
    del frame
    sys.exit(128 + number)


def _termination_log() -> str:
    """Where the settings say, if they can be read."""
    import json  # noqa: PLC0415

    try:
        path = json.loads(os.environ.get("PODKEYS_CONFIG", ""))["folders"]["terminationLog"]
    except (ValueError, KeyError, TypeError, RecursionError):
        path = None
    return path if isinstance(path, str) and path else "/dev/termination-log"


def _bug(error: Exception) -> "AgentError":
    from agent.errors import AgentError  # noqa: PLC0415

    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place else "?"  # noqa: PTH119
    return AgentError("bug", f"{type(error).__name__} at {where}", "please report it")


if __name__ == "__main__":
    main()
