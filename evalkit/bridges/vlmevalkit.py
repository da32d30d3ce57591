"""VLMEvalKit's result files: `outputs/MODEL/[T…/]MODEL_BENCHMARK[_JUDGE_result].xlsx`, or .tsv, .csv, .json.

A row is a row of the benchmark's table without its image, with the column `prediction`, and in the files of a
judged benchmark `hit`. What the model did before its last text is not in them, nor are times and tokens.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalkit.bridges.imported import Imported
from evalkit.bridges.predictions import last_response
from evalkit.bridges.rows import LONGEST_SHEET_CELL, Row, cell, id_of, mark_of, read_rows, text_of
from evalkit.errors import EvalkitError, one_line
from evalkit.recorded import recorded_outcome
from evalkit.records import RECORD_VERSION, Record, Sample

FORMAT = "vlmevalkit"
HIT = "hit"
_ID, _PREDICTION = "index", "prediction"
_FAILED = re.compile(r"\s*Failed to obtain answer\b")
_JUDGED = re.compile(r"_(?:exact_matching|[^_]+)_result$")


def read_results(
    file: Path, model: str = "", benchmark: str = "", correct: str | None = None, *, scored: bool = False
) -> Imported:
    """A result file as a recording.

    Args:
        file: `.xlsx`, `.tsv`, `.csv` or `.json`.
        model: its name; "" takes it from the folder, which VLMEvalKit names after the model.
        benchmark: its name; "" takes it from the file's name.
        correct: the column of verdicts; None takes `hit`.
        scored: a task of evalkit's will score the responses: the file needs no verdicts.

    Raises:
        EvalkitError: the model cannot be told from the names, or the file is of another kind.
    """
    model, benchmark = _names(file, model, benchmark)
    recording = Imported(format=FORMAT, task=benchmark, model=model, records=(), notes=[])
    recording.score = correct or HIT
    recording.scorer = f"{FORMAT}/{recording.score}"
    recording.records = _records(file, recording, correct, scored)
    return recording


def _names(file: Path, model: str, benchmark: str) -> tuple[str, str]:
    stem = file.stem
    folders = [parent.name for parent in (file.absolute().parent, file.absolute().parent.parent)]
    model = model or next((name for name in folders if name and stem.startswith(f"{name}_")), "")
    if not model:
        raise EvalkitError(
            f"{one_line(file.name, 120)}: which part of the name is the model? Name it with --model (and the "
            "benchmark with --benchmark)"
        )
    return model, benchmark or _JUDGED.sub("", stem.removeprefix(f"{model}_"))


def _records(file: Path, recording: Imported, correct: str | None, scored: bool) -> Iterator[Record]:
    cut = 0
    for row in read_rows(file):
        id = id_of(row, _ID, "the column index; `evalkit import table` reads tables of other programs: --id")
        cell(
            row, _PREDICTION, "the column prediction; `evalkit import table` reads tables of other programs: --response"
        )
        text = text_of(row, _PREDICTION)
        cut += file.suffix.lower() == ".xlsx" and len(text) >= LONGEST_SHEET_CELL
        failed = bool(_FAILED.match(text))
        trajectory = last_response(None if failed else text, f"VLMEvalKit: {one_line(text, 120)}")
        scores = {}
        if correct is not None or HIT in row.cells:
            column = correct or HIT
            scores = {column: mark_of(row, column, "--correct")}
        elif not scored:
            raise EvalkitError(
                f"{row.where} has no column {HIT!r}: these are predictions without verdicts. Import the file of "
                "verdicts beside it (…_result), name another column with --correct, or a task of evalkit's with --task"
            )
        outcome = recorded_outcome(trajectory, scores, recording.score, recording.scorer)
        yield Record(version=RECORD_VERSION, sample=_sample(id, row), trajectory=trajectory, outcome=outcome)
    if cut:
        recording.notes.append(
            f"{cut} responses are {LONGEST_SHEET_CELL} characters long, the most that a cell of a spreadsheet holds: "
            "their ends are lost (PRED_FORMAT=tsv keeps them)"
        )


def _sample(id: str, row: Row) -> Sample:
    return Sample(
        id=id,
        question=text_of(row, "question"),
        answer=text_of(row, "answer"),
        choices=dict(_choices(row.cells, row)),
        category=text_of(row, "category"),
    )


def _choices(cells: Mapping[str, object], row: Row) -> Iterator[tuple[str, str]]:
    for letter in string.ascii_uppercase:
        if letter in cells and (text := text_of(row, letter)):
            yield letter, text
