"""A judge measured on labelled responses: asked, shown, and written down."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.table import Table

from evalkit.analysis.calibrated import JudgeFigures, judge_figures
from evalkit.calibration import NONE, RIGHT, WRONG, Calibration
from evalkit.cli._console import Console, plain
from evalkit.cli._judge import open_judge
from evalkit.errors import ExitCode, one_line
from evalkit.reporting.judged import calibration_rows
from evalkit.runs.calibrate import calibrate, write_calibration
from evalkit.runs.judges import JudgeSettings
from evalkit.runs.scheduler import Stop
from evalkit.scoring.judge.injections import read_injections
from evalkit.scoring.judge.labels import HARD_RESPONSES, LabelledSet, read_labels

_SAID = {RIGHT: "right", WRONG: "wrong", NONE: "no answer", "unparsable": "unparsable", "unavailable": "unavailable"}


def calibrate_judge(settings: JudgeSettings, labels: Path | None, out: Path) -> ExitCode:
    """Measure a judge and write the file; not where it was out of reach, as then it was not measured.

    Raises:
        EvalkitError: the labels or the judge cannot be used, or the file cannot be written.
    """
    labelled = read_labels(labels or HARD_RESPONSES)
    stop = Stop()
    try:
        found = asyncio.run(_asked(settings, labelled, stop))
    except asyncio.CancelledError:
        return stop.exit_code
    if found is None:
        return ExitCode.INTERRUPTED
    console = Console()
    about = found.labels
    console.print(
        f"judge {one_line(found.identity.get('model'), 80)} on {about.rows - about.left_out} of {about.rows} labelled "
        f"responses of {one_line(about.name, 80)}",
        markup=False,
        soft_wrap=True,
    )
    figures = {asked: judge_figures(one, found.injected.get(asked)) for asked, one in found.measured.items()}
    for asked, one in figures.items():
        console.print(_counts(found, asked))
        console.print(_figures(one))
        if one.fooling:
            console.print(f"attempts that worked: {', '.join(one.fooling)}", markup=False)
    console.print(
        "It errs so on responses like these; --labels FILE measures it on your own.", markup=False, soft_wrap=True
    )
    lost = sum(one.unavailable for one in figures.values())
    lost += sum(one.count("unavailable") for one in found.injected.values())
    if lost:
        console.print(
            f"[red]{lost} questions found the judge unavailable[/red]: no file is written; run it again, only these "
            "are asked then",
            soft_wrap=True,
        )
        return ExitCode.INFRASTRUCTURE
    write_calibration(out, found)
    console.print(f"calibration: {out} (--judge-calibration)", markup=False, soft_wrap=True)
    return ExitCode.OK


async def _asked(settings: JudgeSettings, labelled: LabelledSet, stop: Stop) -> Calibration | None:
    err = Console(stderr=True)
    with stop.on_interrupt(lambda line: err.print(line, markup=False)):
        async with open_judge(settings, err) as judge:
            with err.status("asking the judge") as status:
                return await calibrate(
                    judge,
                    labelled,
                    read_injections(),
                    settings.concurrency,
                    stop,
                    lambda through, all: status.update(f"asking the judge: {through} of {all}"),
                )


def _counts(found: Calibration, asked: str) -> Table:
    counts = found.measured[asked].counts
    seen = [said for said in _SAID if any(row.get(said) for row in counts.values())]
    table = Table("label", *(f"judge: {_SAID[said]}" for said in seen), title=plain(asked), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for label in (RIGHT, WRONG, NONE):
        if label in counts:
            table.add_row(_SAID[label], *(str(counts[label].get(said, 0)) for said in seen))
    return table


def _figures(figures: JudgeFigures) -> Table:
    table = Table("figure", "value", "95 % interval")
    table.add_column("of", justify="right")
    for row in calibration_rows(figures):
        table.add_row(*map(plain, row))
    return table
