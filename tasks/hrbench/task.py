"""HR-Bench 4K and 8K: 200 questions on high-resolution images, each in four option orders (arXiv 2408.15556).

The card beside this file tells where the data is, how answers are scored and what to beware of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.records import Outcome, Record, Sample
from evalkit.scoring import score_choice
from evalkit.scoring.judge.question import Asked
from evalkit.sources import HubTable, Row, TsvTable, load_hub, load_parquet, load_tsv, place
from evalkit.task import HubDataset, Metric, Task

from .cycles import CATEGORIES, LETTERS, TURNS, Item, questions
from .figures import hrbench_metrics
from .matcher import official_answer
from .quiz import DrawnTable
from .scene import FRAMES

QUESTIONS = 100
"""Of each category."""
BETWEEN = 4800
"""Pixels: the longest side of a 4K image is at most about 4,096, that of an 8K image at least 5,760."""

_TEXT = dict.fromkeys(("question", *LETTERS, "answer", "category"), str)
TSV_COLUMNS = {"index": str, **_TEXT, "cycle_category": str}
HUB_COLUMNS = {"index": object, **_TEXT, "cycle_category": object}

_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0{1,9})?")


class _HRBench(Task):
    """What both resolutions have in common."""

    version = 1
    reads = ("hub", "folder", "tsv", "sample")
    group = "hrbench"
    official = True
    judge_for = Asked.EXTRACTION
    resolution: ClassVar[str]
    stem: ClassVar[str]

    @property
    def expected_rows(self) -> int:
        """800, or what the task's own sample set holds."""
        return TURNS * sum(self._expected.values())

    def samples(self) -> Iterator[Sample]:
        """The rows in the table's order; every check is made before the first is given.

        Raises:
            DataError: a row or a column is missing, double or wrong, rows do not make up complete questions,
                or the images are those of the other resolution.
        """
        table = self._table()
        self.revision = table.revision
        source = f"{self.name}: {table.name}"
        items = [
            _item(row, number, table.image("image", number - 1, _id(row["index"])), source)
            for number, row in enumerate(table.rows, 1)
        ]
        _check_ids(items, source)
        groups = questions(items, source)
        if self.source.kind != "sample":
            _check_count(groups, source)
            self._check_resolution([groups[at][0] for at in (0, len(groups) // 2, -1)], source)
        cluster = {item.id: f"q{group[0].id}" for group in groups for item in group}
        return iter(
            [
                self.prompted(_sample(item, cluster[item.id]), row, f"{source} {place(item.number, row, 'index')}")
                for item, row in zip(items, table.rows, strict=True)
            ]
        )

    def score(self, sample: Sample, response: str) -> Outcome:
        """Evalkit's strict rule, and beside it the authors' letter matcher without a judge."""
        outcome = score_choice(response, sample.choices, sample.answer, f"{self.name}/{self.version}")
        answer = official_answer(response, sample.choices)
        return replace(outcome, official=answer == sample.answer, official_answer=answer)

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """The official aggregation under evalkit's strict rule, then under the official rule ("official.")."""
        return hrbench_metrics(records, self._expected)

    @property
    def _expected(self) -> dict[str, int]:
        """Questions by category."""
        if self.source.kind != "sample":
            return dict.fromkeys(CATEGORIES, QUESTIONS)
        rows = DrawnTable(FRAMES[self.resolution]).rows
        return {name: sum(row["category"] == name for row in rows) // TURNS for name in CATEGORIES}

    def _table(self) -> HubTable | TsvTable | DrawnTable:
        kind, path = self.source.kind, self.source.path
        if kind == "sample":
            return DrawnTable(FRAMES[self.resolution])
        if kind == "hub":
            return load_hub(self.name, self.source.hub or self._hub, HUB_COLUMNS, ["image"], "index")
        if kind not in ("folder", "tsv") or path is None:
            raise DataError(f"{self.name}: no rows from source {kind!r}; give --data DIR or --data sample")
        file = path if kind == "tsv" else self._file(path)
        if file.suffix.lower() == ".parquet":
            return load_parquet(self.name, file, HUB_COLUMNS, ["image"], "index")
        return load_tsv(self.name, file, TSV_COLUMNS, "index")

    @property
    def _hub(self) -> HubDataset:
        assert self.hub is not None
        return self.hub

    def _file(self, folder: Path) -> Path:
        names = [f"{self.stem}.tsv", f"{self.stem}.parquet"]
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise DataError(f"{self.name}: no {' or '.join(names)} in {folder}; --data takes the folder with it")

    def _check_resolution(self, some: Sequence[Item], source: str) -> None:
        """Refuse a table whose first, middle and last question all have images of the other resolution."""
        sides = []
        for item in some:
            try:
                header = item.image.header
            except DataError as error:
                raise DataError(f"{source}: {error} (row {item.number}, index {item.id})") from None
            sides.append(max(header.width, header.height))
            if (sides[-1] > BETWEEN) == (self.resolution == "8K"):
                return
        side = "more" if self.resolution == "4K" else "at most"
        found = ", ".join(f"{length:,}" for length in sides)
        rows = ", ".join(str(item.number) for item in some)
        raise DataError(
            f"{source} holds no {self.resolution} images: those of rows {rows} are {found} pixels long, "
            f"{side} {'than ' if side == 'more' else ''}{BETWEEN:,}; is it the table of the other resolution?"
        )


class HRBench4K(_HRBench):
    """HR-Bench 4K: the questions on crops of about 4,000 pixels."""

    name = "hrbench_4k"
    summary = "HR-Bench 4K: 200 questions in four option orders, 800 rows, with FSP, FCP and all-four"
    hub = HubDataset(id="DreamMr/HR-Bench", config="hrbench_version_split", split="hrbench_4k")
    aliases = ("hrbench4k", "HRBench4K", "hr_bench_4k", "hrbench-4k")
    resolution = "4K"
    stem = "hr_bench_4k"


class HRBench8K(_HRBench):
    """HR-Bench 8K: the questions on whole images of about 8,000 pixels."""

    name = "hrbench_8k"
    summary = "HR-Bench 8K: 200 questions in four option orders, 800 rows, with FSP, FCP and all-four"
    hub = HubDataset(id="DreamMr/HR-Bench", config="hrbench_version_split", split="hrbench_8k")
    aliases = ("hrbench8k", "HRBench8K", "hr_bench_8k", "hrbench-8k")
    resolution = "8K"
    stem = "hr_bench_8k"


def _item(row: Row, number: int, image: ImageFile, source: str) -> Item:
    where = place(number, row, "index")
    texts = {column: row[column].strip() for column in _TEXT}
    texts["index"], texts["cycle_category"] = _id(row["index"]), _id(row["cycle_category"])
    for column, text in texts.items():
        if text in ("", "nan", "NaN", "None") and column not in LETTERS:
            raise DataError(f"{source}: column {column!r} is empty {where}")
        if not text:
            raise DataError(f"{source}: option {column} is empty {where}")
    for column, known in (("answer", tuple(LETTERS)), ("category", CATEGORIES)):
        if texts[column] not in known:
            found = one_line(texts[column], 40)
            raise DataError(f"{source}: {column} {found!r} is none of {', '.join(known)} {where}")
    return Item(
        id=texts["index"],
        number=number,
        question=texts["question"],
        choices={letter: texts[letter] for letter in LETTERS},
        answer=texts["answer"],
        category=texts["category"],
        cycle=texts["cycle_category"],
        image=image,
    )


def _id(value: object) -> str:
    """An index or a cycle's label as text: 7, "7" and "7.0" are one, so that ids are the same for all sources."""
    text = str(value).strip()
    number = _NUMBER.fullmatch(text)
    return str(int(number[1])) if number else text


def _sample(item: Item, cluster: str) -> Sample:
    return Sample(
        id=item.id,
        question="\n".join([item.question, *(f"{letter}. {text}" for letter, text in item.choices.items())]),
        images=(item.image,),
        answer=item.answer,
        choices=item.choices,
        category=item.category,
        cluster=cluster,
        metadata={"cycle": item.cycle},
    )


def _check_ids(items: Sequence[Item], source: str) -> None:
    first: dict[str, int] = {}
    for item in items:
        if (other := first.setdefault(item.id, item.number)) != item.number:
            raise DataError(f"{source}: index {item.id} is double (rows {other} and {item.number})")


def _check_count(groups: Sequence[Sequence[Item]], source: str) -> None:
    counts = {name: sum(group[0].category == name for group in groups) for name in CATEGORIES}
    if all(count == QUESTIONS for count in counts.values()):
        return
    found = " and ".join(f"{count} {name}" for name, count in counts.items())
    rows, total = sum(map(len, groups)), TURNS * QUESTIONS * len(CATEGORIES)
    ids = {item.id for group in groups for item in group}
    absent = [at for at in range(total) if str(at) not in ids]
    hint = f"; the first index missing is {absent[0]}" if absent and len(absent) == total - rows else ""
    raise DataError(f"{source}: {found} questions in {rows} rows, not {QUESTIONS} of each in {total}{hint}")
