"""A run's report as Markdown."""

from __future__ import annotations

import re

from evalkit.analysis.summary import Summary
from evalkit.content import content_dir
from evalkit.errors import one_line
from evalkit.reporting.figures import figure_rows, interval_note, own_rows
from evalkit.reporting.need import need_tables
from evalkit.reporting.repeats import curve_rows
from evalkit.runs.folder import RunInfo
from evalkit.runs.plan import flat

_ADDRESS = re.compile(r"(:(?=//)|www(?=\.))(.)", re.IGNORECASE)


def run_markdown(info: RunInfo, summary: Summary) -> str:
    """The report of one run. Text that came from a model or a server is neutralised."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader(content_dir("reports") / "templates")
    environment = Environment(loader=templates, undefined=StrictUndefined, finalize=_cell, autoescape=False)
    return environment.get_template("run.md.j2").render(
        s=summary,
        rows=figure_rows(summary) + own_rows(summary),
        need=need_tables(summary.need),
        budgets=curve_rows(summary.budgets),
        forced=any(curve.forced for curve in summary.budgets),
        notes=info.notes,
        intervals=interval_note(summary),
        info=info,
        in_flight=", then ".join(dict.fromkeys(str(s.concurrency) for s in info.sessions if s.concurrency)),
        config=list(flat(info.config)),
    )


def _cell(value: object) -> str:
    """Text that cannot break a table, start HTML or open a link."""
    text = one_line(value, 400)
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, "\\" + mark)
    # GitHub makes links of bare addresses too
    return _ADDRESS.sub(lambda found: found[1] + "\\" + found[2], text)
