"""How the authors of the field count tool use, each definition computed from the same log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from evalkit.analysis.accuracy import verdicts
from evalkit.analysis.frames import Bools, Ints, RunFrames
from evalkit.analysis.measure import Measure, Rows, codes_of, mean_of, missing, ratio_of, share_of
from evalkit.analysis.tools import known_rows
from evalkit.records import Rule
from evalkit.runs.imported import IMPORTED, PREDICTIONS

KEYS = ("run", "task", "model", "arm", "name", "definition", "source")
"""Columns before the measures."""


class Seen(NamedTuple):
    """What the definitions are computed from: one entry per scored row whose trajectory is known whole."""

    run: RunFrames
    rows: pd.DataFrame
    right: Bools
    clusters: Ints

    def column(self, name: str) -> Ints:
        """A column of the rows."""
        return self.rows[name].to_numpy().astype(np.int64)


class Definition(NamedTuple):
    """One way of counting.

    Attributes:
        name: whose, and which figure.
        text: what is counted, in evalkit's terms.
        source: where the authors say or do so.
        compute: the figure.
    """

    name: str
    text: str
    source: str
    compute: Callable[[Seen], Measure]


def counting(runs: Sequence[RunFrames], rule: Rule = Rule.STRICT) -> pd.DataFrame:
    """Every definition of `DEFINITIONS` for every run and arm, over scored rows whose trajectories are known whole.

    Args:
        runs: frames.
        rule: whose verdicts stand for "correct".

    Returns:
        One row per run, arm and definition.
    """
    rows = Rows(KEYS, [])
    for run in runs:
        for arm in run.arms:
            found, why = known_rows(run, arm)
            right = verdicts(found).get(str(rule))
            for definition in DEFINITIONS:
                measure = missing(why) if why else missing(f"no row has a verdict under the {rule} rule")
                if not why and right is not None:
                    measure = definition.compute(Seen(run, found, right, codes_of(found)))
                rows.add((run.run, run.task, run.model, arm, *definition[:3]), measure)
    return rows.table()


def _metis_t(seen: Seen) -> Measure:
    return mean_of(seen.column("acted").astype(float), seen.clusters)


def _metis_reward(seen: Seen) -> Measure:
    return mean_of(np.where(seen.right, 1 / (1.0 + seen.column("acted")), 0.0), seen.clusters)


def _hdpo_efficiency(seen: Seen) -> Measure:
    right = seen.right
    if not right.any():
        return missing("no row is right")
    return mean_of(1 / (1.0 + seen.column("acted")[right]), seen.clusters[right])


def _share_with_call(seen: Seen) -> Measure:
    return share_of(seen.column("dispatched") > 0, seen.clusters)


def _mean_calls(seen: Seen) -> Measure:
    return mean_of(seen.column("dispatched").astype(float), seen.clusters)


def _apply(seen: Seen) -> Measure:
    return share_of(seen.column("calls") > 0, seen.clusters)


def _more_images(seen: Seen) -> Bools | None:
    """Whether more than one image is in the context; None where the log keeps no images that tools gave."""
    tool_images = seen.column("tool_images")
    if seen.run.engine in (IMPORTED, PREDICTIONS) and not tool_images.any():
        return None
    return np.asarray(seen.column("images") + tool_images > 1)


NO_IMAGES = "the imported log keeps no images"


def _success(seen: Seen) -> Measure:
    success = _more_images(seen)
    return missing(NO_IMAGES) if success is None else share_of(success, seen.clusters)


def _success_per_apply(seen: Seen) -> Measure:
    success = _more_images(seen)
    if success is None:
        return missing(NO_IMAGES)
    applied, succeeded = int((seen.column("calls") > 0).sum()), int(success.sum())
    if not applied:
        return missing("no trajectory has a call")
    # not a share of the same rows: several images of the sample count as success without a call
    value = succeeded / applied
    return Measure(value=value, n=applied, count=succeeded, why="it is a ratio of two counts")


def _success_correct(seen: Seen) -> Measure:
    success = _more_images(seen)
    if success is None:
        return missing(NO_IMAGES)
    return ratio_of(seen.right, success, seen.clusters, "no trajectory has more than one image")


def _replies_with_call(seen: Seen) -> Measure:
    return mean_of(seen.column("call_ends").astype(float), seen.clusters)


def _fails(seen: Seen) -> Measure:
    errors = sum(seen.column(name) for name in ("malformed", "unknown_tool", "failed", "timeout"))
    forced = seen.rows["stop"].isin(["limit_turns", "limit_tokens"]).to_numpy()
    return mean_of((errors + forced).astype(float), seen.clusters)


def _valid_calls(seen: Seen) -> Measure:
    calls = seen.run.calls
    valid = ~calls["status"].isin(["malformed", "unknown_tool"]).to_numpy() & (calls["call"] == 0).to_numpy()
    counts = np.bincount(calls["row"].to_numpy()[valid], minlength=len(seen.run.samples))
    return mean_of(counts[seen.rows.index.to_numpy()].astype(float), seen.clusters)


def _rounds(seen: Seen) -> Measure:
    return mean_of(seen.column("turns").astype(float), seen.clusters)


def _blocks(seen: Seen) -> Measure:
    return mean_of(seen.column("calls").astype(float), seen.clusters)


def _not_counted(seen: Seen) -> Measure:
    return missing("the authors' evaluation code counts no calls; take tool_rate and calls_mean")


DEFINITIONS = (
    Definition(
        "metis.T",
        "mean per row of turns whose call the runner took up, unreadable, unknown and blocked calls included; "
        "a call in the turn that ends the trajectory is not taken up",
        "Accio-Lab/Metis, reward_manager/metis.py and verltool_agent_loop.py (length of tool_interact_info)",
        _metis_t,
    ),
    Definition(
        "metis.r_tool",
        "mean over all rows of 1/(T+1) where right and 0 where not, T as in metis.T",
        "Accio-Lab/Metis, reward_manager/metis.py; arXiv 2604.08545",
        _metis_reward,
    ),
    Definition(
        "hdpo.efficiency",
        "mean over right rows of 1/(T+1), T as in metis.T",
        "arXiv 2604.08545, the tool reward restricted to right rows",
        _hdpo_efficiency,
    ),
    Definition(
        "metis.figure.tool_usage",
        "share of rows with at least one call that ran (the figure's definition is inferred, no code gives it)",
        "Accio-Lab/Metis, assets/analysis.png",
        _share_with_call,
    ),
    Definition(
        "deepeyes_v2.with_tool",
        "share of rows with at least one call that ran",
        "DeepEyesV2, figure 7",
        _share_with_call,
    ),
    Definition("deepeyes_v2.calls", "mean calls that ran per row", "DeepEyesV2, figure 8", _mean_calls),
    Definition(
        "deepeyes_v2.evaluation, thyme.evaluation",
        "tool use as the authors' evaluation code reports it",
        "their forks of VLMEvalKit",
        _not_counted,
    ),
    Definition(
        "mini_o3.apply",
        "share of rows with a call in the text, whatever became of it",
        "Mini-o3, verl/trainer/ppo/ray_trainer.py (_maybe_log_tool_call_metrics)",
        _apply,
    ),
    Definition(
        "mini_o3.success",
        "share of rows with more than one image in the context (success_tool_call_ratio_per_batch); "
        "images of the sample itself count too",
        "Mini-o3, verl/trainer/ppo/ray_trainer.py",
        _success,
    ),
    Definition(
        "mini_o3.success/apply",
        "rows with more than one image over rows with a call in the text (success_tool_call_rate)",
        "Mini-o3, verl/trainer/ppo/ray_trainer.py",
        _success_per_apply,
    ),
    Definition(
        "mini_o3.success_correct",
        "share of right rows among those with more than one image (success_tool_call_correct_answer_ratio)",
        "Mini-o3, verl/trainer/ppo/ray_trainer.py",
        _success_correct,
    ),
    Definition(
        "pixel_reasoner.toolrate",
        "mean per row of replies that end with a closing call tag, those that nothing follows included",
        "Pixel-Reasoner, experience_maker.py (num_toolcalls)",
        _replies_with_call,
    ),
    Definition(
        "pixel_reasoner.fails",
        "mean per row of calls that could not be executed, plus one where a limit on turns or tokens ended the row; "
        "the limits are this run's own",
        "Pixel-Reasoner, experience_maker.py (num_toolfails)",
        _fails,
    ),
    Definition(
        "sensenova_mars.tool_calls",
        "mean per row of replies whose first call is readable and of a known tool",
        "SenseNova-MARS, inference/eval.py (tool_calls)",
        _valid_calls,
    ),
    Definition(
        "sensenova_mars.num_round",
        "mean replies per row",
        "SenseNova-MARS, inference/eval.py (num_round)",
        _rounds,
    ),
    Definition(
        "skywork_r1v4.tool_calls",
        "mean call blocks per row, whatever became of them",
        "Skywork-R1V, r1v4/parse_utils.py (rounds)",
        _blocks,
    ),
)
"""All definitions, in the order in which they are printed."""
