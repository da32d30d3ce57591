"""The work of `scale_model.py`: turns and tokens of recorded trajectories, image sizes of the benchmarks.

What is taken from a record and what is assumed stands at each function. Tokens are characters over `CHARACTERS`,
measured with the vocabulary of the Qwen models on the recorded replies: 3.2 on V*Bench and HR-Bench. Replies that run
on and on (blank lines, a phrase again and again) have other ratios; with the limit of a generation their mean comes out
14 % below the count by that vocabulary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.engines.pixels import budget_of, smart_resize

CHARACTERS = 3.2
TURN_TOKENS = 10_240
"""Limit of a generation in the recorded runs (the card deepeyes-7b)."""
HR_SIZE = (4032, 3024)
"""Assumed of HR-Bench 4K, whose images are not at hand: the recorded boxes reach to 4,020 x 3,576."""
VSTAR_SIZE = (2246, 1582)
"""The mean that V*Bench's authors give (arXiv 2312.14135)."""
BYTES_PER_PIXEL = 0.2
"""Of a photograph: the median of the six in the V*Bench folder (0.11 to 0.84)."""
CROP_S = 0.07
"""A crop of a 4K image in evalkit's sandbox, session and first opening included (docs/sandbox.md)."""
_BOX = re.compile(r'"bbox_2d":\s*\[\s*(-?[\d.]+),\s*(-?[\d.]+),\s*(-?[\d.]+),\s*(-?[\d.]+)\s*\]')
_UNKNOWN_CROP = (448, 448)


class Turn(NamedTuple):
    """One generation, and what follows it.

    Attributes:
        prompt: tokens that are new to the engine; what went before is in its prefix cache.
        out: tokens generated.
        megapixels: of the images among the prompt.
        tool_s: of the call after it, before the next generation.
    """

    prompt: float
    out: float
    megapixels: float = 0.0
    tool_s: float = 0.0


Trajectory = Sequence[Turn]


class Work(NamedTuple):
    """One benchmark: its trajectories, and an image's mean bytes."""

    name: str
    trajectories: Sequence[Trajectory]
    image_bytes: float


def image_tokens(width: float, height: float) -> int:
    """Positions of an image in Qwen2.5-VL's prompt under the recorded runs' limit of 12.8 megapixels."""
    budget = budget_of("qwen2_5_vl", None, 16384 * 28 * 28)
    assert budget is not None
    shown = smart_resize(max(1, round(width)), max(1, round(height)), budget)
    if shown is None:
        return 0
    return shown[0] // budget.factor * (shown[1] // budget.factor)


def tokens(text: str) -> float:
    """Of a text, about."""
    return len(text) / CHARACTERS


def turns(chat: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> list[Turn]:
    """The generations of a recorded chat.

    From the record: the texts, where each call came and its box. Assumed: the first image's size, that an observation's
    image is the box, `CROP_S` a call.

    Args:
        chat: messages in the OpenAI form, images without their data.
        size: of the question's image, pixels.
    """
    found: list[Turn] = []
    prompt, megapixels, box = 0.0, 0.0, None
    for message in chat:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "assistant":
            said = "".join(part["text"] for part in parts if part["type"] == "text")
            boxes = _BOX.findall(said)
            box = tuple(map(float, boxes[0])) if boxes else None
            found.append(Turn(prompt, max(1.0, min(TURN_TOKENS, tokens(said))), megapixels, 0.0))
            prompt = megapixels = 0.0
            continue
        for part in parts:
            if part["type"] == "text":
                prompt += tokens(part["text"])
                continue
            width: float
            height: float
            width, height = size
            if found:
                found[-1] = found[-1]._replace(tool_s=CROP_S)
                width, height = (abs(box[2] - box[0]), abs(box[3] - box[1])) if box else _UNKNOWN_CROP
            prompt += image_tokens(width, height)
            megapixels += width * height / 1e6
    return found


def _chats(folder: Path, pattern: str, size: tuple[int, int]) -> list[Trajectory]:
    files = sorted(folder.glob(pattern))
    if not files:
        raise SystemExit(f"{folder} has no {pattern}; name the folder of recorded runs with --data")
    lines = (line for file in files for line in file.read_text().splitlines())
    read = (turns(json.loads(line)["pred_output"], size) for line in lines)
    # four rows of the HR-Bench log failed before their first reply
    return [each for each in read if each]


def other_images(like: Sequence[Trajectory], rows: Sequence[tuple[tuple[int, int], str]]) -> list[Trajectory]:
    """Trajectories with the turns and tokens of `like`, in its order over and over, on other images and questions."""
    made: list[Trajectory] = []
    for at, ((width, height), question) in enumerate(rows):
        first, *rest = like[at % len(like)]
        system = 450.0
        prompt = system + image_tokens(width, height) + tokens(question)
        made.append((first._replace(prompt=prompt, megapixels=width * height / 1e6), *rest))
    return made


def direct(trajectories: Sequence[Trajectory], times: int) -> Iterator[Trajectory]:
    """Each once more without tools, `times` over: its last generation on its first prompt.

    The prompt is taken in once a row; the other draws find it in the replica's prefix cache.
    """
    for each in trajectories:
        first, last = each[0], each[-1]
        yield (Turn(first.prompt, last.out, first.megapixels),)
        for _ in range(times - 1):
            yield (Turn(32.0, last.out),)


def all_work(data: Path) -> list[Work]:
    """The four benchmarks, and all of them with eight direct runs a row beside the agent's.

    V*Bench stands here twice, as two checkpoints of one model were recorded. For MathVista and WeMath no agent's
    trajectories were recorded that are public: sizes and questions are theirs, turns and tokens those of HR-Bench's log
    (405 tokens a row; the reports that give a figure say 350 to 890 for comparable agents).
    """
    mathvista = json.loads((data / "mathvista" / "testmini.json").read_text())
    sizes = [(row["metadata"]["img_width"], row["metadata"]["img_height"]) for row in mathvista.values()]
    questions = [row["question"] for row in mathvista.values()]
    wemath = json.loads((data / "wemath" / "testmini.json").read_text())
    shapes, stored = _sizes(data / "wemath", [row["image_path"] for row in wemath])
    texts = [f"{row['question']}{row['option']}" for row in wemath]
    logs = data / "vstar" / "deepeyes_logs"
    short = _chats(logs, "ds4_bugfree/*/*.jsonl", VSTAR_SIZE)
    long = _chats(logs, "deepeyes_7b_rerun/*.jsonl", VSTAR_SIZE)
    hr = _chats(data / "hrbench" / "deepeyes_logs", "*.jsonl", HR_SIZE)
    maths = other_images(hr, list(zip(sizes, questions, strict=True)))
    steps = other_images(hr, list(zip(shapes, texts, strict=True)))
    work = [
        Work("V*Bench, terse", short, _bytes([VSTAR_SIZE])),
        Work("V*Bench, runs on", long, _bytes([VSTAR_SIZE])),
        Work("HR-Bench 4K", hr, _bytes([HR_SIZE])),
        Work("MathVista", maths, _bytes(sizes)),
        Work("WeMath", steps, stored / len(wemath)),
    ]
    everything = [*long, *hr, *maths, *steps]
    mean = sum(each.image_bytes * len(each.trajectories) for each in work[1:]) / len(everything)
    work.append(Work("all four, agent and 8 direct", [*everything, *direct(everything, 8)], mean))
    return work


def _bytes(sizes: Sequence[tuple[int, int]]) -> float:
    return BYTES_PER_PIXEL * sum(width * height for width, height in sizes) / len(sizes)


def _sizes(folder: Path, names: Sequence[str]) -> tuple[list[tuple[int, int]], int]:
    from evalkit.images import ImageFile

    headers = [ImageFile.from_path(folder / name).header for name in names]
    return [(header.width, header.height) for header in headers], sum(header.size for header in headers)
