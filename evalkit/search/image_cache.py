"""Image searches that were made beforehand: a JSON file by sample id, in the form of MMSearch-R1 that Metis uses."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from evalkit.errors import DataError, EvalkitError, one_line
from evalkit.search.base import Hit, Kind, Search, SearchFailedError, hit
from evalkit.search.thumbnails import NoImageError, decoded

_FORM = '{"<sample id>": {"tool_returned_web_title": ["..."], "cached_images_path": ["..."]}}'


class _Entry(msgspec.Struct, frozen=True):
    tool_returned_web_title: list[str] = []
    cached_images_path: list[str | None] = []


class ImageCacheProvider:
    """Gives each sample the results that the file has for it.

    A result whose path is null has no image and is left out, as in the authors' code. Paths are relative to the
    file's folder and stay in it.

    Args:
        file: the cache.

    Raises:
        EvalkitError: it is not there.
    """

    name = "cache"
    kinds = frozenset({Kind.IMAGE})

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise EvalkitError(f"--image-search cache: {file} is no file")
        self._file = file
        self._entries: dict[str, _Entry] = {}

    async def start(self) -> dict[str, Any]:
        """Read the file and see that its images are there.

        Raises:
            DataError: it has another form, or images are missing.
        """
        data = await asyncio.to_thread(self._read)
        return {"kind": self.name, "fingerprint": hashlib.sha256(data).hexdigest()[:16]}

    def knows(self, sample: str) -> bool:
        """Whether there are results for a sample."""
        return sample in self._entries

    async def search(self, search: Search) -> tuple[Hit, ...]:
        """See `Provider.search`.

        Raises:
            SearchFailedError: the file has nothing for the sample.
        """
        entry = self._entries.get(search.sample)
        if entry is None:
            raise SearchFailedError("there is no result for this image")
        pairs = [(title, path) for title, path in _pairs(entry) if path is not None]
        return tuple(
            [await asyncio.to_thread(self._hit, title, path, search) for title, path in pairs[: search.results]]
        )

    async def close(self) -> None:
        """There is nothing to free."""

    def _hit(self, title: str, path: str, search: Search) -> Hit:
        found = hit(title, "", "", search.chars)
        file = self._file.parent / path
        try:
            return msgspec.structs.replace(found, thumbnail=decoded(file.read_bytes(), path))
        except (OSError, NoImageError) as error:
            return msgspec.structs.replace(found, problem=one_line(error))

    def _read(self) -> bytes:
        try:
            data = self._file.read_bytes()
            self._entries = msgspec.json.decode(data, type=dict[str, _Entry])
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DataError(f"image cache {self._file}: {one_line(error, 120)}; it looks like {_FORM}") from None
        root = self._file.parent.resolve()
        named = [(id, path) for id, entry in self._entries.items() for _, path in _pairs(entry) if path is not None]
        for id, path in named:
            if not (root / path).resolve().is_relative_to(root):
                raise DataError(
                    f"image cache {self._file}: {id} names {one_line(path, 80)!r}, outside the file's folder"
                )
        missing = [path for _, path in named if not (root / path).is_file()]
        if missing:
            raise DataError(
                f"image cache {self._file}: {len(missing)} of {len(named)} images are not beside it, "
                f"the first is {one_line(missing[0], 120)}"
            )
        return data


def _pairs(entry: _Entry) -> list[tuple[str, str | None]]:
    return list(zip(entry.tool_returned_web_title, entry.cached_images_path, strict=False))
