"""A provider in a run's hands: every search is recorded, whatever becomes of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from evalkit.errors import SandboxError, one_line
from evalkit.search.base import Hit, Provider, Search, SearchFailedError
from evalkit.search.line import Ended, Line


class Recorder(Protocol):
    """Where searches are written down."""

    async def write(self, line: Line) -> None:
        """Store one search; its thumbnails before its line.

        Raises:
            InfrastructureError: it cannot be stored.
        """
        ...


class Searcher:
    """Searches a provider and records it.

    Args:
        provider: started and closed through this.
        recorder: told of every search before its caller is.
    """

    def __init__(self, provider: Provider, recorder: Recorder) -> None:
        self.provider = provider
        self._recorder = recorder

    async def start(self) -> dict[str, Any]:
        """See `Provider.start`."""
        return await self.provider.start()

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`.

        Raises:
            SearchFailedError: this search failed.
            SandboxError: no search can be had any more.
            InfrastructureError: it cannot be recorded.
        """
        at, clock = time.time(), time.perf_counter()
        hits: tuple[Hit, ...] = ()
        status, error = Ended.OK, ""
        try:
            hits = (await self.provider.search(search))[: search.results]
        except SearchFailedError as failure:
            status = Ended.TIMEOUT if failure.timeout else Ended.FAILED
            error = one_line(failure, 500)
            raise SearchFailedError(error, failure.timeout) from None
        except asyncio.CancelledError:
            status, error = Ended.BROKEN, "the run was stopped"
            raise
        except Exception as failure:
            status, error = Ended.BROKEN, one_line(failure, 500)
            if isinstance(failure, SandboxError):
                raise
            why = f"search provider {self.provider.name} failed: {type(failure).__name__}: {one_line(failure)}"
            raise SandboxError(why) from failure
        finally:
            line = Line(
                provider=self.provider.name,
                search=search,
                status=status,
                hits=hits,
                error=error,
                at=at,
                seconds=time.perf_counter() - clock,
            )
            await self._recorder.write(line)
        return hits

    async def close(self) -> None:
        """See `Provider.close`."""
        await self.provider.close()
