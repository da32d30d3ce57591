"""The headline figures of a run as rows of text, for a terminal table or a Markdown one."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.analysis.summary import Share, Spread, Summary
from evalkit.records import Rule
from evalkit.task import Metric

NONE = "not available"


class FigureRow(NamedTuple):
    """One line of a figures table; `n` is the denominator."""

    name: str
    value: str
    interval: str
    n: str


def figure_rows(summary: Summary) -> list[FigureRow]:
    """Accuracy, tool use, latency and tokens, then the benchmark's own figures."""
    by = "" if summary.rule is Rule.STRICT else " (official rule)"
    rows = [
        _share(f"accuracy, of scored rows{by}", summary.accuracy),
        _share(f"accuracy, of all rows{by}", summary.accuracy_expected),
    ]
    if summary.other_rule is not None:
        other = "official" if summary.rule is Rule.STRICT else "strict"
        rows.append(_share(f"accuracy, {other} rule", summary.other_rule))
    rows += [_share(f"accuracy [{name}]", value) for name, value in summary.by_category.items()]
    tools = summary.tools
    rows.append(_share("tool rate", tools.tool_rate))
    rows.append(_share("tool rate, call succeeded", tools.tool_rate_ok))
    rows += [_share(f"tool rate [{name}]", value) for name, value in tools.by_tool.items() if len(tools.by_tool) > 1]
    n = str(tools.tool_rate.n)
    rows.append(FigureRow("tool calls per row", _number(tools.calls_mean, ".3f"), "", n))
    rows.append(FigureRow("efficiency, mean 1/(T+1) when right", _number(tools.efficiency, ".3f"), "", n))
    rows += [
        _spread("latency per row", summary.latency["sample"]),
        _spread("of it model", summary.latency["model"]),
        _spread("of it tools", summary.latency["tool"]),
    ]
    for kind in ("prompt", "completion"):
        tokens = summary.tokens[kind]
        rows.append(FigureRow(f"{kind} tokens per row", _number(tokens.mean, ".1f"), "", str(tokens.n)))
    return rows + [_metric(metric) for metric in summary.metrics]


def _share(name: str, share: Share) -> FigureRow:
    if share.value is None or share.low is None or share.high is None:
        return FigureRow(name, NONE, "", "0")
    return FigureRow(name, f"{share.value:.1%}", f"{share.low:.1%} - {share.high:.1%}", str(share.n))


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
