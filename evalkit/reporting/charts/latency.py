"""Where the seconds of a sample go: queue, model, tools, judge."""

from __future__ import annotations

from evalkit.analysis.board import Board, Entry
from evalkit.reporting.charts.axis import ticks_between
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.rows import Part, part_keys, row_panel, stacks
from evalkit.reporting.charts.runs import Runs
from evalkit.reporting.charts.words import listed, sentences

PARTS = (
    Part("queue", "queue", "c7", "----"),
    Part("model", "model, without its queue", "c1"),
    Part("tool", "tools", "c2", "////"),
    Part("judge", "judge", "c3", "xxxx"),
)


def latency_chart(board: Board, runs: Runs) -> Drawn | None:
    """Mean seconds per sample, one bar a run."""
    chosen = runs.with_data(lambda entry: sum(_known(entry).values()) > 0, "measured seconds")
    if not chosen.runs:
        return None
    known = [_known(run.entry) for run in chosen.runs]
    parts = [part for part in PARTS if any(part.name in found for found in known)]
    totals = [sum(found.values()) for found in known]
    ticks = ticks_between(0.0, max(totals) * 1.02)
    drawing, panel = row_panel(
        chosen.runs,
        part_keys(parts),
        "Mean seconds per sample, as run",
        ticks,
        [f"{tick:,.4g}" for tick in ticks],
        ends=(0.0, max(totals) * 1.02),
    )
    values = [[found.get(part.name, 0.0) for part in parts] for found in known]
    hints = [
        [f"{run.name}: {part.text} {found.get(part.name, 0.0):.3g} s" for part in parts]
        for run, found in zip(chosen.runs, known, strict=True)
    ]
    stacks(drawing, panel, parts, values, hints)
    for i, total in enumerate(totals):
        drawing.text(panel, total + 0.008 * max(totals), i, f"{total:.3g} s", tone="muted")
    unknown = {
        part.text: [run.name for run, found in zip(chosen.runs, known, strict=True) if part.name not in found]
        for part in PARTS
    }
    return Drawn(
        name="latency",
        title="Where the seconds go",
        caption=sentences(
            "Waiting in a queue depends on what else was running.",
            *(f"Not measured: {part} of {_whose(names, len(known))}." for part, names in unknown.items() if names),
            chosen.left_out,
        ),
        alt="; ".join(
            f"{run.name}: " + ", ".join(f"{part.text} {found[part.name]:.3g} s" for part in PARTS if part.name in found)
            for run, found in zip(chosen.runs, known, strict=True)
        ),
        data=tuple(
            {"name": run.name, "run": run.entry.run, **{part.name: found.get(part.name) for part in PARTS}}
            for run, found in zip(chosen.runs, known, strict=True)
        ),
        drawing=drawing,
    )


def _known(entry: Entry) -> dict[str, float]:
    """Seconds that exclude one another: those of the model hold its queue where the entry has both."""
    found = {name: seconds for name, seconds in entry.latency_parts.items() if seconds is not None}
    if "model" in found:
        found["model"] = max(0.0, found["model"] - found.get("queue", 0.0))
    return found


def _whose(names: list[str], runs: int) -> str:
    return "any run" if len(names) == runs else listed(names)
