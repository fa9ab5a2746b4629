"""What was started ends with the program that started it, whichever way that one is told to end."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE_SECONDS = 4  # the sidecar revokes its token within 2


def as_by_ctrl_c() -> None:
    """SIGTERM, and the SIGHUP of a closed terminal, unwind like Ctrl-C instead of leaving servers behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it, to outlive the terminal
            signal.signal(number, signal.default_int_handler)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block: told to end, which lets it end its own, and killed if it doesn't."""
    with process:
        try:
            yield process
        finally:
            process.terminate()  # this and kill do nothing to one that was waited for
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
            process.kill()
