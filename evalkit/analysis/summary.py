"""The figures of one run: accuracy, tool use, latency, tokens, outcomes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from evalkit.analysis.budget import BudgetCurve, budget_curves
from evalkit.analysis.counterfactual import Counterfactual, counterfactual
from evalkit.analysis.judged import Judged, judged_accuracy
from evalkit.analysis.recorded import RecordedVerdicts, recorded_verdicts
from evalkit.analysis.repeat import RepeatCheck, repeat_check
from evalkit.analysis.rollouts import RolloutFigures, rollout_figures
from evalkit.analysis.shares import Share, clustered_share, clusters_of
from evalkit.calibration import Calibration
from evalkit.errors import EvalkitError, one_line
from evalkit.records import AGENT, Prices, Record, Rule, StopReason, ToolCall
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
    records: Sequence[Record],
    rule: Rule = Rule.STRICT,
    *,
    drawn_apart: bool = False,
    prices: Prices | None = None,
    calibration: Calibration | None = None,
) -> Summary:
    """The figures of a run's records; all but the repeat check are the agent's, at its first try.

    Raises:
        EvalkitError: the official rule is asked of a task that has none.
    """
    if rule is Rule.OFFICIAL and not task.official:
        raise EvalkitError(f"task {task.name} has no official rule beside evalkit's own; leave --rule official out")
    repeat = repeat_check(records)
    need = counterfactual(records, rule, drawn_apart=drawn_apart)
    rollouts, budgets = rollout_figures(records, rule), budget_curves(records, rule)
    records = [record for record in records if record.arm == AGENT and record.repeat == 0]
    scored = [record for record in records if not record.outcome.verdict.is_error]
    absent = max(expected - len(records), 0)
    other = Rule.OFFICIAL if rule is Rule.STRICT else Rule.STRICT
    failed = Counter(r.outcome.error for r in records if r.outcome.verdict.is_error)
    return Summary(
        task=task.name,
        model=model,
        expected=expected,
        done=len(records),
        outcomes=dict(Counter(str(record.outcome.verdict) for record in records)),
        rule=rule,
        accuracy=_accuracy(scored, rule),
        accuracy_expected=clustered_share(
            [record.outcome.right(rule) for record in records] + [False] * absent,
            clusters_of(records) + [f"missing row {index}" for index in range(absent)],
        ),
        other_rule=_accuracy(scored, other) if task.official else None,
        by_category=_by_category(scored, rule),
        tools=_tool_use(scored, rule),
        latency=_latency(scored),
        tokens={
            "prompt": spread(r.trajectory.usage.prompt_tokens for r in scored),
            "completion": spread(r.trajectory.usage.completion_tokens for r in scored),
            "image": spread(r.trajectory.usage.image_tokens for r in scored),
        },
        cost=None if prices is None else spread(prices.of(r.trajectory.usage) for r in records),
        metrics=_metrics(task, records),
        errors=dict(failed.most_common(5)),
        repeat=repeat,
        recorded=recorded_verdicts(records, rule),
        pixels=_pixels(scored),
        need=need,
        rollouts=rollouts,
        budgets=budgets,
        tries=_tries(records),
        judged=judged_accuracy(records, rule, calibration),
    )


def _tries(records: Sequence[Record]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for trajectory in (record.trajectory for record in records):
        counts["discarded"] += any(turn.discarded for turn in trajectory.turns)
        counts["restarted"] += trajectory.restarts > 0
        counts["fallback"] += bool(trajectory.fallback)
        counts["gave_up"] += trajectory.stop is StopReason.GAVE_UP
    return {name: count for name, count in counts.items() if count}


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


def _accuracy(scored: Sequence[Record], rule: Rule) -> Share:
    return clustered_share([record.outcome.right(rule) for record in scored], clusters_of(scored))


def _by_category(scored: Sequence[Record], rule: Rule) -> dict[str, Share]:
    rows: dict[str, list[Record]] = {}
    for record in scored:
        if record.sample.category:
            rows.setdefault(record.sample.category, []).append(record)
    return {category: _accuracy(of_it, rule) for category, of_it in sorted(rows.items())}


def _pixels(scored: Sequence[Record]) -> dict[str, Spread]:
    rows = [[image for turn in r.trajectory.turns for image in turn.shown] for r in scored]
    known = [
        (image.width * image.height / 1e6, image.shown_width * image.shown_height / 1e6)
        for images in rows
        for image in images
        if image.shown_width is not None and image.shown_height is not None
    ]
    tokens = [[image.tokens for image in images] for images in rows if images]
    return {
        "original": spread(whole for whole, _ in known),
        "shown": spread(part for _, part in known),
        "tokens": spread(None if None in counts else sum(count or 0 for count in counts) for counts in tokens),
    }


def _tool_use(rows_scored: Sequence[Record], rule: Rule) -> ToolUse:
    scored = [record for record in rows_scored if not record.trajectory.partial]

    clusters = clusters_of(scored)

    def rows(wanted: Callable[[ToolCall], bool]) -> Share:
        return clustered_share([any(map(wanted, record.trajectory.calls)) for record in scored], clusters)

    counts = [sum(call.status.dispatched for call in record.trajectory.calls) for record in scored]
    right = [1 / (count + 1) for count, record in zip(counts, scored, strict=True) if record.outcome.right(rule)]
    names = sorted({c.tool for r in scored for c in r.trajectory.calls if c.status.dispatched})
    return ToolUse(
        tool_rate=rows(lambda call: call.status.dispatched),
        tool_rate_ok=rows(lambda call: call.status == "ok"),
        calls_mean=sum(counts) / len(counts) if counts else None,
        calls=dict(Counter(str(call.status) for record in scored for call in record.trajectory.calls)),
        by_tool={
            name: rows(lambda c, name=name: c.tool == name and c.status.dispatched)  # type: ignore[misc]
            for name in names
        },
        efficiency=math.fsum(right) / len(right) if right else None,
    )


def _latency(scored: Sequence[Record]) -> dict[str, Spread]:
    def over_turns(part: str) -> Spread:
        sums = []
        for record in scored:
            values = [getattr(turn.timing, part) for turn in record.trajectory.turns]
            sums.append(None if None in values or not values else math.fsum(values))
        return spread(sums)

    rulings = [record.outcome.ruling for record in scored if record.outcome.ruling is not None]
    return {
        "sample": spread(record.trajectory.total_s for record in scored),
        "model": over_turns("generate_s"),
        "queue": over_turns("queue_s"),
        "decode": over_turns("decode_s"),
        "tool": over_turns("tool_s"),
        "ttft per turn": spread(t.timing.ttft_s for r in scored for t in r.trajectory.turns),
        **({"judge where asked": spread(ruling.seconds for ruling in rulings)} if rulings else {}),
    }
