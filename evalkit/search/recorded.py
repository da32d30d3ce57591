"""The searches of an earlier run, played back: nothing is asked of anyone."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvalkitError, SandboxError
from evalkit.search.base import Hit, Kind, Search, SearchFailedError
from evalkit.search.line import SEARCHES, Ended, Line, read_lines


class RecordedProvider:
    """Answers from a run's `searches.jsonl`.

    A search gets what the same sample got for it after the same earlier searches, failures included; where the
    recording has no such one, what anyone got for it. A search that is not there ends the trajectory with an error:
    an empty result would be an answer that nobody gave.

    Args:
        place: a run folder, or a file of its form.

    Raises:
        EvalkitError: there is no recording.
    """

    name = "recorded"
    kinds = frozenset(Kind)

    def __init__(self, place: Path) -> None:
        self._file = place / SEARCHES if place.is_dir() else place
        if not self._file.is_file():
            why = f"has no {SEARCHES}: it was made without a search tool" if place.is_dir() else "is not there"
            raise EvalkitError(f"recorded searches: {place} {why}")
        self._of_sample: dict[tuple[str, str], Line] = {}
        self._of_anyone: dict[tuple[str, str, str, int, int], Line] = {}

    async def start(self) -> dict[str, Any]:
        """Read the recording.

        Raises:
            DataError: it is damaged, or an image of it is missing.
        """
        await asyncio.to_thread(self._read)
        digest = hashlib.sha256(self._file.read_bytes()).hexdigest()[:16]
        return {"kind": self.name, "fingerprint": digest}

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`.

        Raises:
            SearchFailedError: it failed in the recording.
            SandboxError: it is not in the recording.
        """
        line = self._of_sample.get((search.sample, search.chain)) or self._of_anyone.get(search.asked)
        if line is None:
            size = f"{search.results} results of {search.chars} characters"
            raise SandboxError(
                f"no {search.kind} search for {search.what} ({size}) is recorded in {self._file}; "
                "record it with the provider itself"
            )
        if line.status is not Ended.OK:
            raise SearchFailedError(line.error, line.status is Ended.TIMEOUT)
        return line.hits

    async def close(self) -> None:
        """There is nothing to free."""

    def _read(self) -> None:
        # of equal ones the later line holds: a trajectory that was broken off ran again after a resume
        for line in read_lines(self._file):
            if line.status is Ended.BROKEN:
                continue
            for found in line.hits:
                if found.thumbnail is not None and not (image := found.thumbnail.path or Path()).is_file():
                    raise DataError(f"recorded searches: {image} is missing, which {self._file} names")
            self._of_sample[line.search.sample, line.search.chain] = line
            if line.status is Ended.OK:
                self._of_anyone[line.search.asked] = line
