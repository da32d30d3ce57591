"""Panel probe: a procedural analogue of V*Bench in which it is known which items need the tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from evalkit import DataSource, EvalkitError, ImageFile, Metric, Outcome, Record, Sample, Task
from evalkit.scoring import score_choice

from .board import PANELS, Shape, Style, png, shapes
from .questions import LETTERS, Question, colour_question, product_question

_SAMPLE_BOARDS = 6
_LEVELS = (1, 2, 3)


class PanelProbe(Task):
    """Multiple choice on boards of shapes; which questions need a tool is known.

    The default is the held-out set that the shipped metis-nano models never saw in training: four questions on each
    of 250 boards from seed 1,000,000.

    Levels: 1, a shape's colour, legible at once or only in a crop; 2, shapes of any size, more or less faint, so that
    neither looking nor cropping is always right; 3, a shape's colour or a product modulo 7, so that a crop, a
    computation or neither is needed.
    """

    name: ClassVar[str] = "panel_probe"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "3x3 boards of shapes; which questions need a tool is known (procedural)"
    reads = ("generated", "sample")
    options: ClassVar[Mapping[str, bool | int | float | str]] = {
        "level": 1,
        "boards": 250,
        "questions": 4,
        "seed": 1_000_000,
        "panel": 256,
        "big_min": 110,
        "big_max": 180,
        "tiny_min": 4,
        "tiny_max": 5,
        "tiny_share": 0.5,
    }

    def __init__(self, source: DataSource, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """See `Task`."""
        super().__init__(source, folder, options)
        number = {name: int(value) for name, value in self.settings.items() if name != "tiny_share"}
        self.boards = _SAMPLE_BOARDS if source.kind == "sample" else number["boards"]
        self.level, self.questions, self.seed = number["level"], number["questions"], number["seed"]
        big, tiny = (number["big_min"], number["big_max"]), (number["tiny_min"], number["tiny_max"])
        self.style = Style(number["panel"], big, tiny, float(self.settings["tiny_share"]), self.level == 2)
        if self.level not in _LEVELS:
            raise EvalkitError(f"option level of task panel_probe is 1 to {_LEVELS[-1]}")
        if not 1 <= self.questions <= len(PANELS):
            raise EvalkitError(f"option questions of task panel_probe is 1 to {len(PANELS)}")
        if self.boards < 0 or self.seed < 0:
            raise EvalkitError("options boards and seed of task panel_probe are not negative")
        if not 0 <= self.style.tiny_share <= 1:
            raise EvalkitError("option tiny_share of task panel_probe is 0 to 1")
        for low, high in (big, tiny):
            if not 1 <= low <= high <= self.style.panel:
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
            image = ImageFile.generated(partial(png, seed, self.style), f"board-{seed}.png")
            board = shapes(seed, self.style)
            for k in range(self.questions):
                panel = (index + 2 * k) % len(PANELS)
                asked = self._question(seed, k, panel, board)
                yield Sample(
                    id=f"{seed}-{panel}",
                    question=asked.text,
                    images=(image,),
                    answer=asked.answer,
                    choices=dict(zip(LETTERS, asked.options, strict=True)),
                    category="needs tool" if asked.needs_tool else "legible",
                    cluster=str(seed),
                    metadata=self._known(asked, board[panel]),
                )

    def _question(self, seed: int, k: int, panel: int, board: Sequence[Shape]) -> Question:
        if self.level == 3 and k % 2:
            return product_question(seed, panel)
        return colour_question(seed, panel, board[panel])

    def _known(self, asked: Question, shape: Shape) -> dict[str, str | int | float | bool | None]:
        """What is known of a question."""
        known: dict[str, str | int | float | bool | None] = {**asked.facts, "needs_tool": asked.needs_tool}
        if self.level == 2:
            return {**known, "size": shape.size, "contrast": round(shape.contrast, 3)}
        return known

    def score(self, sample: Sample, response: str) -> Outcome:
        """The option letter, by evalkit's strict rule."""
        return score_choice(response, sample.choices, sample.answer, scorer=f"{self.name}/{self.version}")

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """Tool rate on items that need the tool and on those that do not: need is known by construction."""
        called: dict[bool, list[bool]] = {False: [], True: []}
        for record in records:
            needs = record.sample.metadata.get("needs_tool")
            if isinstance(needs, bool) and not record.outcome.verdict.is_error:
                called[needs].append(any(call.status.dispatched for call in record.trajectory.calls))
        return tuple(
            Metric.share(f"tool_rate[{label}]", called[needs])
            for label, needs in (("legible", False), ("needs tool", True))
        )
