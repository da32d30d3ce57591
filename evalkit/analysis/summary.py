"""The figures of one run: accuracy, tool use, latency, tokens, outcomes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from evalkit.analysis.budget import BudgetCurve, curves_of
from evalkit.analysis.counterfactual import Counterfactual, counterfactual_of
from evalkit.analysis.judged import Judged, judged_accuracy
from evalkit.analysis.light import decode_light
from evalkit.analysis.own_figures import first_tries
from evalkit.analysis.recorded import RecordedVerdicts, recorded_verdicts
from evalkit.analysis.repeat import RepeatCheck, repeat_check
from evalkit.analysis.rollout import Rollout, rollout_of
from evalkit.analysis.rollouts import RolloutFigures, figures_of
from evalkit.analysis.shares import Share, clustered_share, clusters_of
from evalkit.analysis.tally import Case, Tally
from evalkit.calibration import Calibration
from evalkit.errors import EvalkitError, one_line
from evalkit.records import AGAIN, AGENT, Prices, Record, Rule
from evalkit.runs.run_records import RunRecords
from evalkit.task import Metric, Task


class Spread(msgspec.Struct, frozen=True):
    """`n` known values: their mean and percentiles (linear interpolation); None without values."""

    n: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """Tool use over scored rows whose trajectories are known whole.

    Attributes:
        tool_rate: rows with at least one dispatched call.
        tool_rate_ok: rows with at least one call that succeeded.
        calls_mean: dispatched calls per row.
        calls: calls by what became of them.
        by_tool: rows with at least one dispatched call of the tool.
        efficiency: mean of 1/(T+1) over correct rows, T dispatched calls (the tool reward of arXiv 2604.08545).
    """

    tool_rate: Share
    tool_rate_ok: Share
    calls_mean: float | None
    calls: dict[str, int]
    by_tool: dict[str, Share]
    efficiency: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run; derived from its records and rebuilt at will.

    Attributes:
        expected: rows of the benchmark as configured.
        done: rows with a record.
        outcomes: rows by verdict.
        rule: whose verdicts accuracy, categories and efficiency rest on.
        accuracy: right rows of the scored ones (errors have no score).
        accuracy_expected: right rows of all expected ones: what is missing or failed counts as not right. In its
            interval a missing row stands alone, as nothing says what it belongs to.
        other_rule: right rows of the scored ones under the other rule; None where the benchmark has no second one.
        judged: what rests on a judge's word; None where nothing does.
        by_category: accuracy of the scored rows per category.
        latency: seconds per sample and its parts, as run (loaded).
        tokens: per sample.
        cost: per sample, errors among them, in the currency of the prices; None where no prices are given.
        metrics: the benchmark's own figures.
        pixels: megapixels of an image as it is ("original") and as the model gets it ("shown"), over all images
            for which both are known, and image tokens per row, each image counted once ("tokens").
        need: with tools against without; None where no sample was run without.
        rollouts: the figures of several rollouts per sample; None where there is one.
        budgets: accuracy against calls (stopped, and by forced answers where there are any), tokens and seconds.
        errors: the commonest errors, with their counts.
        repeat: whether answers repeat; None where it was not tried.
        recorded: an imported recording's own verdicts beside these; None where there are none.
        tries: rows whose protocol took turns out of the conversation ("discarded"), began it anew ("restarted"), took
            the answer from a question without tools ("fallback") or gave up ("gave_up"); what there is none of is
            left out.
    """

    task: str
    model: str
    expected: int
    done: int
    outcomes: dict[str, int]
    rule: Rule
    accuracy: Share
    accuracy_expected: Share
    other_rule: Share | None
    by_category: dict[str, Share]
    tools: ToolUse
    latency: dict[str, Spread]
    tokens: dict[str, Spread]
    metrics: tuple[Metric, ...]
    errors: dict[str, int]
    cost: Spread | None = None
    repeat: RepeatCheck | None = None
    recorded: RecordedVerdicts | None = None
    pixels: dict[str, Spread] = {}
    need: Counterfactual | None = None
    rollouts: RolloutFigures | None = None
    budgets: tuple[BudgetCurve, ...] = ()
    tries: dict[str, int] = {}
    judged: Judged | None = None


def summarise(
    task: Task,
    model: str,
    expected: int,
    records: Sequence[Record] | RunRecords,
    rule: Rule = Rule.STRICT,
    *,
    drawn_apart: bool = False,
    prices: Prices | None = None,
    calibration: Calibration | None = None,
) -> Summary:
    """The figures of a run's records; all but the repeat check are the agent's, at its first try.

    Those of a run folder (`RunRecords`) are gone through one by one, and none is held.

    Raises:
        EvalkitError: the official rule is asked of a task that has none.
    """
    if rule is Rule.OFFICIAL and not task.official:
        raise EvalkitError(f"task {task.name} has no official rule beside evalkit's own; leave --rule official out")
    tally, rollouts = _taken_in(records, rule)
    cases, scored = tally.cases, tally.scored
    absent = max(expected - len(cases), 0)
    other = Rule.OFFICIAL if rule is Rule.STRICT else Rule.STRICT
    failed = Counter(case.outcome.error for case in cases if case.sample.error)
    # they have the attributes of records
    whole = cast("Sequence[Record]", records)
    return Summary(
        task=task.name,
        model=model,
        expected=expected,
        done=len(cases),
        outcomes=dict(Counter(str(case.outcome.verdict) for case in cases)),
        rule=rule,
        accuracy=_accuracy(scored, rule),
        accuracy_expected=clustered_share(
            [case.sample.right for case in cases] + [False] * absent,
            clusters_of(cases) + [f"missing row {index}" for index in range(absent)],
        ),
        other_rule=_accuracy(scored, other) if task.official else None,
        by_category=_by_category(scored, rule),
        tools=_tool_use(tally),
        latency=_latency(tally),
        tokens={
            "prompt": spread(tally.column("prompt_tokens")),
            "completion": spread(tally.column("completion_tokens")),
            "image": spread(tally.column("image_tokens")),
        },
        cost=_cost(tally, prices),
        metrics=_metrics(task, first_tries(records)),
        errors=dict(failed.most_common(5)),
        repeat=repeat_check(whole) if any(one.arm == AGAIN for one in rollouts) else None,
        recorded=recorded_verdicts(cases, rule),
        pixels={
            "original": spread(tally.original),
            "shown": spread(tally.shown),
            "tokens": spread(tally.column("shown_tokens")),
        },
        need=counterfactual_of(rollouts, rule, drawn_apart=drawn_apart),
        rollouts=figures_of(rollouts),
        budgets=curves_of(rollouts),
        tries={name: count for name, count in tally.tries.items() if count},
        judged=judged_accuracy(cases, rule, calibration),
    )


def _taken_in(records: Sequence[Record] | RunRecords, rule: Rule) -> tuple[Tally, list[Rollout]]:
    tally, rollouts = Tally(), []
    rows: Iterable[Any] = records.decoded(decode_light) if isinstance(records, RunRecords) else records
    for record in rows:
        rollouts.append(one := rollout_of(record, rule))
        if one.arm == AGENT and one.repeat == 0:
            tally.add(record, one)
    return tally, rollouts


def spread(values: Iterable[float | None]) -> Spread:
    """The distribution of the values that are known."""
    known = sorted(value for value in values if value is not None and math.isfinite(value))
    if not known:
        return Spread(0)

    def percentile(q: float) -> float:
        place = q * (len(known) - 1)
        low, high = known[math.floor(place)], known[math.ceil(place)]
        return low + (high - low) * (place - math.floor(place))

    return Spread(len(known), math.fsum(known) / len(known), percentile(0.5), percentile(0.95), percentile(0.99))


def _metrics(task: Task, records: Sequence[Record]) -> tuple[Metric, ...]:
    try:
        return task.metrics(records)
    except Exception as error:
        # a task's own figures may fail in any way; the others must not go with them
        why = f"task {task.name} failed: {type(error).__name__}: {one_line(error)}"
        return (Metric(name="the task's own figures", value=None, n=0, note=why),)


def _accuracy(scored: Sequence[Case], rule: Rule) -> Share:
    return clustered_share([case.outcome.right(rule) for case in scored], clusters_of(scored))


def _by_category(scored: Sequence[Case], rule: Rule) -> dict[str, Share]:
    rows: dict[str, list[Case]] = {}
    for case in scored:
        if case.sample.category:
            rows.setdefault(case.sample.category, []).append(case)
    return {category: _accuracy(of_it, rule) for category, of_it in sorted(rows.items())}


def _tool_use(tally: Tally) -> ToolUse:
    rows = tally.calls
    clusters = clusters_of(row.case for row in rows)
    counts = [row.case.sample.calls or 0 for row in rows]
    right = [1 / (count + 1) for count, row in zip(counts, rows, strict=True) if row.case.sample.right]
    names = sorted({name for row in rows for name in row.tools})
    return ToolUse(
        tool_rate=clustered_share([count > 0 for count in counts], clusters),
        tool_rate_ok=clustered_share([row.ok for row in rows], clusters),
        calls_mean=sum(counts) / len(counts) if counts else None,
        calls=dict(tally.statuses),
        by_tool={name: clustered_share([name in row.tools for row in rows], clusters) for name in names},
        efficiency=math.fsum(right) / len(right) if right else None,
    )


def _latency(tally: Tally) -> dict[str, Spread]:
    rulings = [case.outcome.ruling for case in tally.scored if case.outcome.ruling is not None]
    return {
        "sample": spread(tally.column("total_s")),
        "model": spread(tally.column("generate_s")),
        "queue": spread(tally.column("queue_s")),
        "decode": spread(tally.column("decode_s")),
        "tool": spread(tally.column("tool_s")),
        "ttft per turn": spread(tally.ttft),
        **({"judge where asked": spread(ruling.seconds for ruling in rulings)} if rulings else {}),
    }


def _cost(tally: Tally, prices: Prices | None) -> Spread | None:
    """Of every row, errors among them."""
    if prices is None:
        return None
    parts = (tally.column(name, scored=False) for name in ("prompt_tokens", "completion_tokens"))
    return spread(prices.cost(sent, made) for sent, made in zip(*parts, strict=True))
