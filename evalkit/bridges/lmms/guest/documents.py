"""From a task's documents to plain questions: the text, the images, the options, the answer."""

from __future__ import annotations

import json
import os
from typing import Any

from PIL import Image

from . import images

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tiff", ".webp")
_SCALARS = (str, int, float, bool)
_LONGEST = 200
_MARK_END = ">"


class Unfit(Exception):
    """A document that evalkit cannot ask."""


class Documents:
    """The evaluated documents of a task, by number."""

    def __init__(self, task: Any, docs: Any = None) -> None:
        self.task = task
        docs = task.eval_docs if docs is None else docs
        self.features: dict[str, Any] = {}
        if hasattr(docs, "cast_column"):
            from datasets import Image as Picture

            for name, feature in docs.features.items():
                if isinstance(feature, Picture):
                    self.features[name] = feature
                    docs = docs.cast_column(name, Picture(decode=False))
        self.docs = docs
        self._last: tuple[int, list[Image.Image]] = (-1, [])

    def __len__(self) -> int:
        return len(self.docs)

    def document(self, index: int) -> dict[str, Any]:
        """A document with its images, none of them decoded."""
        doc = dict(self.docs[index])
        for name, feature in self.features.items():
            doc[name] = images.opened(doc[name], feature)
        return doc

    def question(self, index: int) -> dict[str, Any]:
        """A document as evalkit asks it.

        Raises:
            Unfit: it is a conversation, or shows something else than images.
        """
        doc = self.document(index)
        system, text, shown = _flat(self.task.doc_to_messages(doc))
        self._last = (index, shown)
        choices = self.task.doc_to_choice(doc) if self.task.config.doc_to_choice is not None else []
        target = self.task.doc_to_target(doc)
        if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(choices):
            target = choices[target]
        category = doc.get("category")
        return {
            "system": system,
            "text": text,
            "images": [images.marked(image) for image in shown],
            "choices": [str(choice) for choice in choices],
            "target": target if isinstance(target, str) else json.dumps(target, default=str, ensure_ascii=False),
            "category": category if isinstance(category, str) and len(category) <= _LONGEST else "",
        }

    def save(self, index: int, folder: str) -> None:
        """Write a document's images into files of a folder: its number, and each one's."""
        if self._last[0] != index:
            self._last = (index, _flat(self.task.doc_to_messages(self.document(index)))[2])
        for which, image in enumerate(self._last[1]):
            file = os.path.join(folder, f"{index}-{which}")
            if os.path.isfile(file):
                continue
            data, _ = images.encoded(image)
            with open(file + ".part", "wb") as stream:
                stream.write(data)
            os.replace(file + ".part", file)


def _flat(messages: Any) -> tuple[str, str, list[Image.Image]]:
    """The system prompt, the user's text, and the images of a question.

    Images come before the text, as evalkit shows them; where the task has them within it, marks stand in their places.
    """
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Unfit("it gives no list of messages")
    roles = [message.get("role") for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise Unfit(f"a question is a conversation of {len(roles)} turns, and evalkit asks one")
    system = "".join(str(part) for part in _parts(messages[:-1]))
    parts = _parts(messages[-1:])
    shown = [part for part in parts if not isinstance(part, str)]
    within = any(isinstance(part, str) and part.strip() for part in parts[: len(shown)])
    text, number = "", 0
    for part in parts:
        if isinstance(part, str):
            text += f" {part}" if text.endswith(_MARK_END) and part[:1].isalnum() else part
        elif within:
            number += 1
            text += f"{' ' if text[-1:].isalnum() else ''}<image {number}{_MARK_END}"
    if not text.strip() and not shown:
        raise Unfit("a question is empty")
    return system, text, shown


def _parts(messages: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        content = message.get("content")
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
            kind = part.get("type")
            if kind == "text":
                found.append(str(part.get("text", "")))
            elif kind == "image":
                found.append(_image(part.get("url")))
            else:
                raise Unfit(f"it shows {kind}, and evalkit shows images alone")
    return found


def _image(value: Any) -> Image.Image:
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, str) and value.lower().endswith(_PICTURES) and os.path.isfile(os.path.expanduser(value)):
        return images.from_file(value)
    raise Unfit(f"it shows an image that is neither in the data set nor a file here ({type(value).__name__})")
