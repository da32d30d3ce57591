"""Request bodies with images: each image's base64 is made once, and large bodies never exist in one piece."""

from __future__ import annotations

import asyncio
import binascii
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter

from evalkit.errors import DataError, EvalkitError
from evalkit.images import ImageFile

CACHE_BYTES = 256 * 2**20
"""How much base64 is kept between requests."""
JOIN_BYTES = 2**20
"""Bodies up to this size are sent as one piece."""
UPLOADS = 4
"""Large bodies on their way at once: more would fill memory without filling the line better."""
_RAW_CHUNK = 3 * 2**18
_SMALL_IMAGE = JOIN_BYTES // 4 * 3
_INLINE_IMAGE = 2**18
_SLICE = 2**20

Chunks = tuple[bytes, ...]
Piece = bytes | ImageFile


class Base64Cache:
    """Base64 of images by content, least recently used out first; safe between threads.

    It is kept in chunks of 1 MB: encoding lets other threads run between them, and writing needs
    no further slices.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._chunks: OrderedDict[str, Chunks] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def get(self, digest: str) -> Chunks | None:
        """The base64 of the image with this SHA-256 if it is at hand."""
        with self._lock:
            if (found := self._chunks.get(digest)) is not None:
                self._chunks.move_to_end(digest)
            return found

    def load(self, image: ImageFile) -> Chunks:
        """The image's base64, made if need be; blocks, and threads that want the same image wait.

        Raises:
            DataError: the image cannot be read, or is not what it was.
        """
        digest = image.header.sha256
        with self._lock:
            loading = self._loading.setdefault(digest, threading.Lock())
        with loading:
            if (found := self.get(digest)) is not None:
                return found
            try:
                made = _encoded(image)
                self._keep(digest, made)
            finally:
                with self._lock:
                    self._loading.pop(digest, None)
        return made

    def _keep(self, digest: str, chunks: Chunks) -> None:
        with self._lock:
            self._chunks[digest] = chunks
            self._held += sum(map(len, chunks))
            while self._held > self._limit:
                _, old = self._chunks.popitem(last=False)
                self._held -= sum(map(len, old))


def _encoded(image: ImageFile) -> Chunks:
    data = memoryview(image.read())
    if len(data) != image.header.size:
        raise DataError(f"image {image.name} changed while it was in use")
    return tuple(
        binascii.b2a_base64(data[at : at + _RAW_CHUNK], newline=False) for at in range(0, len(data), _RAW_CHUNK)
    )


class StreamedBody(Payload):
    """A body of known length that is written piece by piece; images are fetched when their turn comes.

    One object serves one try. `failure` is what stopped it from inside, if anything: aiohttp
    reports that as a connection error.
    """

    _autoclose = True

    def __init__(
        self,
        pieces: list[Piece],
        size: int,
        fetch: Callable[[ImageFile], Awaitable[Chunks]],
        uploads: asyncio.Semaphore,
    ) -> None:
        super().__init__(pieces, content_type="application/json")
        self._pieces = pieces
        self._size = size
        self._fetch = fetch
        self._uploads = uploads
        self.failure: EvalkitError | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not available: the body exists only while it is written."""
        raise TypeError("a streamed body cannot be decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the whole body; the writer waits whenever the connection is full."""
        async with self._uploads:
            try:
                for piece in self._pieces:
                    if isinstance(piece, ImageFile):
                        for chunk in await self._fetch(piece):
                            await writer.write(chunk)
                        continue
                    view = memoryview(piece)
                    for at in range(0, len(view), _SLICE):
                        await writer.write(view[at : at + _SLICE])
            except EvalkitError as error:
                self.failure = error
                raise

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the whole body, whose length is its `size`."""
        await self.write(writer)


class BodyBuilder:
    """Turns marked JSON and images into what a connection is given to send."""

    def __init__(self, cache: Base64Cache | None = None) -> None:
        self._cache = cache or Base64Cache()
        # Own threads: the default pool may be full of slow tools.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="evalkit-images")
        self._uploads = asyncio.Semaphore(UPLOADS)

    async def prepare(self, images: list[ImageFile]) -> None:
        """Read what `build` will need of these images, off the event loop where that is worth it.

        Raises:
            DataError: an image cannot be read.
        """
        if cold := [image for image in images if not self._ready(image)]:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._inspect, cold)

    def build(self, document: bytes, marker: bytes, images: list[ImageFile]) -> bytes | StreamedBody:
        """The body of one try; `prepare` comes first.

        Args:
            document: JSON with image markers.
            marker: what stands in it for each image's data URL.
            images: in the order of their markers.

        Raises:
            DataError: an image cannot be read.
        """
        texts = document.split(marker)
        pieces: list[Piece] = [texts[0]]
        size = len(texts[0])
        for image, text in zip(images, texts[1:], strict=True):
            header = image.header
            head = b"data:%b;base64," % header.mime.encode()
            pieces += (head, image, text)
            size += len(head) + (header.size + 2) // 3 * 4 + len(text)
        if size > JOIN_BYTES:
            return StreamedBody(pieces, size, self._fetch, self._uploads)
        parts: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, ImageFile):
                parts += self._cache.get(piece.header.sha256) or self._cache.load(piece)
            else:
                parts.append(piece)
        return b"".join(parts)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ready(self, image: ImageFile) -> bool:
        """Whether the event loop may read what is missing: for a small file a thread costs more than it saves."""
        header, size = image.known, image.size()
        if header is None or size is None:
            return size is not None and size <= _INLINE_IMAGE
        return not _INLINE_IMAGE < size <= _SMALL_IMAGE or self._cache.get(header.sha256) is not None

    def _inspect(self, images: list[ImageFile]) -> None:
        for image in images:
            if image.header.size <= _SMALL_IMAGE:
                self._cache.load(image)

    async def _fetch(self, image: ImageFile) -> Chunks:
        found = self._cache.get(image.header.sha256)
        if found is None:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._cache.load, image)
        return found
