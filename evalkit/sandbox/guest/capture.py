"""Printed text, kept up to a cap and counted beyond it."""

from __future__ import annotations

import io
from typing import Any


class Budget:
    """Characters that may still be kept, shared by the streams of one cell."""

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self.left = chars
        self.dropped = 0

    def refill(self) -> None:
        """Begin a new cell."""
        self.left = self._chars
        self.dropped = 0


class Capture(io.TextIOBase):
    """A text stream that remembers what was written since the last `take`."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, budget: Budget, name: str) -> None:
        self._budget = budget
        self._kept: list[str] = []
        self.name = name
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep what fits in the budget."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        size = len(text)
        budget = self._budget
        if size > budget.left:
            budget.dropped += size - budget.left
            text = text[: budget.left]
        if text:
            budget.left -= len(text)
            self._kept.append(text)
        return size

    def close(self) -> None:
        """Stay open: the next cell prints here too."""

    def take(self) -> str:
        """What was kept, which is then forgotten."""
        text = "".join(self._kept)
        self._kept = []
        return text


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: bytes are shown as text."""

    def __init__(self, text: Capture) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "replace"))
        return len(raw)

    def close(self) -> None:
        """Stay open, like the text stream."""
