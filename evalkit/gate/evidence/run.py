"""One of the two runs of a gate, and the metrics that a single trajectory has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from evalkit.analysis.figure import Figure
from evalkit.analysis.kept import Kept
from evalkit.analysis.side import Side
from evalkit.gate.contrasts import Contrast
from evalkit.gate.contrasts.apart import Apart
from evalkit.records import AGENT, Prices, Rule, Usage, Verdict

Value = Callable[[Kept], "float | None"]
"""A metric of one trajectory; None where it is not known."""


class Run(msgspec.Struct, frozen=True):
    """One of the two runs.

    Attributes:
        side: as a comparison sees it.
        rows: all that is kept of it.
        by_id: its scored rows of the agent, by sample.
    """

    side: Side
    rows: tuple[Kept, ...]
    by_id: Mapping[str, tuple[Kept, ...]]


def run_of(side: Side, rows: Sequence[Kept]) -> Run:
    """A run from what is kept of it."""
    by_id: dict[str, tuple[Kept, ...]] = {}
    for row in rows:
        if row.arm == AGENT and not row.verdict.is_error:
            by_id[row.id] = (*by_id.get(row.id, ()), row)
    return Run(side, tuple(rows), by_id)


def value_of(metric: str, rule: Rule, prices: Prices | None = None) -> Value:
    """A metric that each trajectory has.

    Args:
        metric: one of those.
        rule: whose verdicts count.
        prices: for the cost.
    """

    def cost(row: Kept) -> float | None:
        usage = Usage(prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens)
        return None if prices is None else prices.of(usage)

    values: dict[str, Value] = {
        "accuracy": lambda row: float(row.outcome.right(rule)),
        "accuracy_official": lambda row: float(row.outcome.right(Rule.OFFICIAL)),
        "tool_rate": lambda row: None if row.calls is None else float(row.calls > 0),
        "tool_rate_ok": lambda row: None if row.calls_ok is None else float(row.calls_ok > 0),
        "calls": lambda row: row.calls,
        "tokens_in": lambda row: row.prompt_tokens,
        "tokens_out": lambda row: row.completion_tokens,
        "unparsed": lambda row: float(row.named(rule) == Verdict.UNPARSED),
        "cost": cost,
    }
    return values[metric]


def errors_of(run: Run, category: str, confidence: float) -> Contrast:
    """Rows of the agent that failed or are missing, of those that the run was to have: a count, no estimate.

    Of a category nobody knows which rows are missing; there only those that failed count. To a shard all rows of the
    others are missing: a gate that takes a part for the whole would let a change pass that nobody has looked at.
    """
    tried: dict[str, list[bool]] = {}
    for row in run.rows:
        if row.arm == AGENT and category in ("", row.category):
            tried.setdefault(row.id, []).append(row.verdict.is_error)
    info = run.side.info
    due = info.due_rows if info.shard is None else info.expected_rows
    missing = 0 if category else max(due - len(tried), 0)
    failed = math.fsum(sum(each) / len(each) for each in tried.values())
    n = len(tried) + missing
    found = Figure(value=(failed + missing) / n if n else 0.0, n=n, method="count")
    parts = [f"{sum(map(sum, tried.values()))} failed"] if failed else []
    why = "the run is not finished" if info.shard is None else f"this is shard {info.shard}; evalkit merge joins all"
    parts += [f"{missing} missing, as {why}"] if missing else []
    return Apart(found, None, confidence=confidence, notes=tuple(parts))
