"""Several replicas of one model, servers or actors: which trajectory goes to which, and what if one is gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from evalkit.engines.limiter import Limiter
from evalkit.errors import EngineUnavailableError, EvalkitError, one_line

_STRIKES = 3
"""Failures in a row, with no success between them, after which a replica is taken out."""
_LONGEST_PAUSE_S = 60.0
_MOST_PLACES = 2**16
_WORTH = 1 / 8
"""How much more of its limit may be in use at a replica that has the image already."""


class MovedError(Exception):
    """The replica was taken out before the work was sent: another one gets it."""


class Member(Protocol):
    """One replica.

    Attributes:
        name: in messages.
        limiter: slots at it.
        up: whether work is sent to it; the pool decides.
        failures: since the last success.
    """

    name: str
    limiter: Limiter
    up: bool
    failures: int

    async def check(self) -> None:
        """See to it that the replica is there, with the same model as before.

        Raises:
            EngineUnavailableError: there is another model in its place.
            EvalkitError: it is not there, or does not work.
        """
        ...


M = TypeVar("M", bound=Member)


class Pool(Generic[M]):
    """Places trajectories on replicas and keeps watch over those that fail.

    A trajectory stays where it began, so that its prefix and its images are found in the server's caches; a new one
    goes where the fewest requests are or, if that is nearly as good, where its image is already. A replica that fails
    `_STRIKES` times in a row is taken out; after a pause that doubles each time it is asked for its model (an actor is
    started anew) and, if that is still the same, taken back: the next failure takes it out again.

    Args:
        replicas: opened already.
        outage_s: how long to wait while all of them are out, in seconds.
        backoff_s: half of the first pause.
        kind: what a replica is called.
        mend: what the user should do where all are gone.
    """

    def __init__(
        self, replicas: Sequence[M], outage_s: float, backoff_s: float, kind: str = "server", mend: str = "start it"
    ) -> None:
        self.replicas = replicas
        self._outage_s = outage_s
        self._backoff_s = backoff_s
        self._kind = kind
        self._mend = mend
        self._places: OrderedDict[tuple[str, str], M] = OrderedDict()
        self._counts = dict.fromkeys(replicas, 0)
        self._pauses = dict.fromkeys(replicas, 0)
        self._watches: set[asyncio.Task[None]] = set()
        self._back = asyncio.Event()
        self._dark_since: float | None = None
        self._last = ""
        self._gone = ""

    async def place(self, key: str, image: str = "") -> M:
        """The replica for what shares the caches of `key`, waiting while none is up.

        Args:
            key: what stays together.
            image: digest of its first image; empty without one.

        Raises:
            EngineUnavailableError: none came up in time, or none ever will.
        """
        while True:
            if self._gone:
                raise EngineUnavailableError(self._gone)
            if (found := self._pick(key, image)) is not None:
                return found
            await self._wait()

    def succeeded(self, replica: M) -> None:
        """A request came through."""
        replica.failures = 0
        if self._pauses[replica]:
            self._pauses[replica] = 0

    def failed(self, replica: M, why: Exception, *, gone: bool = False) -> None:
        """A try failed at `replica` in a way that may be its end; with `gone` it surely is."""
        replica.failures = max(replica.failures + 1, _STRIKES * gone)
        self._last = f"{replica.name}: {one_line(why)}"
        if replica.up and replica.failures >= _STRIKES:
            replica.up = False
            replica.limiter.turn_away(MovedError)
            if not any(other.up for other in self.replicas):
                self._dark_since = time.monotonic()
                self._back.clear()
            watch = asyncio.create_task(self._watch(replica))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)

    def has_other(self, replica: M) -> bool:
        """Whether a request that failed at `replica` would go to another one now."""
        return not replica.up and any(other.up for other in self.replicas)

    def abandon(self, why: str) -> None:
        """No request can succeed any more; those that wait or come are told `why`."""
        self._gone = self._gone or why
        self._back.set()

    async def close(self) -> None:
        """End all watches."""
        self.abandon("the engine is not started, or closed already")
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    def _pick(self, key: str, image: str) -> M | None:
        if len(self.replicas) == 1:
            return self.replicas[0] if self.replicas[0].up else None
        placed = self._places.get((key, ""))
        if placed is not None and placed.up:
            self._places.move_to_end((key, ""))
            return placed
        up = [replica for replica in self.replicas if replica.up]
        if not up:
            return None
        best = min(up, key=lambda replica: (_share(replica), self._counts[replica]))
        beside = self._places.get(("", image)) if image else None
        if beside is not None and beside.up and _share(beside) <= _share(best) + _WORTH:
            best = beside
        self._counts[best] += 1
        self._places[key, ""] = best
        if image:
            self._places["", image] = best
        while len(self._places) > _MOST_PLACES:
            self._places.popitem(last=False)
        return best

    async def _wait(self) -> None:
        assert self._dark_since is not None
        left = self._dark_since + self._outage_s - time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await self._back.wait()
                return
        count = len(self.replicas)
        which = f"the {self._kind} is" if count == 1 else f"all {count} {self._kind}s are"
        raise EngineUnavailableError(
            f"{which} gone and did not come back within {self._outage_s:g} s (the last: {self._last}); "
            f"{self._mend} and run the same command again"
        )

    async def _watch(self, replica: M) -> None:
        """Look after a replica that was taken out until it is there again."""
        while True:
            self._pauses[replica] += 1
            await asyncio.sleep(min(_LONGEST_PAUSE_S, self._backoff_s * 2.0 ** self._pauses[replica]))
            try:
                await replica.check()
            except EngineUnavailableError as error:
                self.abandon(str(error))
                return
            except EvalkitError as error:
                self._last = one_line(error)
                continue
            replica.up = True
            replica.failures = _STRIKES - 1
            self._dark_since = None
            self._back.set()
            return


def _share(replica: Member) -> float:
    """Of its limit that is in use, or waited for."""
    return replica.limiter.load / replica.limiter.limit
