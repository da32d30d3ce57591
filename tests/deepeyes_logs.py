"""Invented logs in the form that DeepEyes' own runner writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ASK = "\nThink first, call **image_zoom_in_tool** if needed, then answer."
BOX = '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20, 110, 220], "label": "kite"}}'
CALL = f"<think>I look closer.</think>\n<tool_call>\n{BOX}\n</tool_call>"
CUT_CALL = CALL.removesuffix("</tool_call>")
CROP = "crop"
"""Stands for the user turn that shows a crop."""


def chat(question: str, options: Sequence[str], *turns: str) -> list[dict[str, Any]]:
    """Responses as they are, `CROP` for a crop, and "user: …" for words in its place."""
    letters = "".join(f"{chr(ord('A') + place)}. {option}\n" for place, option in enumerate(options))
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You may zoom in."},
        user(f"Question: {question}\nOptions: \n{letters}\n{ASK}"),
    ]
    for turn in turns:
        if turn == CROP:
            messages.append(user(ASK))
        elif turn.startswith("user: "):
            messages.append({"role": "user", "content": turn.removeprefix("user: ")})
        else:
            messages.append({"role": "assistant", "content": turn})
    return messages


def user(text: str) -> dict[str, Any]:
    """A user turn with an image, which the runner leaves out of its log."""
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,"}}
    return {"role": "user", "content": [image, {"type": "text", "text": text}]}


def vstar_row(name: str, *turns: str, **columns: Any) -> dict[str, Any]:
    """A row on a kite that is red, which is option A of two."""
    question, options = f"What is the colour of kite {name}?", ["The kite is red.", "The kite is blue."]
    return {
        "image": f"{name}.jpg",
        "question": question,
        "answer": options[0],
        "pred_ans": turns[-1] if turns else "",
        "pred_output": chat(question, options, *turns),
        "status": "success",
        **columns,
    }


def hrbench_row(index: int, *turns: str, **columns: Any) -> dict[str, Any]:
    """A row of a question that is asked four times, the right number at each letter in turn."""
    letter = "ABCD"[index % 4]
    options = ["31", "32", "33"]
    options.insert(index % 4, "30")
    question = f"Which number is on boat {index // 4}?"
    return {
        "question": question,
        "answer": letter,
        "answer_str": "30",
        "pred_ans": turns[-1] if turns else "",
        "pred_output": chat(question, options, *turns),
        "category": "single" if index // 4 % 2 == 0 else "cross",
        "status": "success",
        **columns,
    }


def write_log(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """One row a line."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
