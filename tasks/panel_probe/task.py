"""Panel probe: a procedural analogue of V*Bench in which it is known which items need the tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from evalkit import DataSource, EvalkitError, ImageFile, Metric, Outcome, Record, Sample, Task
from evalkit.scoring import score_choice

from .board import LETTERS, PANELS, Sizes, png, question, shapes

_SAMPLE_BOARDS = 6


class PanelProbe(Task):
    """Multiple choice on one shape's colour; half the shapes are legible only in a crop.

    The default is the held-out set that the shipped metis-nano models never saw in training:
    four questions on each of 250 boards from seed 1,000,000.
    """

    name: ClassVar[str] = "panel_probe"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "3x3 boards of shapes; half of the questions need a crop (procedural)"
    reads = ("generated", "sample")
    options: ClassVar[Mapping[str, bool | int | float | str]] = {
        "boards": 250,
        "questions": 4,
        "seed": 1_000_000,
        "panel": 256,
        "big_min": 110,
        "big_max": 180,
        "tiny_min": 4,
        "tiny_max": 5,
    }

    def __init__(self, source: DataSource, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """See `Task`."""
        super().__init__(source, folder, options)
        number = {name: int(value) for name, value in self.settings.items()}
        self.boards = _SAMPLE_BOARDS if source.kind == "sample" else number["boards"]
        self.questions, self.seed = number["questions"], number["seed"]
        self.sizes = Sizes(
            number["panel"], (number["big_min"], number["big_max"]), (number["tiny_min"], number["tiny_max"])
        )
        if not 1 <= self.questions <= len(PANELS):
            raise EvalkitError(f"option questions of task panel_probe is 1 to {len(PANELS)}")
        if self.boards < 0 or self.seed < 0:
            raise EvalkitError("options boards and seed of task panel_probe are not negative")
        for low, high in (self.sizes.big, self.sizes.tiny):
            if not 1 <= low <= high <= self.sizes.panel:
                raise EvalkitError("sizes of task panel_probe: 1 <= min <= max <= panel pixels")

    @classmethod
    def default_source(cls) -> str:
        """Boards are generated."""
        return "generated"

    @property
    def expected_rows(self) -> int:
        """Boards times questions."""
        return self.boards * self.questions

    def samples(self) -> Iterable[Sample]:
        """The questions, board by board; a board's image is drawn when first needed."""
        for index in range(self.boards):
            seed = self.seed + index
            image = ImageFile.generated(partial(png, seed, self.sizes), f"board-{seed}.png")
            board = shapes(seed, self.sizes)
            for k in range(self.questions):
                panel = (index + 2 * k) % len(PANELS)
                shape = board[panel]
                asked = question(seed, panel, shape.colour)
                yield Sample(
                    id=f"{seed}-{panel}",
                    question=asked.text,
                    images=(image,),
                    answer=asked.answer,
                    choices=dict(zip(LETTERS, asked.options, strict=True)),
                    category="needs tool" if shape.tiny else "legible",
                    cluster=str(seed),
                    metadata={"panel": PANELS[panel], "colour": shape.colour, "needs_tool": shape.tiny},
                )

    def score(self, sample: Sample, response: str) -> Outcome:
        """The option letter, by evalkit's strict rule."""
        return score_choice(response, sample.choices, sample.answer, scorer=f"{self.name}/{self.version}")

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """Tool rate on items that need the tool and on those that do not: need is known by construction."""
        found = []
        for label, needs in (("legible", False), ("needs tool", True)):
            rows = [r for r in records if r.sample.metadata.get("needs_tool") is needs]
            rows = [r for r in rows if not r.outcome.verdict.is_error]
            called = sum(any(call.status.dispatched for call in r.trajectory.calls) for r in rows)
            found.append(
                Metric(
                    name=f"tool_rate[{label}]",
                    value=called / len(rows) if rows else None,
                    n=len(rows),
                    count=called,
                    note="" if rows else "no such rows",
                )
            )
        return tuple(found)
