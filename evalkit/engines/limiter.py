"""How much one replica has at once: more while it answers, fewer as soon as it is overloaded (AIMD)."""

from __future__ import annotations

import asyncio
import time
from collections import deque

_CUT = 0.75


class Limiter:
    """Slots at a replica; waiting for one is first come, first served.

    Additive increase, multiplicative decrease, as in TCP (Chiu and Jain, 1989): `limit` answered requests
    raise the limit by one, an overload takes a quarter of it away, at most once per round trip: requests
    that were sent before the last cut tell nothing new.

    Attributes:
        most: upper bound and first value of the limit.
        limit: requests allowed at once now, from 1 to `most`; its whole part counts.
        least: the lowest limit so far.
        peak: the most requests that were at the server at once.
        in_flight: requests at the server now.
        cuts: of the limit, since the last answer.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.least = most
        self.peak = 0
        self.in_flight = 0
        self.cuts = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut_at = float("-inf")

    @property
    def load(self) -> int:
        """Requests at the server and waiting for it."""
        return self.in_flight + len(self._waiting)

    async def acquire(self) -> None:
        """Take a slot, waiting for one if need be.

        Raises:
            Exception: of the kind that `turn_away` was given, when it was called in the meantime.
        """
        if self._waiting or self.in_flight >= int(self.limit):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled() and place.exception() is None:
                    self.release()
                raise
            return
        self._take()

    def release(self) -> None:
        """Give a slot back."""
        self.in_flight -= 1
        self._admit()

    def answered(self) -> None:
        """A request came through."""
        self.cuts = 0
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._admit()

    def overloaded(self, sent: float) -> None:
        """A request was refused for load or timed out.

        Args:
            sent: when it was sent, on `time.monotonic`.
        """
        if sent < self._cut_at:
            return
        self._cut_at = time.monotonic()
        self.cuts += 1
        self.limit = max(1.0, self.limit * _CUT)
        self.least = min(self.least, int(self.limit))

    def turn_away(self, error: type[Exception]) -> None:
        """Everyone who waits gets an `error`: no slot will come free here."""
        while self._waiting:
            if not (place := self._waiting.popleft()).done():
                place.set_exception(error)

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            if not (place := self._waiting.popleft()).done():
                self._take()
                place.set_result(None)

    def _take(self) -> None:
        self.in_flight += 1
        if self.in_flight > self.peak:
            self.peak = self.in_flight
