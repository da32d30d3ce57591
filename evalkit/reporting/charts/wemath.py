"""We-Math's four dimensions: what stands behind a problem that is solved or not (arXiv 2407.01284)."""

from __future__ import annotations

from evalkit.analysis.board import Board, Entry
from evalkit.records import Rule
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.own import own_metrics
from evalkit.reporting.charts.rows import SHARES, Part, part_keys, row_panel, stacks
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.words import percent, sentences

PARTS = (
    Part("cm_strict", "complete mastery (CM)", "good"),
    Part("rm_strict", "rote memorisation (RM)", "c5", "////"),
    Part("ig", "inadequate generalisation (IG)", "c6", "----"),
    Part("ik", "insufficient knowledge (IK)", "c4", "xxxx"),
)
_SCORES = ("score_strict", "score_loose", "cm_loose", "rm_loose")


def wemath_chart(board: Board, runs: Runs) -> Drawn | None:
    """Problems by kind, strict; the score stands behind the bar."""
    chosen = runs.with_data(lambda entry: bool(_kinds(entry, board.rule)), "whole problems")
    if not chosen.runs:
        return None
    kinds = [_kinds(run.entry, board.rule) for run in chosen.runs]
    texts = [f"{tick:.0%}" for tick in SHARES]
    drawing, panel = row_panel(chosen.runs, part_keys(PARTS), "Share of the problems", SHARES, texts, right=92)
    totals = [sum(found.values()) for found in kinds]
    values = [[found[part.name] / total for part in PARTS] for found, total in zip(kinds, totals, strict=True)]
    hints = [
        [f"{run.name}: {part.text} {found[part.name]} of {total} problems" for part in PARTS]
        for run, found, total in zip(chosen.runs, kinds, totals, strict=True)
    ]
    stacks(drawing, panel, PARTS, values, hints)
    scores = [_scores(run, board.rule) for run in chosen.runs]
    for i, found in enumerate(scores):
        drawing.text(panel, 1.01, i, f"score {percent(found['score_strict'])}", tone="muted")
    return Drawn(
        name="wemath",
        title="Four dimensions of We-Math",
        caption=sentences(
            "By problem, strict: mastery needs the whole problem and all of its steps right, rote memorisation is the "
            "whole without all steps, inadequate generalisation all steps without the whole.",
            "Score: CM and half of IG.",
            chosen.left_out,
        ),
        alt="; ".join(
            f"{run.name}: " + ", ".join(f"{part.text} {share:.1%}" for part, share in zip(PARTS, row, strict=True))
            for run, row in zip(chosen.runs, values, strict=True)
        ),
        data=tuple(_row(run, found, scored) for run, found, scored in zip(chosen.runs, kinds, scores, strict=True)),
        drawing=drawing,
    )


def _kinds(entry: Entry, rule: Rule) -> dict[str, int]:
    """Problems by kind; empty where one is not known. The rate of RM has another denominator, its count is alike."""
    known = own_metrics(entry, rule)
    counts = {}
    for part in PARTS:
        metric = known.get(part.name)
        if metric is None and part.name == "rm_strict" and "cm_strict" in known:
            counts[part.name] = 0  # no whole problem is right: the rate is 0/0, and there is none of its kind
        elif metric is None or metric.count is None:
            return {}
        else:
            counts[part.name] = round(metric.count)
    return counts if any(counts.values()) else {}


def _scores(run: Run, rule: Rule) -> dict[str, float | None]:
    known = own_metrics(run.entry, rule)
    return {name: known[name].value if name in known else None for name in _SCORES}


def _row(run: Run, kinds: dict[str, int], scores: dict[str, float | None]) -> Row:
    return {"name": run.name, "run": run.entry.run, **kinds, "problems": sum(kinds.values()), **scores}
