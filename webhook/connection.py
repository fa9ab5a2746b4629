"""One connection of the admission port, and what may become of it after a step of work."""

from enum import Enum, auto
from typing import Any

from gunicorn.workers import gthread

from webhook.incoming import Incoming


class After(Enum):
    """What the poller's thread does with a connection once a thread has taken a step for it."""

    WAIT = auto()  # for the peer to send or to take more
    KEEP_ALIVE = auto()  # for the next request
    LINGER = auto()  # read on for a while, so that the peer gets to read its answer
    END = auto()


class Connection(gthread.TConn):  # type: ignore[misc]  # gunicorn publishes no types
    """Either in the poller or with one thread, never both: so nothing of it is locked.

    `patience` is how many seconds the peer still has. `held` are the bytes of its request that were counted.
    """

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - gunicorn publishes no types
        super().__init__(*args)
        self.timeout = 0.0
        self.patience = 0.0
        self.incoming = Incoming()
        self.held = 0
        self.queued_at = 0.0
        self.asked = False  # whether it ever had a whole request
        self.excess = False  # above the limit of connections: it only hears that
        self.refused = False  # its request came when too many waited
        self.further = False  # whether it is of use after the answer that is being sent
        self.unread = False  # whether a part of its request will never be read
        self.lingering = False
        self.discarded = 0
        self.ended = False

    @property
    def unsent(self) -> int:
        return len(self.sock.unsent) if self.initialized else 0

    @property
    def partial(self) -> bool:
        """Whether a part of a request has come, and is waited for."""
        return bool(self.initialized and self.incoming.held and not (self.unsent or self.lingering))
