"""How many tool calls a sample took: a row of columns for each run."""

from __future__ import annotations

from evalkit.analysis.board import Board
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawing import Box
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.rows import row_panel
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.words import sentences

MOST_CALLS = 10
"""Samples with as many calls or more stand in one column."""
_PITCH = 48.0
_HIGHEST = 0.62


def call_chart(board: Board, runs: Runs) -> Drawn | None:
    """The share of samples by number of calls."""
    chosen = runs.with_data(lambda entry: sum(entry.call_counts.values()) > 0, "known calls")
    if not chosen.runs:
        return None
    shares = [_shares(run) for run in chosen.runs]
    last = max(max(found) for found in shares)
    high = _HIGHEST / max(max(found.values()) for found in shares)
    texts = [f"{k}" if k < MOST_CALLS else f"{k} or more" for k in range(last + 1)]
    ticks = [float(k) for k in range(last + 1)]
    drawing, panel = row_panel(
        chosen.runs,
        (),
        "Tool calls that ran, per sample",
        ticks,
        texts,
        ends=(-0.6, last + 0.6),
        grid=False,
        pitch=_PITCH,
    )
    foot = 0.42
    drawing.lines(panel, [[(-0.5, i + foot), (last + 0.5, i + foot)] for i in range(len(shares))], "muted", width=0.8)
    for i, (run, found) in enumerate(zip(chosen.runs, shares, strict=True)):
        here = [k for k in sorted(found) if found[k] > 0]
        boxes = [Box(k - 0.3, i + foot - high * found[k], k + 0.3, i + foot) for k in here]
        hints = [f"{run.name}: {texts[k]} calls in {found[k]:.1%} of the samples" for k in here]
        drawing.boxes(panel, boxes, run.look.colour, hints)
        for k in here:
            words = f"{found[k]:.0%}" if found[k] >= 0.005 else "<1%"
            drawing.text(panel, k, i + foot - high * found[k] - 0.14, words, tone="muted", align="center")
    return Drawn(
        name="calls",
        title="Tool calls per sample",
        caption=sentences(
            "The height of a column is the share of the run's samples, on one scale for all runs.", chosen.left_out
        ),
        alt="; ".join(
            f"{run.name}: " + ", ".join(f"{texts[k]} calls {found[k]:.1%}" for k in sorted(found) if found[k])
            for run, found in zip(chosen.runs, shares, strict=True)
        ),
        data=tuple(row for run in chosen.runs for row in _rows(run)),
        drawing=drawing,
    )


def _shares(run: Run) -> dict[int, float]:
    counts = run.entry.call_counts
    total = sum(counts.values())
    found = dict.fromkeys(range(min(MOST_CALLS, max(counts)) + 1), 0.0)
    for calls, n in counts.items():
        found[min(calls, MOST_CALLS)] += n / total
    return found


def _rows(run: Run) -> list[Row]:
    counts = sorted(run.entry.call_counts.items())
    return [{"name": run.name, "run": run.entry.run, "calls": calls, "samples": n} for calls, n in counts]
