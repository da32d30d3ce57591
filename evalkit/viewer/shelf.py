"""The newest rendering of a folder of runs: another is made when the folder has changed, and not too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from evalkit.errors import EvalkitError, one_line
from evalkit.runs.find import is_run, runs_in
from evalkit.viewer.fingerprint import fingerprint
from evalkit.viewer.source import Gone, Page

_SHARE = 4
"""A rendering is followed by a pause this many times as long, so that a live run does not cost a processor."""


class Rendering(Protocol):
    """One page with its data, made from the runs as they were at one moment."""

    page: Page

    def data(self, kind: str, run: str, row: int) -> bytes:
        """A part as JSON, see `Source.data`; not called by two threads at once.

        Raises:
            EvalkitError: see `Source.data`.
        """


Render = Callable[[list[Path], str], Rendering]


class Shelf:
    """A `Source` over a folder of runs. Reading and drawing happen in a thread, one rendering at a time.

    Args:
        folder: a folder of runs, or a run.
        render: makes a page of run folders; it is told the version.
        say: is told in one line when a page could not be made.
        clock: seconds; for tests.
    """

    def __init__(
        self,
        folder: Path,
        render: Render,
        say: Callable[[str], object] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._render = render
        self._say = say
        self._clock = clock
        self._newest: Rendering | None = None
        self._failed = ""
        self._not_before = 0.0
        self._lock = asyncio.Lock()
        self._reading = asyncio.Lock()

    def version(self) -> str:
        """The version that `page` would give now."""
        shown = self._newest.page.version if self._newest else ""
        if shown and self._clock() < self._not_before:
            return shown
        now = fingerprint(self._folders())
        return shown if shown and now == self._failed else now

    async def page(self) -> Page:
        """The newest page; the last good one where a newer cannot be made.

        Raises:
            EvalkitError: there is none, and none can be made.
        """
        async with self._lock:
            version = self.version()
            if self._newest is None or version != self._newest.page.version:
                self._newest = await self._made(version)
            return self._newest.page

    async def data(self, kind: str, run: str = "", row: int = 0) -> bytes:
        """See `Source.data`."""
        if self._newest is None:
            raise Gone("no page has been made yet; load it again")
        async with self._reading:
            return await asyncio.to_thread(self._newest.data, kind, run, row)

    async def _made(self, version: str) -> Rendering:
        begun = self._clock()
        try:
            return await asyncio.to_thread(self._render, self._folders(), version)
        except Exception as error:
            # a run that is being written, moved or deleted at this moment must not end the view of the others
            why = one_line(error if isinstance(error, EvalkitError) else f"{type(error).__name__}: {error}")
            self._failed = version
            self._say(f"the page could not be made: {why}")
            if self._newest is None:
                raise EvalkitError(f"the page could not be made: {why}") from error
            return self._newest
        finally:
            now = self._clock()
            self._not_before = now + _SHARE * (now - begun)

    def _folders(self) -> list[Path]:
        return [self._folder] if is_run(self._folder) else runs_in(self._folder)
