"""Time and chance as arguments, so that tests can choose them."""

import random
import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """`monotonic` and `wall` in seconds (the first from an unknown start, the second since 1970), `chance` in [0, 1)."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
