"""An Inspect task with pictures and a tool, for real runs: `inspect eval tests/e2e/inspect_task.py`."""

from __future__ import annotations

import base64
import io
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import includes, match
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import Tool, tool
from PIL import Image

ROWS = 40


def picture(colour: str, side: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@tool
def crop() -> Tool:
    async def execute(left: int) -> Any:
        """Crop the picture.

        Args:
            left: in pixels
        """
        return [ContentText(text=f"from {left} on"), ContentImage(image=picture("blue", 16))]

    return execute


@task
def colours() -> Task:
    rows = [
        Sample(
            id=row,
            input=[
                ChatMessageUser(
                    content=[ContentImage(image=picture("red", 48)), ContentText(text=f"What colour is shape {row}?")]
                )
            ],
            target="red",
        )
        for row in range(ROWS)
    ]
    return Task(
        dataset=MemoryDataset(rows, name="colours"),
        solver=[system_message("You see."), use_tools(crop()), generate()],
        scorer=[includes(), match()],
    )
