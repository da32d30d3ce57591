"""A DeepEyes log as it lies on the disk: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from evalkit.errors import DataError, one_line
from evalkit.sources.jsonl import read_jsonl

SUCCESS = "success"
_ROLES = ("system", "user", "assistant")


class Part(msgspec.Struct, frozen=True):
    """A piece of a message: "text" or "image_url" (whose image the runner leaves out)."""

    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """One message of the chat."""

    role: str
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """All its text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if part.type == "text")

    @property
    def has_image(self) -> bool:
        """Whether an image stood in it."""
        return not isinstance(self.content, str) and any(part.type == "image_url" for part in self.content)


class LogRow(msgspec.Struct, frozen=True):
    """One line, as eval_vstar.py and eval_hrbench.py write it (and judge_result.py, which adds `acc`).

    Attributes:
        question: without its options.
        answer: the right option's text (V*) or letter (HR-Bench).
        pred_output: the chat, images left out.
        status: "success", or "error" where the runner itself failed.
        pred_ans: the answer read from the last response, or that response whole.
        image: file name (V*).
        answer_choice: the right letter as shown (V*, newer runners).
        answer_str: the right option's text (HR-Bench).
        category: "single" or "cross" (HR-Bench).
        acc: the recorded verdict: 1 or 0, as a number or as text.
    """

    question: str
    answer: str
    pred_output: tuple[Message, ...]
    status: str
    pred_ans: str | None = None
    image: str | None = None
    answer_choice: str | None = None
    answer_str: str | None = None
    category: str | None = None
    acc: str | float | bool | None = None


class Logged(NamedTuple):
    """A row and where it stands."""

    file: Path
    line: int
    row: LogRow

    @property
    def where(self) -> str:
        """How a message names it."""
        return f"{one_line(self.file, 200)} line {self.line}"

    @property
    def recorded(self) -> bool | None:
        """The recorded verdict.

        Raises:
            DataError: it is neither 1 nor 0.
        """
        acc = self.row.acc
        if acc is None:
            return None
        try:
            return {1.0: True, 0.0: False}[float(acc)]
        except (ValueError, KeyError):
            raise DataError(f"{self.where}: acc is {one_line(acc, 40)!r}, neither 1 nor 0") from None


def read_logs(files: Sequence[Path]) -> list[Logged]:
    """The rows of several files, in order.

    Raises:
        DataError: a file is no DeepEyes log, or holds no rows, or a line is broken; the message names it.
    """
    return [logged for file in files for logged in _read(file)]


def _read(file: Path) -> Iterator[Logged]:
    line = 0
    for line, row in read_jsonl(file, LogRow, "a row of a DeepEyes log"):
        logged = Logged(file, line, row)
        for message in row.pred_output:
            if message.role not in _ROLES:
                raise DataError(f"{logged.where}: unknown role {one_line(message.role, 40)!r} in pred_output")
        if not any(message.role == "user" for message in row.pred_output):
            raise DataError(f"{logged.where}: pred_output holds no question to the model")
        yield logged
    if not line:
        raise DataError(f"{one_line(file, 200)} holds no rows")
