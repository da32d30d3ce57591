"""As many questions as are asked for, on pictures that several of them share: the load benchmark's own task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from evalkit import ImageFile, Outcome, Sample, Task
from evalkit.scoring import score_choice

CHOICES = {"A": "one", "B": "two", "C": "three", "D": "four"}
SHARE = 20
"""Questions on one picture."""


class Load(Task):
    """The pictures are the files of the folder named by the option `pictures`."""

    name: ClassVar[str] = "load"
    options: ClassVar[Mapping[str, bool | int | float | str]] = {"pictures": "pictures", "rows": 1000}

    def samples(self) -> Iterable[Sample]:
        """Four in ten are right where A is the answer."""
        pictures = sorted(Path(str(self.settings["pictures"])).iterdir())
        for row in range(int(self.settings["rows"])):
            place = row // SHARE
            question = (
                f"Question {row}: how many kites are on picture {place}, above the left door and beside the sign?"
            )
            yield Sample(
                id=f"row-{row:06d}",
                question="\n".join([question, *(f"{letter}. {text}" for letter, text in CHOICES.items())]),
                images=(ImageFile.from_path(pictures[place % len(pictures)]),),
                answer="A" if row % 10 < 4 else "B",
                choices=CHOICES,
                category=f"category {row % 7}",
                cluster=f"picture {place}",
                metadata={"cycle": str(row % 4)},
            )

    def score(self, sample: Sample, response: str) -> Outcome:
        """The option letter."""
        return score_choice(response, sample.choices, sample.answer, scorer="load/1")
