"""Memory that was freed goes back to the system, whatever program was started and with whatever environment."""

import ctypes

# <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

THRESHOLD = 128 * 1024  # bytes
OPTIONS = (
    (M_ARENA_MAX, 1),  # glibc makes eight arenas a core, and one thread's free memory is of no use to another
    (
        M_MMAP_THRESHOLD,
        THRESHOLD,
    ),  # it would grow to 32 MiB, and bodies would leave holes that nothing fits into
    (M_TRIM_THRESHOLD, THRESHOLD),
)


def bound() -> bool:
    """Call it before there are threads. False where the C library is not glibc, which has nothing of this to set."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, value) == 1 for option, value in OPTIONS)
