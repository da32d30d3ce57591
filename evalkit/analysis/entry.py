"""One run's line on a leaderboard, from its records or from their light form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.analysis.board import Entry
from evalkit.analysis.budget import curves_of
from evalkit.analysis.counterfactual import counterfactual_of
from evalkit.analysis.figure import Figure, bounded_mean, codes_of, mean_of, quantile_of, share_of
from evalkit.analysis.first_tries import LARGEST, Kinds, Part, Row, kinds_of
from evalkit.analysis.judged import judged_accuracy
from evalkit.analysis.need_notes import need_notes
from evalkit.analysis.rollout import ONLY_RESPONSES, Rollout
from evalkit.records import AGENT, ISOLATED, CallStatus, Prices, Rule
from evalkit.runs.folder import RunInfo
from evalkit.runs.remote.address import shown
from evalkit.stats import Interval

if TYPE_CHECKING:
    from evalkit.analysis.first_tries import Floats

NO_OFFICIAL = "no row has a verdict under an official rule"
P50, P95 = 0.5, 0.95
COMMON_ERRORS = 5
_ANY = Interval(0.0, math.inf)


def entry_of(
    run: str, folder: Path, info: RunInfo, records: Sequence[Any], rollouts: Sequence[Rollout], rule: Rule
) -> Entry:
    """All of an entry that comes from the run itself: neither marks nor the benchmark's own figures.

    Args:
        run: its name in this report.
        folder: as the user names it.
        info: its `run.json`.
        records: `Record` or `LightRecord`, one per key.
        rollouts: of these records by `rule`, in the same order.
        rule: whose verdicts.
    """
    kinds = kinds_of(records, rollouts)
    done, expected = len(kinds.all.rows), info.due_rows
    no_score = "no row has a score" if done else "there is no row"
    no_calls = ONLY_RESPONSES if kinds.scored.rows else no_score
    need = counterfactual_of(rollouts, rule, drawn_apart=info.drawn_apart)
    alone = [one for one in rollouts if one.arm == ISOLATED and one.repeat == 0 and not one.error]
    loaded = [row.one for row in kinds.scored.rows]
    calls = [row.one.calls or 0 for row in kinds.known.rows]
    errors = Counter(row.record.outcome.error for row in kinds.all.rows if row.one.error)
    return Entry(
        run=run,
        folder=str(shown(folder)),
        model=str(info.config["model"]["name"]),
        task=str(info.config["task"]["name"]),
        engine=str(info.config.get("engine") or ""),
        created=info.created,
        live=done < expected,
        done=done,
        expected=expected,
        accuracy=_accuracy(kinds, rule, no_score),
        accuracy_expected=_of_expected(kinds.all, expected, rule),
        other_rule=_other_rule(kinds, rule, no_score),
        judged=judged_accuracy([row.record for row in kinds.all.rows], rule, info.calibration),
        tool_rate=_share(kinds.known, [count > 0 for count in calls], no_calls),
        tool_rate_ok=_share(kinds.known, [_succeeded(row) for row in kinds.known.rows], no_calls),
        calls=_mean(kinds.known, calls, no_calls),
        redundant=need.overall.need[0].redundant_rate if need else None,
        efficiency=_efficiency(kinds.known, no_calls),
        p50=_seconds(loaded, P50, no_score),
        p95=_seconds(loaded, P95, no_score),
        isolated_p50=_seconds(alone, P50, "no sample was run one at a time"),
        isolated_p95=_seconds(alone, P95, "no sample was run one at a time"),
        tokens_in=_mean(kinds.scored, kinds.of(kinds.scored, "prompt_tokens"), no_score),
        tokens_out=_mean(kinds.scored, kinds.of(kinds.scored, "completion_tokens"), no_score),
        tokens_image=_mean(kinds.scored, kinds.of(kinds.scored, "image_tokens"), no_score),
        cost=_cost(kinds, info.prices),
        outcomes=dict(Counter(str(row.record.outcome.verdict) for row in kinds.all.rows)),
        errors=dict(errors.most_common(COMMON_ERRORS)),
        categories=_by_category(kinds.scored, lambda row: row.one.right),
        category_tool_rates=_by_category(kinds.known, lambda row: bool(row.one.calls)),
        call_counts=dict(sorted(Counter(calls).items())),
        latency_parts={
            "model": _known_mean(kinds.of(kinds.scored, "generate_s")),
            "tool": _known_mean(kinds.of(kinds.scored, "tool_s")),
            "queue": _known_mean(kinds.of(kinds.scored, "queue_s")),
            "judge": _judge_mean(kinds.scored) if info.config.get("judge") else None,
        },
        need=need.overall if need else None,
        need_notes=tuple(need_notes(need)) if need else (),
        budgets=curves_of(rollouts),
    )


def scorers_of(records: Sequence[Any]) -> tuple[str, ...]:
    """Rules and versions that gave the agent's verdicts."""
    scored = (record for record in records if record.arm == AGENT and not record.outcome.verdict.is_error)
    return tuple(sorted({record.outcome.scorer for record in scored} - {""}))


def _succeeded(row: Row) -> bool:
    return any(call.status is CallStatus.OK for turn in row.record.trajectory.turns for call in turn.calls)


def _share(part: Part, flags: Sequence[bool], why: str) -> Figure:
    return share_of(flags, part.codes) if part.rows else Figure(why=why)


def _mean(part: Part, values: Sequence[float] | Floats, why: str) -> Figure:
    """The mean of the values that are known."""
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    known = np.abs(found) <= LARGEST
    if not known.any():
        return Figure(why="nobody counted it" if len(found) else why)
    return mean_of(found[known], part.codes[known], _ANY)


def _judge_mean(part: Part) -> float | None:
    """Mean time at the judge: none where a row needed no judge."""
    import numpy as np

    rulings = [row.record.outcome.ruling for row in part.rows]
    return _known_mean(np.asarray([0.0 if one is None else one.seconds for one in rulings], dtype=np.float64))


def _known_mean(values: Floats) -> float | None:
    known = values[abs(values) <= LARGEST]
    return float(known.mean()) if len(known) else None


def _accuracy(kinds: Kinds, rule: Rule, why: str) -> Figure:
    if rule is Rule.OFFICIAL and kinds.scored.rows and not _has_official(kinds.all):
        return Figure(n=len(kinds.scored.rows), why=NO_OFFICIAL)
    return _share(kinds.scored, [row.one.right for row in kinds.scored.rows], why)


def _other_rule(kinds: Kinds, rule: Rule, why: str) -> Figure | None:
    if not _has_official(kinds.all):
        return None
    other = Rule.STRICT if rule is Rule.OFFICIAL else Rule.OFFICIAL
    return _share(kinds.scored, [row.record.outcome.right(other) for row in kinds.scored.rows], why)


def _has_official(part: Part) -> bool:
    return any(row.record.outcome.official is not None for row in part.rows)


def _of_expected(part: Part, expected: int, rule: Rule) -> Figure:
    """What is missing or failed is not right; a missing row stands alone, as nothing says what it belongs to."""
    import numpy as np

    if rule is Rule.OFFICIAL and part.rows and not _has_official(part):
        return Figure(n=max(expected, len(part.rows)), why=NO_OFFICIAL)
    absent = max(expected - len(part.rows), 0)
    right = [row.record.outcome.right(rule) for row in part.rows] + [False] * absent
    if not right:
        return Figure(why="there is no row")
    return share_of(right, np.append(part.codes, len(part.rows) + np.arange(absent)))


def _efficiency(part: Part, why: str) -> Figure:
    right = [row.one for row in part.rows if row.one.right]
    if not right:
        return Figure(why="no row is right" if part.rows else why)
    return bounded_mean([1 / (1 + (one.calls or 0)) for one in right], codes_of([one.cluster for one in right]))


def _seconds(ones: Sequence[Rollout], probability: float, why: str) -> Figure:
    measured = [one for one in ones if one.seconds is not None and abs(one.seconds) <= LARGEST]
    if not measured:
        return Figure(why="nobody measured it" if ones else why)
    return quantile_of([one.seconds or 0.0 for one in measured], probability, codes_of([o.cluster for o in measured]))


def _cost(kinds: Kinds, prices: Prices | None) -> Figure | None:
    if prices is None:
        return None
    used = kinds.sums["prompt_tokens"] * prices.prompt + kinds.sums["completion_tokens"] * prices.completion
    return _mean(kinds.all, used / 1e6, "there is no row")


def _by_category(part: Part, wanted: Callable[[Row], bool]) -> dict[str, Figure]:
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(part.rows):
        if row.one.category:
            groups.setdefault(row.one.category, []).append(place)
    return {
        name: share_of([wanted(part.rows[place]) for place in groups[name]], part.codes[groups[name]])
        for name in sorted(groups)
    }
