"""Images that several sessions use: decoded once, in a confined session, and mapped by all later ones."""

from __future__ import annotations

import asyncio
import mmap
import os
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import NamedTuple

from evalkit.errors import DataError, SandboxError
from evalkit.images import ImageFile
from evalkit.sandbox._images import seal, written

CAP_BYTES = 1 << 30
"""Memory for pixels that are kept for later sessions; the longest unused go first."""

Place = tuple[int, int] | tuple[int, int, str, int, int, int]
"""Offset and length of an image's encoded form; then, if it is decoded: mode, width, height, offset of the pixels."""

# how Pillow keeps each mode in memory, which is what a session maps
_RAW = {"L": "L", "RGB": "RGBX", "RGBA": "RGBA"}


class Pixels(NamedTuple):
    """A decoded image as a session returned it: mode "L", "RGB" or "RGBA", and its bytes, row by row."""

    mode: str
    width: int
    height: int
    data: bytes | bytearray


class Shared(NamedTuple):
    """One file in memory with the images of a sample; the descriptor belongs to whoever got it."""

    fd: int
    places: list[Place]


class SharedImages:
    """Files for samples whose images an earlier session had too.

    Args:
        decode: decodes an image where it can do no harm; None if its pixels cannot be shared.
        executor: where bytes are copied.
    """

    def __init__(self, decode: Callable[[ImageFile], Awaitable[Pixels | None]], executor: Executor) -> None:
        self._decode = decode
        self._executor = executor
        self._uses: Counter[tuple[str, ...]] = Counter()
        self._made: OrderedDict[tuple[str, ...], asyncio.Task[tuple[Shared, int] | None]] = OrderedDict()

    async def take(self, images: tuple[ImageFile, ...]) -> Shared | None:
        """A file for these images, None at their first use and where sharing is impossible."""
        try:
            key = tuple([(await image.inspect()).sha256 for image in images])
        except DataError:
            # the session says so when a cell touches the image
            return None
        self._uses[key] += 1
        if self._uses[key] < 2:
            return None
        if key not in self._made:
            self._made[key] = asyncio.create_task(self._make(images))
        self._made.move_to_end(key)
        made = await asyncio.shield(self._made[key])
        if made is None or key not in self._made:
            return None
        shared = Shared(os.dup(made[0].fd), made[0].places)
        self._evict()
        return shared

    async def close(self) -> None:
        """Free all memory; sessions keep what they have."""
        tasks, self._made = list(self._made.values()), OrderedDict()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, tuple):
                os.close(result[0].fd)

    async def _make(self, images: tuple[ImageFile, ...]) -> tuple[Shared, int] | None:
        try:
            pixels = [await self._decode(image) for image in images]
            if not any(pixels):
                return None
            return await asyncio.get_running_loop().run_in_executor(self._executor, _file, images, pixels)
        except (SandboxError, DataError, OSError):
            # nothing is lost: each session decodes for itself
            return None

    def _evict(self) -> None:
        done = [(key, task.result()) for key, task in self._made.items() if task.done() and not task.cancelled()]
        total = sum(made[1] for _, made in done if made is not None)
        for key, made in done[:-1]:
            if total <= CAP_BYTES:
                return
            if made is not None:
                del self._made[key]
                os.close(made[0].fd)
                total -= made[1]


def _file(images: tuple[ImageFile, ...], decoded: list[Pixels | None]) -> tuple[Shared, int]:
    """A sealed file of the encoded images, then each one's pixels at the start of a page; and its size."""
    from PIL import Image

    fd = os.memfd_create("shared-images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        places: list[Place] = []
        at = 0
        for image in images:
            size = written(fd, image.read())
            places.append((at, size))
            at += size
        for index, pixels in enumerate(decoded):
            if pixels is None:
                continue
            mode, width, height, data = pixels
            raw = Image.frombuffer(mode, (width, height), data, "raw", mode, 0, 1).tobytes("raw", _RAW[mode])
            at += -at % mmap.ALLOCATIONGRANULARITY
            os.lseek(fd, at, os.SEEK_SET)
            places[index] = (*places[index][:2], mode, width, height, at)
            at += written(fd, raw)
        seal(fd)
    except BaseException:
        with suppress(OSError):
            os.close(fd)
        raise
    return Shared(fd, places), at
