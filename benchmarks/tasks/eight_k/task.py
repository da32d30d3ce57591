"""Questions on one 8K image, or on several in turn: the benchmark's own task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from evalkit import ImageFile, Outcome, Sample, Task
from evalkit.scoring import score_choice


class EightK(Task):
    """The image is the file named by the option `image`; of a folder, its files in turn."""

    name: ClassVar[str] = "eight_k"
    options: ClassVar[Mapping[str, bool | int | float | str]] = {"image": "8k.jpg", "rows": 16}

    def samples(self) -> Iterable[Sample]:
        """All questions are the same."""
        named = Path(str(self.settings["image"]))
        images = [ImageFile.from_path(file) for file in (sorted(named.iterdir()) if named.is_dir() else [named])]
        choices = {"A": "one", "B": "two", "C": "three", "D": "four"}
        question = "What is the text on the sign?\n" + "\n".join(f"{k}. {v}" for k, v in choices.items())
        for index in range(int(self.settings["rows"])):
            image = images[index % len(images)]
            yield Sample(id=str(index), question=question, images=(image,), answer="A", choices=choices)

    def score(self, sample: Sample, response: str) -> Outcome:
        """The option letter."""
        return score_choice(response, sample.choices, sample.answer, scorer="eight_k/1")
