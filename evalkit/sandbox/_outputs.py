"""What a Jupyter kernel says about one cell, checked and brought into the form of a session's reply."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from io import BytesIO
from typing import Any, Literal

from evalkit.sandbox._channel import Reply
from evalkit.sandbox.base import Limits
from evalkit.sandbox.guest import wire

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_MIMES = ("image/png", "image/jpeg")
_FORMATS = ("PNG", "JPEG")
_BYTES_PER_PIXEL = 5
_EXTRA_BYTES = 1 << 16

_Pixels = tuple[Literal["L", "RGB", "RGBA"], int, int]


class Outputs:
    """Collects the outputs of one cell.

    Args:
        limits: text and images beyond them are counted and dropped.

    Attributes:
        messages: taken in so far.
        failed: whether the cell raised.
    """

    def __init__(self, limits: Limits) -> None:
        self.messages = 0
        self.failed = False
        self._limits = limits
        self._chars = limits.output_chars
        self._pixels = limits.image_pixels * wire.PIXELS_FACTOR
        self._texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._value = self._trace = ""
        self._images: list[bytes] = []
        self._dropped_chars = self._dropped_images = 0

    def add(self, kind: str, content: dict[str, Any]) -> None:
        """Take in one message; kinds and fields that are not known are passed over."""
        self.messages += 1
        if kind == "stream":
            self._print("stderr" if content.get("name") == "stderr" else "stdout", _text(content.get("text")))
        elif kind in ("display_data", "update_display_data", "execute_result"):
            data = content.get("data")
            data = data if isinstance(data, dict) else {}
            image = next((data[mime] for mime in _MIMES if mime in data), None)
            if image is not None:
                self._show(image)
            elif kind == "execute_result":
                self._value, dropped = _cut(_text(data.get("text/plain")), self._limits.output_chars)
                self._dropped_chars += dropped
            else:
                self._print("stdout", _text(data.get("text/plain")) + "\n")
        elif kind == "error":
            self.failed = True
            lines = content.get("traceback")
            trace = "\n".join(map(_text, lines)) if isinstance(lines, list) else ""
            self._trace = _middle(_ESCAPES.sub("", trace).rstrip() or _text(content.get("ename"))) + "\n"
        elif kind == "clear_output":
            self._texts = {"stdout": [], "stderr": []}
            self._images = []

    def page(self, payload: object) -> None:
        """Print what IPython would show in a pager, such as the help of `name?`."""
        for part in payload if isinstance(payload, list) else ():
            if isinstance(part, dict) and part.get("source") == "page" and isinstance(part.get("data"), dict):
                self._print("stdout", _ESCAPES.sub("", _text(part["data"].get("text/plain"))) + "\n")

    def reply(self, call: str) -> tuple[Reply, list[bytearray]]:
        """The reply and the parts of its payload. Decodes the images, so it may take seconds."""
        decoded = [image for data in self._images if (image := _decode(data)) is not None]
        self._dropped_images += len(self._images) - len(decoded)
        stderr = "".join(self._texts["stderr"])
        if self._trace and stderr and not stderr.endswith("\n"):
            stderr += "\n"
        texts = "".join(self._texts["stdout"]), stderr + self._trace, self._value
        parts = [bytearray(text.encode("utf-8", "backslashreplace")) for text in texts]
        reply = Reply(
            id=call,
            ok=not self.failed,
            texts=(len(parts[0]), len(parts[1]), len(parts[2])),
            images=[head for head, _ in decoded],
            dropped_chars=self._dropped_chars,
            dropped_images=self._dropped_images,
        )
        return reply, parts + [bytearray(pixels) for _, pixels in decoded]

    def _print(self, stream: str, text: str) -> None:
        text, dropped = _cut(text, self._chars)
        self._chars -= len(text)
        self._dropped_chars += dropped
        self._texts[stream].append(text)

    def _show(self, encoded: object) -> None:
        """Keep an encoded image whose header says that it is within the limits."""
        data, size = b"", 0
        most = self._limits.image_pixels
        if isinstance(encoded, str) and len(encoded) * 3 // 4 <= _most_bytes(most):
            with suppress(ValueError):
                data = base64.b64decode(encoded)
            size = _size(data)
        room = len(self._images) < self._limits.images and 0 < size <= min(most, self._pixels)
        if not room or len(data) > _most_bytes(size):
            self._dropped_images += 1
        else:
            self._pixels -= size
            self._images.append(data)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _cut(text: str, chars: int) -> tuple[str, int]:
    return text[:chars], max(0, len(text) - chars)


def _middle(trace: str) -> str:
    if len(trace) < wire.TRACEBACK_CHARS:
        return trace
    half = wire.TRACEBACK_CHARS // 2 - 50
    return f"{trace[:half]}\n[... {len(trace) - 2 * half} characters ...]\n{trace[-half:]}"


def _most_bytes(pixels: int) -> int:
    """An encoded image is hardly ever larger than its pixels and some text."""
    return pixels * _BYTES_PER_PIXEL + _EXTRA_BYTES


def _size(data: bytes) -> int:
    """Pixels by the header, nothing decoded; 0 if it is no PNG or JPEG."""
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            return image.width * image.height
    except Exception:
        # Format plugins raise whatever they stumble over.
        return 0


def _decode(data: bytes) -> tuple[_Pixels, bytes] | None:
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            mode = _mode(image)
            pixels = image.convert(mode)
        return (mode, pixels.width, pixels.height), pixels.tobytes()
    except Exception:
        # As above, and for an image that ends too early.
        return None


def _mode(image: Any) -> Literal["L", "RGB", "RGBA"]:
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        return "L"
    if not image.has_transparency_data:
        return "RGB"
    # Matplotlib writes an alpha channel that says nothing.
    alpha: Any = image.convert("RGBA").getchannel("A").getextrema()
    return "RGB" if image.mode == "RGBA" and image.format == "PNG" and alpha == (255, 255) else "RGBA"
