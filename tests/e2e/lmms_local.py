"""Small data sets in the schemas of lmms-eval's own tasks, tasks that read them, and responses to score.

Each task is lmms-eval's by `include`, and its `dataset_path` a folder of parquet made here: prompts, scorers and
aggregations are the package's.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

ROWS = 24
_LETTERS = "ABCD"
_WORDS = ("red", "blue", "a small dog", "17", "3.5", "north", "Paris", "42%")


def picture(seed: int, form: str = "JPEG", mode: str = "RGB") -> dict[str, Any]:
    """A cell of an image column."""
    draw = random.Random(seed)
    image = Image.new("RGB", (40 + draw.randrange(40), 30 + draw.randrange(30)), (seed * 37 % 256, 90, seed * 11 % 256))
    image.putpixel((3, 3), (255, 255, seed % 256))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, format=form)
    return {"bytes": buffer.getvalue(), "path": f"{seed}.{form.lower()}"}


def _mmstar(i: int) -> dict[str, Any]:
    kinds = [("coarse perception", "image scene and topic"), ("math", "geometry"),
             ("coarse perception", "image emotion"), ("logical reasoning", "diagram reasoning")]  # fmt: skip
    category, fine = kinds[i % 4]
    question = f"What is shown in picture {i}?\nOptions: A: red, B: blue, C: green, D: none"
    return {"index": i, "question": question, "image": picture(i), "answer": _LETTERS[i * 7 % 4],
            "category": category, "l2_category": fine, "meta_info": {"source": "made"}}  # fmt: skip


def _chartqa(i: int) -> dict[str, Any]:
    kind = "human_test" if i % 3 else "augmented_test"
    return {"type": kind, "question": f"What is bar {i}?", "answer": _WORDS[i % 8], "image": picture(i // 2, "PNG")}


def _pope(i: int) -> dict[str, Any]:
    return {"id": str(i), "question_id": str(i), "question": f"Is there a dog number {i} in the image?",
            "answer": ("yes", "no")[i * 5 % 3 % 2], "image_source": f"made_{i // 6}", "image": picture(i // 6),
            "category": ("adversarial", "popular", "random")[i % 3]}  # fmt: skip


def _mme(i: int) -> dict[str, Any]:
    category = ("existence", "count", "code_reasoning")[i // 2 % 3]
    question = f"Is this picture number {i}? Please answer yes or no."
    return {"question_id": f"{category}/{i // 2:06d}.png", "image": picture(i // 2), "question": question,
            "answer": ("Yes", "No")[i % 2], "category": category}  # fmt: skip


def _ocrbench(i: int) -> dict[str, Any]:
    kinds = ("Regular Text Recognition", "Scene Text-centric VQA", "Key Information Extraction")
    return {"dataset": "IIIT5K", "question": "what is written in the image?", "question_type": kinds[i % 3],
            "answer": [_WORDS[i % 8], f"sign {i}"], "image": picture(i, "PNG", "L")}  # fmt: skip


def _docvqa(i: int) -> dict[str, Any]:
    return {"questionId": str(i), "question": f"What is written in line {i}?", "question_types": ["form"],
            "image": picture(i // 3), "docId": i // 3, "ucsf_document_id": f"d{i}", "ucsf_document_page_no": "1",
            "answers": [_WORDS[i % 8], f"line {i}"], "data_split": "val"}  # fmt: skip


def _mmmu(i: int) -> dict[str, Any]:
    subject = ("Art", "Biology", "Math")[i % 3]
    choice = i % 4 != 3
    images = {f"image_{n}": picture(i * 10 + n) if n == 1 or (n == 2 and i % 2) else None for n in range(1, 8)}
    second = " and <image 2>" if i % 2 else ""
    return {"id": f"validation_{subject}_{i}", "question": f"Look at <image 1>{second}: what is it?",
            "options": str(["red", "blue", "green", "none"]) if choice else "[]", "explanation": "", **images,
            "img_type": "['Photographs']", "answer": _LETTERS[i % 4] if choice else _WORDS[i % 8],
            "topic_difficulty": "Easy", "question_type": "multiple-choice" if choice else "open",
            "subfield": "made"}  # fmt: skip


def _vstar(i: int) -> dict[str, Any]:
    category = ("direct_attributes", "relative_position")[i % 2]
    text = f"What is the colour of object {i}? (A) red (B) blue (C) green (D) black"
    return {"image": picture(i, "PNG", "RGBA"), "text": text, "category": category, "label": _LETTERS[i % 4],
            "question_id": str(i)}  # fmt: skip


TASKS: dict[str, tuple[str, str, Callable[[int], dict[str, Any]], str]] = {
    "mmstar": ("mmstar/mmstar.yaml", "val", _mmstar, "answer"),
    "chartqa": ("chartqa/chartqa.yaml", "test", _chartqa, "answer"),
    "pope": ("pope/pope.yaml", "test", _pope, "answer"),
    "mme": ("mme/mme.yaml", "test", _mme, "answer"),
    "ocrbench": ("ocrbench/ocrbench.yaml", "test", _ocrbench, "answer"),
    "docvqa_val": ("docvqa/docvqa_val.yaml", "validation", _docvqa, "answers"),
    "mmmu_val": ("mmmu/mmmu_val.yaml", "validation", _mmmu, "answer"),
    "vstar_bench": ("vstar_bench/vstar_bench.yaml", "test", _vstar, "label"),
}
"""Name: the task's file in lmms-eval, its split, what makes a row, and the column of the answer."""
_PICTURES = ("image", *(f"image_{n}" for n in range(1, 8)))


def make(folder: Path, package: Path, rows: int = ROWS) -> None:
    """Write the data sets to `folder/data` and the tasks to `folder/tasks`, as `local_<name>`.

    Args:
        folder: where to.
        package: of the installed lmms-eval.
        rows: of each data set.
    """
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    for name, (file, split, row, _) in TASKS.items():
        data = folder / "data" / name
        data.mkdir(parents=True, exist_ok=True)
        parquet = data / f"{split}-00000-of-00001.parquet"
        write(parquet, [row(i) for i in range(rows)])
        settings = {
            "include": str(package / "tasks" / file),
            "task": f"local_{name}",
            "dataset_path": "parquet",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {split: str(parquet)}},
            "tag": [],
        }
        (folder / "tasks" / f"local_{name}.yaml").write_text(json.dumps(settings), "utf-8")


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """A parquet file with image columns."""
    import datasets

    made = datasets.Dataset.from_list(rows)
    for column in made.column_names:
        if column in _PICTURES:
            made = made.cast_column(column, datasets.Image(decode=False))
    for column in made.column_names:
        if column in _PICTURES:
            made = made.cast_column(column, datasets.Image())
    made.to_parquet(str(file))


def responses(name: str, rows: int = ROWS) -> Iterator[str]:
    """Right, wrong, wordy and empty ones, the same at every call."""
    _, _, row, column = TASKS[name]
    draw = random.Random(name)
    for i in range(rows):
        right = row(i)[column]
        right = right[0] if isinstance(right, list) else right
        wrong = draw.choice([*_LETTERS, "yes", "no", *_WORDS])
        if name == "mmmu_val":
            # its scorer guesses at random where it finds no letter, each time anew
            yield draw.choice([right, f"({right})", f"{right}\n", draw.choice(_LETTERS)])
            continue
        forms = [right, right, wrong, f"The answer is {right}.", f"({right})", f"I think it is {wrong}", "",
                 f"{right}\n", f"<think>maybe {wrong}</think>{right}", f"Answer: {right}"]  # fmt: skip
        yield draw.choice(forms)


def write_responses(file: Path, rows: int = ROWS) -> None:
    """The responses to all tasks, for `lmms_replayer`: task to a list of texts."""
    found = {f"local_{name}": list(responses(name, rows)) for name in TASKS}
    file.write_text(json.dumps(found), "utf-8")
