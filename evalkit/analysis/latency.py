"""Where the seconds go: queue, first token, decoding, model, tools and judge, per turn and per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from evalkit.analysis.frames import RunFrames
from evalkit.analysis.measure import Measure, Rows, codes_of, mean_of, missing, quantile_of
from evalkit.analysis.tools import known_rows
from evalkit.records import ISOLATED

KEYS = ("run", "task", "model", "arm", "regime", "per", "part", "figure")
"""Columns before the measures: `regime` is "loaded" (as run, with others in flight) or "isolated" (one at a time);
`per` is "sample" or "turn"; `figure` is mean, p50, p95 or p99. Values are seconds."""

SAMPLE_PARTS = {
    "total": "total_s",
    "model": "model_s",
    "queue": "queue_s",
    "first token": "ttft_s",
    "decode": "decode_s",
    "tool": "tool_s",
}
TURN_PARTS = {part: column for part, column in SAMPLE_PARTS.items() if part != "total"}
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
NO_JUDGE_TIME = "no judge was asked"


def latency(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Seconds over scored rows, repeat 0; loaded and isolated rows are apart because arms are.

    A sample's part is the sum over its turns, unknown as soon as one turn's is. Intervals take turns of one sample,
    and samples of one cluster, as belonging together. Times of the loaded regime depend on what else was in flight.

    Returns:
        One row per run, arm, "sample" or "turn", part and figure.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            regime = "isolated" if arm == ISOLATED else "loaded"
            for keys, measure in _arm(run, arm):
                rows.add((run.run, run.task, run.model, arm, regime, *keys), measure)
    return rows.table()


def _arm(run: RunFrames, arm: str) -> Iterator[tuple[tuple[str, str, str], Measure]]:
    rows, why = known_rows(run, arm)
    turns = run.turns[run.turns["row"].isin(rows.index)]
    tables = {"sample": (rows, codes_of(rows)), "turn": (turns, codes_of(run.samples)[turns["row"].to_numpy()])}
    for per, parts in {"sample": SAMPLE_PARTS, "turn": TURN_PARTS}.items():
        frame, clusters = tables[per]
        for part, column in parts.items():
            values = frame[column].to_numpy()
            yield (per, part, "mean"), missing(why) if why else mean_of(values, clusters)
            for name, probability in QUANTILES.items():
                yield (per, part, name), missing(why) if why else quantile_of(values, probability, clusters)
    judged = rows["judge_s"]
    # a row that needed no judge took no time there
    known = mean_of(judged.fillna(0.0).to_numpy(), codes_of(rows)) if judged.notna().any() else missing(NO_JUDGE_TIME)
    yield ("sample", "judge", "mean"), missing(why) if why else known
