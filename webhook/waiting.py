"""Connections that wait for their peers, ordered by how little it costs to end them. Pure."""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Generic, Protocol, TypeVar


class Rank(IntEnum):
    """What a connection has done so far. Whoever needs room ends the lowest rank first, and in it the oldest."""

    LINGERING = 0  # has its last answer, and may still send
    SILENT = 1  # connected, and sent nothing
    UNASKED = 2  # finished a handshake, and asked nothing
    PARTIAL = 3  # has sent a part of a handshake or request, or has to take its answer
    IDLE = 4  # was answered, and is kept alive


class Timed(Protocol):
    timeout: float


C = TypeVar("C", bound=Timed)


class Waiting(Generic[C]):
    def __init__(self) -> None:
        self._ranks: dict[Rank, OrderedDict[C, None]] = {rank: OrderedDict() for rank in Rank}
        self._rank_of: dict[C, Rank] = {}

    def __len__(self) -> int:
        return len(self._rank_of)

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._rank_of))

    def add(self, conn: C, rank: Rank) -> None:
        self._rank_of[conn] = rank
        self._ranks[rank][conn] = None

    def discard(self, conn: C) -> Rank | None:
        """The rank that it had, if it was there."""
        rank = self._rank_of.pop(conn, None)
        if rank is not None:
            del self._ranks[rank][conn]
        return rank

    def of(self, rank: Rank) -> Collection[C]:
        """The oldest first."""
        return self._ranks[rank].keys()

    def oldest(self, *ranks: Rank) -> C | None:
        """The first to end among these ranks, in their order."""
        return next((conn for rank in ranks for conn in self._ranks[rank]), None)

    def expired(self, now: float) -> list[C]:
        return [conn for conn in self._rank_of if conn.timeout <= now]
