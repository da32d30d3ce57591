"""Reporting: a run's figures for people."""

from evalkit.reporting.figures import FigureRow, figure_rows, own_rows
from evalkit.reporting.markdown import run_markdown

__all__ = ["FigureRow", "figure_rows", "own_rows", "run_markdown"]
