"""Charts of a benchmark: matplotlib's, as SVG for a page and as SVG and PDF for papers."""

from __future__ import annotations

from evalkit.reporting.charts.chart import Cell, Chart, Row
from evalkit.reporting.charts.charts import charts_of, save_figures

__all__ = ["Cell", "Chart", "Row", "charts_of", "save_figures"]
