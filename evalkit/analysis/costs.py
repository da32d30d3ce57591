"""What a run used up: tokens, money where prices are given, and pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from evalkit.analysis.frames import Floats, RunFrames
from evalkit.analysis.measure import Measure, Rows, codes_of, mean_of, missing, quantile_of
from evalkit.errors import EvalkitError

KEYS = ("run", "task", "model", "arm", "part", "figure")
"""Columns before the measures; `figure` is mean, p50, p95 or total."""

TOKEN_PARTS = {"in": "prompt_tokens", "out": "completion_tokens", "image": "image_tokens"}
PIXEL_PARTS = {"original": "original_mp", "shown": "shown_mp"}


def tokens(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """Tokens per row and in total, over all rows of repeat 0: errors use tokens too.

    `in` counts a prompt in every turn that sends it; `image` is the part of `in` that stands for images.

    Returns:
        One row per run, arm, part (in, out, image) and figure.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            found = run.arm(arm)
            for part, column in TOKEN_PARTS.items():
                for figure, measure in _spread(found, found[column].to_numpy()):
                    rows.add((run.run, run.task, run.model, arm, part, figure), measure)
    return rows.table()


def cost(runs: Sequence[RunFrames], price_in: float, price_out: float) -> pd.DataFrame:
    """What a row and the run cost at given prices; a prompt is paid in every turn that sends it, without a cache.

    Args:
        runs: frames.
        price_in: of a million prompt tokens, image tokens among them, in any currency.
        price_out: of a million generated tokens, in the same currency.

    Returns:
        One row per run, arm, part (in, out, all) and figure, in that currency.

    Raises:
        EvalkitError: a price is negative or no number.
    """
    for name, price in {"in": price_in, "out": price_out}.items():
        if not 0 <= price < 1e12:
            raise EvalkitError(f"the price per million tokens {name} must be a number of at least 0, not {price}")
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            found = run.arm(arm)
            paid_in = found["prompt_tokens"].to_numpy() * price_in / 1e6
            paid_out = found["completion_tokens"].to_numpy() * price_out / 1e6
            for part, values in {"in": paid_in, "out": paid_out, "all": paid_in + paid_out}.items():
                for figure, measure in _spread(found, values):
                    rows.add((run.run, run.task, run.model, arm, part, figure), measure)
    return rows.table()


def pixels(runs: Sequence[RunFrames]) -> pd.DataFrame:
    """How large images are and how large they still are when the model gets them, over all images of scored rows.

    `original` and `shown` are megapixels per image where both are known, `kept` the share of pixels that is left,
    `tokens` image tokens per row, each image counted once.

    Returns:
        One row per run, arm, part and figure.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            for part, figure, measure in _pixels(run, arm):
                rows.add((run.run, run.task, run.model, arm, part, figure), measure)
    return rows.table()


def _pixels(run: RunFrames, arm: str) -> Iterator[tuple[str, str, Measure]]:
    found = run.arm(arm)
    scored = found[~found["error"]]
    images = run.images[run.images["row"].isin(scored.index)]
    clusters = codes_of(run.samples)[images["row"].to_numpy()]
    original, shown = (images[column].to_numpy() for column in PIXEL_PARTS.values())
    both = ~np.isnan(original) & ~np.isnan(shown)
    kept = np.divide(shown, original, out=np.full(len(images), np.nan), where=both & (original > 0))
    parts = {
        "original": np.where(both, original, np.nan),
        "shown": np.where(both, shown, np.nan),
        "kept": kept,
    }
    why = "the record has no image of it" if len(scored) else "no row has a score" if len(found) else "there is no row"
    for part, values in parts.items():
        for figure, probability in {"mean": None, "p50": 0.5, "p95": 0.95}.items():
            if not len(images):
                yield part, figure, missing(why)
            elif probability is None:
                yield part, figure, mean_of(values, clusters)
            else:
                yield part, figure, quantile_of(values, probability, clusters)
    seen = scored[scored["shown"] > 0]
    tokens = missing(why) if seen.empty else mean_of(seen["shown_tokens"].to_numpy(), codes_of(seen))
    yield "tokens", "mean", tokens


def _spread(rows: pd.DataFrame, values: Floats) -> Iterator[tuple[str, Measure]]:
    clusters = codes_of(rows)
    yield "mean", mean_of(values, clusters)
    for name, probability in {"p50": 0.5, "p95": 0.95}.items():
        yield name, quantile_of(values, probability, clusters)
    yield "total", _total(values)


def _total(values: Floats) -> Measure:
    """A sum is known only where every part of it is."""
    unknown = int(np.count_nonzero(np.isnan(values)))
    if not len(values):
        return missing("there is no row")
    if unknown:
        why = "nobody measured it" if unknown == len(values) else f"it is unknown of {unknown} of {len(values)} rows"
        return missing(why, unknown=unknown)
    return Measure(value=float(values.sum()), n=len(values), why="it is a total of what was used, not an estimate")
