"""Folders whose images a server reads itself, as vLLM does under its allowed local media path."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from evalkit.images import ImageFile

_MOST_FOLDERS = 64


class SharedFolders:
    """Which folders a server reads under the same paths as this process.

    A folder counts only after a proof: an image with a random name is put there for a moment, and the server
    is asked to read it. So neither a server elsewhere (a tunnel, a container) with other files under the same
    paths nor one that may not read the folder is ever sent a path.

    Args:
        reads: asks the server for the image at a URL; whether it saw it.
        image: an image that it has seen before as data.
    """

    def __init__(self, reads: Callable[[str], Awaitable[bool]], image: bytes) -> None:
        self._reads = reads
        self._image = image
        self._folders: dict[Path, asyncio.Task[bool]] = {}

    def url(self, image: ImageFile) -> str | None:
        """The `file://` URL of an image in a proven folder that is still what it was; else None."""
        if image.path is None or (proof := self._folders.get(image.path.parent)) is None:
            return None
        if not proof.done() or proof.cancelled() or not proof.result():
            return None
        try:
            path = image.path.resolve()
            return path.as_uri() if path.stat().st_size == image.header.size else None
        except OSError:
            return None

    async def examine(self, images: list[ImageFile]) -> None:
        """Find out about the images' folders, each once."""
        for image in images:
            if image.path is None:
                continue
            folder = image.path.parent
            if folder not in self._folders and len(self._folders) < _MOST_FOLDERS:
                self._folders[folder] = asyncio.create_task(self._prove(folder))
            if (proof := self._folders.get(folder)) is not None and not proof.done():
                await asyncio.wait({proof})

    async def close(self) -> None:
        """End what is under way."""
        for proof in self._folders.values():
            proof.cancel()
        await asyncio.gather(*self._folders.values(), return_exceptions=True)

    async def _prove(self, folder: Path) -> bool:
        file = folder / f".evalkit-{secrets.token_hex(8)}.png"
        try:
            url = await asyncio.to_thread(_put, file, self._image)
        except OSError:
            return False
        try:
            return await self._reads(url)
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)


def _put(file: Path, image: bytes) -> str:
    file.write_bytes(image)
    return file.resolve().as_uri()
