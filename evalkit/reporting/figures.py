"""The headline figures of a run as rows of text, for a terminal table or a Markdown one."""

from __future__ import annotations

from evalkit.analysis.recorded import RecordedVerdicts
from evalkit.analysis.repeat import RepeatCheck
from evalkit.analysis.summary import Spread, Summary, ToolUse
from evalkit.records import Rule
from evalkit.reporting.judged import judged_rows
from evalkit.reporting.repeats import budget_rows, rollout_rows
from evalkit.reporting.rows import NONE, FigureRow, share_row
from evalkit.task import Metric

_OFFICIAL = "official."


def figure_rows(summary: Summary) -> list[FigureRow]:
    """Accuracy, tool use, latency, tokens and pixels."""
    by = "" if summary.rule is Rule.STRICT else " (official rule)"
    rows = [
        share_row(f"accuracy, of scored rows{by}", summary.accuracy),
        share_row(f"accuracy, of all rows{by}", summary.accuracy_expected),
    ]
    if summary.other_rule is not None:
        other = "official" if summary.rule is Rule.STRICT else "strict"
        rows.append(share_row(f"accuracy, {other} rule", summary.other_rule))
    if summary.judged is not None:
        rows += judged_rows(summary.judged)
    if summary.recorded is not None:
        rows += _recorded(summary.recorded)
    rows += [share_row(f"accuracy [{name}]", value) for name, value in summary.by_category.items()]
    rows += _tools(summary.tools)
    rows += _costs(summary)
    rows += _pixels(summary.pixels)
    if summary.repeat is not None:
        rows += _repeat(summary.repeat)
    return rows + rollout_rows(summary.rollouts) + budget_rows(summary.budgets)


def interval_note(summary: Summary) -> str:
    """What a reader must know of the intervals where rows belong together; empty where each stands alone."""
    share = summary.accuracy
    if share.clusters is None:
        return ""
    return (
        f"Intervals are by cluster: the {share.n} scored rows are {share.clusters} groups of rows that share "
        "a question, a problem or an image."
    )


def tries_note(summary: Summary) -> str:
    """How often the protocol tried again, and whether answers are not the agent's own; empty where it never did."""
    tries = summary.tries
    words = (
        ("discarded", "had turns taken out and asked for again"),
        ("restarted", "were begun anew"),
        ("fallback", "were answered without tools in the end, because every try had failed"),
        ("gave_up", "have no answer, because every try had failed"),
    )
    said = [f"{tries[name]} {what}" for name, what in words if name in tries]
    if not said:
        return ""
    return f"The protocol's further tries, of {summary.done} rows: {'; '.join(said)}. They count in tokens and seconds."


def own_rows(summary: Summary, rule: Rule | None = None) -> list[FigureRow]:
    """The benchmark's own figures: all, or those of one rule where it has them by rule."""
    metrics = summary.metrics
    by_rule = any(metric.name.startswith(_OFFICIAL) for metric in metrics)
    if rule is not None and by_rule:
        metrics = tuple(m for m in metrics if m.name.startswith(_OFFICIAL) == (rule is Rule.OFFICIAL))
    return [_metric(metric) for metric in metrics]


def _recorded(recorded: RecordedVerdicts) -> list[FigureRow]:
    value = f"{recorded.agree} of {recorded.compared} rows"
    if recorded.differing:
        value += f" ({recorded.only_here} right only here, {recorded.only_there} only there)"
    return [
        share_row("accuracy, as recorded", recorded.accuracy),
        FigureRow("agreement with the recording", value, "", str(recorded.compared)),
    ]


def _tools(tools: ToolUse) -> list[FigureRow]:
    """Tool use; one line where nothing is known of it."""
    n = str(tools.tool_rate.n)
    if n == "0":
        return [FigureRow("tool use", NONE, "", n)]
    return [
        share_row("tool rate", tools.tool_rate),
        share_row("tool rate, call succeeded", tools.tool_rate_ok),
        *(share_row(f"tool rate [{name}]", value) for name, value in tools.by_tool.items() if len(tools.by_tool) > 1),
        FigureRow("tool calls per row", _number(tools.calls_mean, ".3f"), "", n),
        FigureRow("efficiency, mean 1/(T+1) when right", _number(tools.efficiency, ".3f"), "", n),
    ]


def _costs(summary: Summary) -> list[FigureRow]:
    """Latency and tokens; one line where nobody measured either."""
    names = {"latency per row": "sample", "of it model": "model", "of it tools": "tool"}
    spreads = {name: summary.latency[part] for name, part in names.items()}
    tokens = {kind: summary.tokens[kind] for kind in ("prompt", "completion")}
    if not any(known.n for known in (*spreads.values(), *tokens.values())):
        return [FigureRow("latency, tokens", NONE, "", "0")]
    counts = [FigureRow(f"{kind} tokens per row", _number(t.mean, ".1f"), "", str(t.n)) for kind, t in tokens.items()]
    if summary.cost is not None:
        counts.append(_price(summary.cost, summary.done))
    return [_spread(name, spread) for name, spread in spreads.items()] + counts


def _price(cost: Spread, rows: int) -> FigureRow:
    """Cost in the currency of the prices; the total only where every row's tokens are known."""
    if cost.mean is None:
        return FigureRow("cost per row", f"{NONE}: no row's tokens are known", "", "0")
    total = f", {cost.mean * cost.n:.4g} in all" if cost.n == rows else f" (known of {cost.n} of {rows} rows)"
    return FigureRow("cost per row", f"{cost.mean:.4g}{total}", "", str(cost.n))


def _pixels(pixels: dict[str, Spread]) -> list[FigureRow]:
    """How large images still are when the model gets them; nothing where the engine does not tell."""
    whole, part, tokens = (pixels.get(name, Spread(0)) for name in ("original", "shown", "tokens"))
    rows = []
    if whole.p50 is not None and part.p50 is not None:
        value = f"{part.p50:.3g} of {whole.p50:.3g} megapixels (medians)"
        rows.append(FigureRow("image as the model gets it", value, "", str(part.n)))
    if tokens.mean is not None:
        rows.append(FigureRow("image tokens per row", f"{tokens.mean:.1f}", "", str(tokens.n)))
    return rows


def _repeat(check: RepeatCheck) -> list[FigureRow]:
    return [share_row(f"asked again: same {name}", share) for name, share in check.shares.items()]


def _spread(name: str, spread: Spread) -> FigureRow:
    if spread.p50 is None or spread.p95 is None:
        return FigureRow(name, NONE, "", "0")
    return FigureRow(name, f"p50 {spread.p50:.2f} s, p95 {spread.p95:.2f} s", "", str(spread.n))


def _metric(metric: Metric) -> FigureRow:
    if metric.value is None:
        return FigureRow(metric.name, f"{NONE}: {metric.note}" if metric.note else NONE, "", str(metric.n))
    value = f"{metric.value:.2%}" if metric.unit == "share" else f"{metric.value:g}"
    return FigureRow(metric.name, f"{value} ({metric.note})" if metric.note else value, "", str(metric.n))


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)
