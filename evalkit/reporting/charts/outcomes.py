"""What became of every row of the benchmark: right, wrong, and errors by kind."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.board import Board, Entry
from evalkit.records import Verdict
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.names import text_width
from evalkit.reporting.charts.rows import SHARES, Part, part_keys, row_panel, stacks
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.words import sentences

MISSING = "missing"
_APART = 6.0
"""Pixels between a bar and the words behind it."""

PARTS = (
    Part(Verdict.CORRECT, "right", "good"),
    Part(Verdict.INCORRECT, "wrong", "c7"),
    Part(Verdict.UNPARSED, "no readable answer", "warn"),
    Part(Verdict.LIMIT_TURNS, "turn limit", "warn", "\\\\\\\\"),
    Part(Verdict.LIMIT_TOKENS, "token limit", "warn", "----"),
    Part(Verdict.LIMIT_TIME, "time limit", "warn", "||||"),
    Part(Verdict.ENGINE_ERROR, "engine error", "bad"),
    Part(Verdict.SANDBOX_ERROR, "sandbox error", "bad", "xxxx"),
    Part(Verdict.JUDGE_ERROR, "judge error", "bad", "////"),
    Part(Verdict.DATA_ERROR, "data error", "bad", "++++"),
    Part(MISSING, "no record", "line", "//"),
)


def outcome_chart(board: Board, runs: Runs) -> Drawn | None:
    """A bar a run, over all rows that the benchmark has as configured."""
    chosen = runs.with_data(lambda entry: entry.done > 0, "records")
    if not chosen.runs:
        return None
    counts = [_counts(run.entry) for run in chosen.runs]
    parts = [part for part in PARTS if any(found[part.name] for found in counts)]
    keys = part_keys(parts)
    totals = [sum(found.values()) for found in counts]
    behind = [f"{found[Verdict.CORRECT]} of {total}" for found, total in zip(counts, totals, strict=True)]
    drawing, panel = row_panel(
        chosen.runs, keys, "Share of all rows", SHARES, [f"{tick:.0%}" for tick in SHARES], right=_room(behind)
    )
    values = [[found[part.name] / total for part in parts] for found, total in zip(counts, totals, strict=True)]
    hints = [
        [f"{run.name}: {part.text} {found[part.name]} of {total} rows" for part in parts]
        for run, found, total in zip(chosen.runs, counts, totals, strict=True)
    ]
    stacks(drawing, panel, parts, values, hints)
    for i, words in enumerate(behind):
        drawing.text(drawing.page, panel.place.right + _APART, panel.at(0.0, i)[1], words, tone="muted")
    return Drawn(
        name="outcomes",
        title="What became of the rows",
        caption=sentences(
            "Over all rows of the benchmark as configured. An error is the harness's failure, not a wrong answer.",
            "Behind the bar: right rows.",
            chosen.left_out,
        ),
        alt="; ".join(_said(run, found) for run, found in zip(chosen.runs, counts, strict=True)),
        data=tuple(
            {"name": run.name, "run": run.entry.run, **_cells(found)}
            for run, found in zip(chosen.runs, counts, strict=True)
        ),
        drawing=drawing,
    )


def _room(words: Sequence[str]) -> float:
    return max(map(text_width, words)) + 2 * _APART


def _counts(entry: Entry) -> dict[str, int]:
    found = {part.name: entry.outcomes.get(part.name, 0) for part in PARTS}
    found[MISSING] = max(0, entry.expected - sum(n for name, n in found.items() if name != MISSING))
    return found


def _cells(found: dict[str, int]) -> Row:
    return {str(name): n for name, n in found.items()}


def _said(run: Run, found: dict[str, int]) -> str:
    parts = [f"{found[part.name]} {part.text}" for part in PARTS if found[part.name]]
    return f"{run.name}: {', '.join(parts)}"
