"""The contents of Inspect's messages: texts, images, and calls that the model's server ran itself."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from evalkit.errors import DataError
from evalkit.images import ImageFile

_ATTACHED = ("attachment://", "tc://")
_DATA = "data:"


class Server(NamedTuple):
    """A call that ran on the model's own server."""

    name: str
    arguments: str
    result: str
    error: str


class Content(NamedTuple):
    """What a message holds.

    Attributes:
        text: all of it, in order, a line break between parts.
        images: in order.
        calls: those of the model's server.
    """

    text: str
    images: tuple[ImageFile, ...]
    calls: tuple[Server, ...]


class ContentReader:
    """Reads the messages of a log.

    Nothing outside the log is opened: an image that is named by a path or an address is not there.

    Attributes:
        lost: what could not be taken over, and how often.
    """

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()

    def read(self, content: Any, attachments: Mapping[str, str]) -> Content:
        """The content of a message.

        Args:
            content: a text, or Inspect's parts.
            attachments: of the sample.
        """
        if isinstance(content, str):
            return Content(self.text(content, attachments), (), ())
        texts: list[str] = []
        images: list[ImageFile] = []
        calls: list[Server] = []
        for part in content:
            match part.type:
                case "text":
                    texts.append(self.text(part.text, attachments))
                case "reasoning":
                    said = (part.summary or "") if part.redacted else part.reasoning
                    texts.append(f"<think>{self.text(said, attachments)}</think>")
                case "image":
                    if (image := self._image(self.text(part.image, attachments))) is not None:
                        images.append(image)
                case "tool_use":
                    result = self.text(part.result, attachments)
                    calls.append(Server(part.name, self.text(part.arguments, attachments), result, part.error or ""))
                case kind:
                    self.lost[f"parts of kind {kind}"] += 1
        return Content("\n".join(texts), tuple(images), tuple(calls))

    def text(self, text: str, attachments: Mapping[str, str]) -> str:
        """A text, in place of the name of its attachment."""
        for mark in _ATTACHED:
            if text.startswith(mark):
                found = attachments.get(text.removeprefix(mark))
                if found is None:
                    self.lost["attachments that the log does not have"] += 1
                return text if found is None else found
        return text

    def _image(self, named: str) -> ImageFile | None:
        if not named.startswith(_DATA):
            self.lost["images that the log does not hold"] += 1
            return None
        head, _, data = named.partition(",")
        try:
            if not head.endswith(";base64"):
                raise ValueError(head)
            image = ImageFile.from_bytes(base64.b64decode(data, validate=True), "image of the log")
            _ = image.header
        except (binascii.Error, ValueError, DataError):
            self.lost["broken images"] += 1
            return None
        return image
