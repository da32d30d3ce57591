"""An image as its file's own bytes: read when needed, named by content, decoded only on request."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from evalkit.errors import DataError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif",
               "image/bmp": "bmp", "image/tiff": "tiff"}  # fmt: skip
# below this, a thread costs more than the work
_SMALL = 1 << 20
_END = 4096
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded, wherever an image comes from. Pillow reads forty formats more, and for one of them (EPS) it has
another program run the file, which is a program itself."""


class ChangedImageError(DataError):
    """A run folder's image is there and is not the one that was recorded."""


class ImageHeader(msgspec.Struct, frozen=True):
    """What is known of an image without decoding it: the form in which records name images.

    Attributes:
        sha256: hex digest of the encoded bytes; also the file's name in a run folder.
        mime: media type found in the bytes, whatever the file is called.
        width: pixels.
        height: pixels.
        size: encoded length in bytes.
    """

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    mime: str
    width: int
    height: int
    size: int

    @property
    def filename(self) -> str:
        """Name of the image in a run folder's `images/`."""
        return f"{self.sha256}.{_EXTENSIONS.get(self.mime, 'bin')}"


class ImageFile:
    """An encoded image behind a lazy handle; safe to share between trajectories and threads.

    The bytes are what a server is sent and what a run folder stores. Nothing is decoded
    unless `open` is called. `path` is the file of an image on disk, None for any other.
    """

    __slots__ = ("_header", "_lock", "_mark", "_read", "_stat", "name", "path")

    def __init__(
        self,
        read: Callable[[], bytes],
        name: str,
        size: Callable[[], int | None] = lambda: None,
        mark: Callable[[], str] = str,
    ) -> None:
        self._read = read
        self._stat = size
        self._mark = mark
        self.name = name
        self.path: Path | None = None
        self._header: ImageHeader | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ImageFile({self.name!r})"

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> ImageFile:
        """An image on disk; it is read at each use and never kept."""
        file = path if isinstance(path, Path) else Path(path)
        image = cls(file.read_bytes, str(file), lambda: file.stat().st_size, lambda: _mark_of_file(file))
        image.path = file
        return image

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "image", header: ImageHeader | None = None) -> ImageFile:
        """An image already in memory (a tool's result, a data set's cell), perhaps with its header known already."""
        image = cls(lambda: data, name, lambda: len(data), lambda: _mark_of(len(data), data[:_END], data[-_END:]))
        image._header = header
        return image

    @classmethod
    def generated(cls, make: Callable[[], bytes], name: str) -> ImageFile:
        """An image made by `make` when first needed and then kept."""
        kept: list[bytes] = []
        lock = threading.Lock()

        def read() -> bytes:
            with lock:
                if not kept:
                    kept.append(make())
                return kept[0]

        return cls(read, name)

    @classmethod
    def from_pil(cls, image: PILImage, name: str = "image") -> ImageFile:
        """A decoded image, encoded losslessly (PNG, fastest compression)."""
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", compress_level=1)
        return cls.from_bytes(buffer.getvalue(), name)

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            return self._read()
        except OSError as error:
            raise DataError(f"cannot read image {self.name}: {error.strerror or one_line(error)}") from error

    @property
    def header(self) -> ImageHeader:
        """Digest, type and size of the image; computed once.

        Raises:
            DataError: the bytes are not an image, or end before the image does.
        """
        with self._lock:
            if self._header is None:
                self._header = _inspect(self.read(), self.name)
            return self._header

    @property
    def known(self) -> ImageHeader | None:
        """The header if it has been computed already, else None; never reads anything."""
        return self._header

    def size(self) -> int | None:
        """Encoded length in bytes if it can be told without reading the image, else None."""
        if self._header is not None:
            return self._header.size
        try:
            return self._stat()
        except OSError:
            return None

    def mark(self) -> str:
        """A cheap mark of the content: length and digest of both ends; only the name where it must be made first."""
        try:
            return self._mark()
        except OSError:
            return ""

    async def inspect(self) -> ImageHeader:
        """The header, computed off the event loop where the image is large or has to be made first.

        Raises:
            DataError: see `header`.
        """
        size = self.size()
        if self._header is None and (size is None or size > _SMALL):
            import asyncio

            return await asyncio.to_thread(lambda: self.header)
        return self.header

    def open(self) -> PILImage:
        """The decoded image as it is stored: neither turned upright by its EXIF tag nor converted.

        Raises:
            DataError: the image cannot be decoded, or is larger than Pillow's limit.
        """
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(self.read()), formats=FORMATS)
            image.load()
        except Exception as error:
            # format plugins raise whatever they stumble over
            raise DataError(f"cannot decode image {self.name}: {_said(error)}") from error
        return image


def _inspect(data: bytes, name: str) -> ImageHeader:
    if not data:
        raise DataError(f"image {name} is empty")
    size = _png_size(data)
    if size is not None:
        return ImageHeader(hashlib.sha256(data).hexdigest(), "image/png", *size, len(data))
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # a photo with others after it, as phones make them, is a JPEG to everybody who knows no MPO
            kind = "JPEG" if image.format == "MPO" else image.format or ""
            mime = Image.MIME.get(kind, "application/octet-stream")
            width, height = image.size
            if mime == "image/png":
                raise ValueError("its end is missing")
            if not _ends(data, mime):
                image.load()
    except Exception as error:
        # format plugins raise whatever they stumble over
        raise DataError(f"image {name} is truncated or not an image: {_said(error)}") from error
    return ImageHeader(hashlib.sha256(data).hexdigest(), mime, width, height, len(data))


def _said(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    # Pillow's own words are an address in memory, which differs for each row
    unknown = isinstance(error, UnidentifiedImageError)
    return f"it is none of {', '.join(FORMATS)}" if unknown else one_line(error)


def _mark_of(size: int, start: bytes, end: bytes) -> str:
    return f"{size}:{hashlib.sha256(start + end).hexdigest()[:16]}"


def _mark_of_file(file: Path) -> str:
    with file.open("rb") as data:
        size = data.seek(0, 2)
        data.seek(max(0, size - _END))
        end = data.read(_END)
        data.seek(0)
        return _mark_of(size, data.read(_END), end)


def warm_up() -> None:
    """Load the image library now, so that no trajectory's time has it in."""
    from PIL import Image

    Image.preinit()


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG that is there to its end: they stand at a fixed place, no library is needed."""
    if data[:8] != _PNG_START or data[12:16] != b"IHDR" or _PNG_END not in data:
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return (width, height) if width and height else None


def _ends(data: bytes, mime: str) -> bool:
    """Whether the encoded bytes reach their format's end mark, so that decoding can be spared.

    A wrong "no" only costs a decode, which then has the last word.
    """
    if mime == "image/jpeg":
        return _JPEG_END in data[-4096:]
    if mime == "image/webp":
        return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    return False


def _stored(place: Path, header: ImageHeader) -> bytes:
    """An image's file, read only if it is the image: a folder that others made may hold a link to anything."""
    found = place.stat()
    if stat.S_ISREG(found.st_mode) and found.st_size == header.size:
        data = place.read_bytes()
        if hashlib.sha256(data).hexdigest() == header.sha256:
            return data
    raise ChangedImageError(f"image {place} is not the one that was recorded: it is damaged, or was changed")


def encode_hook(value: Any) -> Any:
    """Msgspec hook: an `ImageFile` is recorded as its header."""
    if isinstance(value, ImageFile):
        return value.header
    raise NotImplementedError(f"cannot record a {type(value).__name__}")


def decode_hook(images: Path | None) -> Callable[[type, Any], Any]:
    """Msgspec hook that turns a recorded header back into an `ImageFile` under the folder `images`."""

    def decode(kind: type, value: Any) -> Any:
        if kind is not ImageFile:
            raise NotImplementedError(f"cannot read a {kind.__name__}")
        header = msgspec.convert(value, ImageHeader)
        place = (images or Path()) / header.filename
        file = ImageFile.from_path(place)
        file._header = header
        file._read = lambda: _stored(place, header)
        return file

    return decode
