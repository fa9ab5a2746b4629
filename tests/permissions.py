"""Root passes over the modes of files, and so over what a test about them is for."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522  # of <linux/capability.h>
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2
_EFFECTIVE = 0  # of effective, permitted, inheritable, for the first 32 capabilities and then for the rest


@contextmanager
def held() -> Iterator[None]:
    """Modes hold for this thread, whoever runs it: of root's rights those that pass over them are laid down for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(libc.capget(header, sets))
    before = sets[_EFFECTIVE]
    sets[_EFFECTIVE] = before & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    _checked(libc.capset(header, sets))
    try:
        yield
    finally:
        sets[_EFFECTIVE] = before
        _checked(libc.capset(header, sets))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "capabilities of this process")
