"""A run's report as Markdown."""

from __future__ import annotations

from evalkit.analysis.summary import Summary
from evalkit.content import content_dir
from evalkit.reporting.cells import cell
from evalkit.reporting.figures import figure_rows, interval_note, own_rows, tries_note
from evalkit.reporting.judged import judged_note
from evalkit.reporting.need import need_tables
from evalkit.reporting.repeats import curve_rows
from evalkit.runs.folder import RunInfo
from evalkit.runs.plan import flat


def run_markdown(info: RunInfo, summary: Summary) -> str:
    """The report of one run. Text that came from a model or a server is neutralised."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader(content_dir("reports") / "templates")
    environment = Environment(loader=templates, undefined=StrictUndefined, finalize=cell, autoescape=False)
    return environment.get_template("run.md.j2").render(
        s=summary,
        rows=figure_rows(summary) + own_rows(summary),
        need=need_tables(summary.need),
        budgets=curve_rows(summary.budgets),
        forced=any(curve.forced for curve in summary.budgets),
        notes=[*info.notes, *filter(None, [tries_note(summary), judged_note(summary.judged)])],
        intervals=interval_note(summary),
        info=info,
        in_flight=", then ".join(dict.fromkeys(str(s.concurrency) for s in info.sessions if s.concurrency)),
        config=list(flat(info.config)),
    )
