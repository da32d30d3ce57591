"""MathVista testmini: 1,000 questions that need mathematics and an image (arXiv 2310.02255).

The card beside this file tells where the data is, how answers are scored and what to beware of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from evalkit.errors import DataError, one_line
from evalkit.images import ImageFile
from evalkit.records import Outcome, Record, Sample, Verdict
from evalkit.rulings import Ruling, Said
from evalkit.scoring import extract, read_number, score_choice, score_list, score_number
from evalkit.scoring.judge.question import Asked
from evalkit.scoring.judge.steps import tagged
from evalkit.sources import Row, check_rows, file_inside, load_hub, load_tsv, place, read_json
from evalkit.task import HubDataset, Metric, Task

from . import official
from .figures import group_figures
from .query import FLOAT, INTEGER, LIST, TEXT
from .rows import ROWS, SPLIT, check_complete, check_unique, from_table, sample_of

ROWS_FILE, PROMPTS_FILE = "testmini.json", "query.json"
COLUMNS = {
    **dict.fromkeys(("pid", "question", "answer", "question_type", "answer_type"), str),
    "metadata": dict,
}
TABLE_COLUMNS = {
    "index": int,
    **dict.fromkeys(("question", "answer", "question_type", "answer_type", "task", "skills"), str),
}


class MathVista(Task):
    """MathVista testmini: multiple choice, whole numbers, decimals and lists."""

    name = "mathvista"
    version = 1
    summary = "MathVista testmini: 1,000 questions on figures, geometry, word problems, textbooks and photos"
    hub = HubDataset(id="AI4Math/MathVista", split=SPLIT)
    reads = ("hub", "folder", "tsv", "sample")
    official = True
    judge_for = Asked.EXTRACTION
    aliases = (
        "mathvista_testmini",
        "mathvista_testmini_cot",
        "mathvista_testmini_solution",
        "mathvista_testmini_format",
        "mathvista_testmini_cot_reasoning",
        "MathVista_MINI",
    )

    @property
    def expected_rows(self) -> int:
        """1,000, or what the task's own sample set holds."""
        return self._own_rows if self.source.kind == "sample" else ROWS

    def samples(self) -> Iterator[Sample]:
        """The rows in the data's order; every check is made before the first is given.

        Raises:
            DataError: a row, a column or an image file is missing, double, wrong or of another split.
        """
        if self.source.kind == "hub":
            name, rows, images = self._from_hub()
        elif self.source.kind == "tsv":
            name, rows, images = self._from_table()
        else:
            name, rows, images = self._from_folder()
        own = self.source.kind == "sample"
        found = [
            self.prompted(
                sample_of(row, image, "sample" if own else SPLIT, name, place(number, row, "pid")),
                row,
                f"{name} {place(number, row, 'pid')}",
            )
            for number, (row, image) in enumerate(zip(rows, images, strict=True), 1)
        ]
        (check_unique if own else check_complete)(found, name)
        return iter(found)

    def score(self, sample: Sample, response: str) -> Outcome:
        """Evalkit's strict rule, and beside it the official one on the same extraction."""
        kind = str(sample.metadata.get("answer_type", TEXT))
        places = sample.metadata.get("precision")
        precision = places if isinstance(places, int) else None
        outcome = _strict(sample, response, kind, precision, f"{self.name}/{self.version}")
        extraction = _extraction(sample, response, kind, outcome)
        answer = official.normalise(extraction, kind, sample.choices, precision)
        gold = sample.choices.get(sample.answer, sample.answer)
        return replace(outcome, official=answer == gold, official_answer=None if answer is None else answer[:200])

    def answer_form(self, sample: Sample) -> str:
        """The kind of number or list that the question wants."""
        kind = str(sample.metadata.get("answer_type", TEXT))
        places, unit = sample.metadata.get("precision"), str(sample.metadata.get("unit", ""))
        forms = {
            INTEGER: "a whole number in digits",
            FLOAT: f"a number in digits, with {places} decimal place{'' if places == 1 else 's'} if the reply has them",
            LIST: "a list such as [1, 2, 3]",
        }
        form = forms.get(kind, "")
        return form + (f"; the question asks for {unit}, and another unit must be written behind it" if unit else "")

    def after_judge(self, sample: Sample, response: str, outcome: Outcome, ruling: Ruling) -> Outcome:
        """As for every task; the official rule too reads what a language model extracted."""
        found = super().after_judge(sample, response, outcome, ruling)
        if ruling.said is not Said.EXTRACTED:
            return found
        official_too = self.score(sample, tagged(ruling))
        return replace(found, official=official_too.official, official_answer=official_too.official_answer)

    def metrics(self, records: Sequence[Record]) -> tuple[Metric, ...]:
        """Accuracy by type, task, context, skill, grade, source, language and category, under both rules."""
        return group_figures(records)

    @cached_property
    def _own_rows(self) -> int:
        return len(self._read(self._folder)[0])

    @property
    def _folder(self) -> Path:
        if self.source.kind == "sample":
            return self.folder / "sample"
        if self.source.kind != "folder" or self.source.path is None:
            raise DataError(f"mathvista: no rows from source {self.source.kind!r}; give --data DIR or --data sample")
        return self.source.path

    def _from_folder(self) -> tuple[str, list[Row], list[ImageFile]]:
        folder = self._folder
        rows, source = self._read(folder)
        missing = [number for number, row in enumerate(rows) if not _is_file(folder, row["image"])]
        if missing:
            first = rows[missing[0]]
            raise DataError(
                f"{source}: {len(missing)} of {len(rows)} images are not in {folder}, the first is "
                f"{one_line(first['image'], 80)} {place(missing[0] + 1, first, 'pid')}; unpack images.zip there"
            )
        images = [
            ImageFile.from_path(file_inside(self.name, folder, row["image"], place(number, row, "pid")))
            for number, row in enumerate(rows, 1)
        ]
        return source, rows, images

    def _read(self, folder: Path) -> tuple[list[Row], str]:
        """The rows of the folder's file, with the prompts beside it where these are there."""
        source = f"{self.name}: {ROWS_FILE}"
        content = read_json(self.name, folder / ROWS_FILE)
        if isinstance(content, dict):
            for pid, row in content.items():
                if isinstance(row, dict) and row.get("pid") != pid:
                    raise DataError(f"{source}: row {one_line(pid, 40)!r} has pid {one_line(row.get('pid'), 40)!r}")
            content = list(content.values())
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise DataError(f"{source} holds neither pids with their rows nor a list of rows")
        rows: list[Row] = content
        check_rows(self.name, ROWS_FILE, rows, {**COLUMNS, "image": str}, "pid")
        if not (folder / PROMPTS_FILE).exists():
            return rows, source
        prompts = read_json(self.name, folder / PROMPTS_FILE)
        if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
            raise DataError(f"{self.name}: {PROMPTS_FILE} does not hold pids with their prompts")
        for number, row in enumerate(rows, 1):
            if not prompts.get(row["pid"]):
                raise DataError(f"{self.name}: {PROMPTS_FILE} has no prompt for {place(number, row, 'pid')}")
        return [row | {"query": prompts[row["pid"]]} for row in rows], source

    def _from_hub(self) -> tuple[str, list[Row], list[ImageFile]]:
        table = load_hub(self.name, self.source.hub or self.hub, COLUMNS, ["decoded_image"], "pid")
        self.revision = table.revision
        images = [table.image("decoded_image", index, f"pid {row['pid']}") for index, row in enumerate(table.rows)]
        return f"{self.name}: {table.name}", table.rows, images

    def _from_table(self) -> tuple[str, list[Row], list[ImageFile]]:
        assert self.source.path is not None
        table = load_tsv(self.name, self.source.path, TABLE_COLUMNS, "index")
        source = f"{self.name}: {table.name}"
        first = min(row["index"] for row in table.rows)
        if first not in (0, 1):
            raise DataError(f"{source}: the lowest index is {first}; a complete table starts with 0 or 1")
        rows = [from_table(row, first, source, place(number, row, "index")) for number, row in enumerate(table.rows, 1)]
        return source, rows, [table.image("image", index, f"pid {row['pid']}") for index, row in enumerate(rows)]


def _is_file(folder: Path, relative: str) -> bool:
    try:
        return (folder / relative).is_file()
    except (OSError, ValueError):
        return False


def _strict(sample: Sample, response: str, kind: str, precision: int | None, scorer: str) -> Outcome:
    if kind in (INTEGER, FLOAT):
        unit = str(sample.metadata.get("unit", ""))
        return score_number(response, sample.answer, scorer, precision=precision, unit=unit)
    if kind == LIST:
        return score_list(response, sample.answer, scorer)
    outcome = score_choice(response, sample.choices, sample.answer, scorer)
    texts: dict[str, str] = {}
    for letter, text in sample.choices.items():
        texts.setdefault(text, letter)
    if len(texts) == len(sample.choices):
        return outcome
    # of choices with one text each letter is as right as the other, and the text names no one of them
    if outcome.verdict is Verdict.UNPARSED:
        outcome = score_choice(response, {letter: text for text, letter in texts.items()}, sample.answer, scorer)
    if outcome.verdict is Verdict.INCORRECT and sample.choices[outcome.answer or ""] == sample.choices[sample.answer]:
        return replace(outcome, verdict=Verdict.CORRECT)
    return outcome


def _extraction(sample: Sample, response: str, kind: str, outcome: Outcome) -> str:
    """What the official rule gets to see: evalkit's extraction where the authors' scripts ask a language model.

    Like that model's it is the answer alone: a letter, a number without its unit, a list.
    """
    quick = official.quick_extraction(response, kind, sample.choices)
    if quick is not None:
        return quick
    read = outcome.verdict in (Verdict.CORRECT, Verdict.INCORRECT)
    answer = (outcome.answer if read else extract(response).answer) or ""
    if kind in (INTEGER, FLOAT):
        value = read_number(answer, str(sample.metadata.get("unit", "")))
        return answer if value is None else _plain(value)
    return answer


def _plain(value: Fraction) -> str:
    """A number as `float` reads it."""
    try:
        return str(value.numerator) if value.denominator == 1 else str(float(value))
    except (ValueError, OverflowError):
        return ""
