"""Responses made by any other program, scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from evalkit.bridges.predictions import predicted_records, read_predictions
from evalkit.calibration import Calibration
from evalkit.cli._console import Console
from evalkit.cli._finish import finish_run
from evalkit.cli._judge import judge_problem
from evalkit.cli._remote import send
from evalkit.cli._rescore import write_changes
from evalkit.cli._tasks import check_rule, checked_samples, open_one
from evalkit.errors import EvalkitError, ExitCode, one_line
from evalkit.records import Rule
from evalkit.runs.imported import PREDICTIONS, Origin, source_file, write_run
from evalkit.runs.judges import JudgeSettings


class PredictionsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; see `evalkit score --help` for the meaning of each field."""

    file: Path
    task: str
    data: str | None
    revision: str | None
    options: dict[str, str]
    model: str | None
    out: Path
    id_column: str
    response_column: str
    task_dirs: Sequence[Path]
    rule: Rule
    allowed_errors: float
    judge: JudgeSettings | None = None
    calibration: Calibration | None = None


def score_predictions(request: PredictionsRequest) -> ExitCode:
    """Score the responses into a new run folder and show its figures.

    Raises:
        EvalkitError: the file, the task or its data are not what they should be.
    """
    task = open_one(request.task, request.task_dirs, request.data, request.revision, request.options)
    if problem := check_rule(task, request.rule) or (judge_problem([task]) if request.judge else None):
        raise EvalkitError(problem)
    # what is quick to fail goes first: data sets can take long to load
    responses = read_predictions(request.file, request.id_column, request.response_column)
    samples = checked_samples(task)
    records = predicted_records(responses, samples, task, one_line(request.file.name, 120))
    empty = sum(response is not None and not response.strip() for response in responses.values())
    origin = Origin(
        engine=PREDICTIONS,
        model=request.model or request.file.stem,
        files=(source_file(request.file),),
        notes=(f"{empty} of {len(responses)} responses are empty texts: scored as no answer",) if empty else (),
    )
    folder, info = write_run(request.out, task, samples, len(samples), records, origin)
    if request.judge is not None:
        try:
            info, _, _ = write_changes(folder, task, info, request.judge, request.calibration)
        except EvalkitError as error:
            # the URL may hold a password
            goes_on = f"evalkit score {folder} --judge-url URL goes on"
            raise type(error)(f"{error}; {folder} has the verdicts of the rules alone, and {goes_on}") from None
    ids = [sample.id for sample in samples]
    code = finish_run(folder, info, task, Console(), request.allowed_errors, request.rule, ids)
    send(folder)
    return code
