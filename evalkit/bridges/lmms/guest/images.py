"""Images of documents: opened without decoding, and handed over as the data set's own bytes where they are those."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from typing import Any

from PIL import Image

_ENDS = 4096
_ORIENTATION = 274
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


def opened(value: Any, feature: Any) -> Any:
    """A cell of an image column as lmms-eval's tasks get it, its pixels not decoded yet where that changes nothing.

    Args:
        value: the cell: bytes and path.
        feature: the column's, which decodes it where more is to be done than opening.
    """
    data = value.get("bytes") if isinstance(value, dict) else None
    if data is None or getattr(feature, "mode", None):
        return None if value is None else feature.decode_example(value)
    image = Image.open(io.BytesIO(data))
    if image.format not in _EXTENSIONS or _turned(image, data):
        return feature.decode_example(value)
    return _marked(image, data)


def encoded(image: Image.Image) -> tuple[bytes, str]:
    """The bytes of an image that a task shows, and their file extension."""
    data = getattr(image, "evalkit_bytes", None)
    if data is not None and _untouched(image, data):
        return data, _EXTENSIONS[image.evalkit_format]  # type: ignore[attr-defined]
    buffer = io.BytesIO()
    if image.mode not in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16"):
        image = image.convert("RGB")
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue(), "png"


def marked(image: Image.Image) -> tuple[str, int | None]:
    """A mark of an image's content, and its length in bytes where it need not be encoded for that."""
    data = getattr(image, "evalkit_bytes", None)
    if data is not None and _untouched(image, data):
        digest = hashlib.sha256(data[:_ENDS] + data[-_ENDS:]).hexdigest()[:16]
        return f"{len(data)}:{digest}", len(data)
    digest = hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()[:16]
    return f"pixels:{digest}", None


def from_file(path: str) -> Image.Image:
    """An image on disk, where a task names a file."""
    with open(os.path.expanduser(path), "rb") as file:
        data = file.read()
    image = Image.open(io.BytesIO(data))
    return _marked(image, data) if image.format in _EXTENSIONS else image


def _turned(image: Image.Image, data: bytes) -> bool:
    """Whether the file says that its pixels are to be turned; the library would decode a PNG to tell."""
    if image.format == "PNG":
        return b"eXIf" in data or b"Raw profile type" in data
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)


def _marked(image: Image.Image, data: bytes) -> Image.Image:
    image.evalkit_bytes = data  # type: ignore[attr-defined]
    image.evalkit_format = image.format  # type: ignore[attr-defined]
    # of this image alone: most tasks ask for image.convert("RGB"), and that decodes
    image.convert = functools.partial(_convert, image, data)  # type: ignore[method-assign]
    return image


def _convert(image: Image.Image, data: bytes, mode: str | None = None, *args: Any, **options: Any) -> Image.Image:
    plain = mode == "RGB" and not args and not options
    if plain and image.mode == "RGB" and image.tile:  # type: ignore[attr-defined]
        return _marked(Image.open(io.BytesIO(data)), data)
    made = type(image).convert(image, mode, *args, **options)
    if plain and image.mode in ("L", "RGB"):
        made.evalkit_bytes, made.evalkit_format = data, image.format  # type: ignore[attr-defined]
    return made


def _untouched(image: Image.Image, data: bytes) -> bool:
    """Whether the image still is what its bytes say: it has never been decoded, or nobody has drawn into it."""
    if getattr(image, "tile", None):
        return True
    fresh = Image.open(io.BytesIO(data))
    if fresh.size != image.size:
        return False
    return fresh.convert(image.mode).tobytes() == image.tobytes()
